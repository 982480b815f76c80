"""Mounts of the local engine, in a mount namespace of the guest's own: nobody else sees them, and they go with it."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.engines.folders import probe_volume, scratch
from harness.engines.local.bubblewrap import unshare
from harness.engines.overlays import overlay_options
from harness.engines.spec import Overlay

BIND = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
OVERLAY = 'mount -t overlay -o "$1" overlay "$2" && shift 2 && exec "$@"'

EMPTY = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'


def bind(source: Path, target: Path) -> list[str]:
    """Words that a command is put behind to see the folder `source` at `target`."""
    return [*_namespace(), "sh", "-c", BIND, "mount", str(source), str(target)]


def overlay(options: str, target: Path) -> list[str]:
    """The same for an overlay with these options."""
    return [*_namespace(), "sh", "-c", OVERLAY, "mount", options, str(target)]


@functools.cache
def overlay_problem(home: Path) -> str:
    """Why no overlay can be mounted of folders below `home`; empty when it can."""
    try:
        with probe_volume(home) as folder:
            for each in ("lower", "upper", "work", "merged"):
                (folder / each).mkdir()
            options = overlay_options(str(folder), Overlay("", ("lower",), "upper", "work"))
            return _problem([*overlay(options, folder / "merged"), "true"])
    except OSError as error:
        return f"{home}: {error.strerror}"


def empty(target: Path, size: int, owner: tuple[int, int] | None = None) -> list[str]:
    """Words that a command is put behind to see an empty folder at `target` that holds at most `size` bytes, in memory; it is
    the caller's unless it has another owner.
    """
    options = f"mode=755,size={size}" + (f",uid={owner[0]},gid={owner[1]}" if owner else "")
    return [*_namespace(), "sh", "-c", EMPTY, "mount", options, str(target)]


@functools.cache
def empty_problem() -> str:
    """Why no such folder is to be had here; empty when it is."""
    with scratch("probe") as folder:
        return _problem([*empty(folder, 1 << 20), "true"])


@functools.cache
def bind_problem() -> str:
    """Why nothing can be mounted here; empty when it can."""
    with scratch("probe") as folder:
        return _problem([*bind(folder, folder), "true"])


def _problem(command: Sequence[str]) -> str:
    """What a command complains of when it fails; empty when it works."""
    try:
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    if not tried.returncode:
        return ""
    return tried.stderr.strip().partition("\n")[0] or f"{command[0]} exits {tried.returncode}"


def _namespace() -> list[str]:
    # Private, so that no mount is seen outside: a folder of sandboxes is removed from there, with all that is seen in it.
    return [*(unshare() or ("unshare",)), "--mount", "--propagation", "private"]
