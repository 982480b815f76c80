"""Mounts of the local engine, in the guest's own mount namespace, which ends with the guest."""

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
    """Return words before a command, so that it sees the folder `source` at `target`."""
    return [*own_mounts(), "sh", "-c", BIND, "mount", str(source), str(target)]


def overlay(options: str, target: Path) -> list[str]:
    """Return words before a command, so that it sees an overlay with these options at `target`."""
    return [*own_mounts(), "sh", "-c", OVERLAY, "mount", options, str(target)]


@functools.cache
def overlay_problem(home: Path) -> str:
    """Say why no overlay of folders below `home` can be mounted. Empty: one can."""
    try:
        with probe_volume(home) as folder:
            for name in ("lower", "upper", "work", "merged"):
                (folder / name).mkdir()
            options = overlay_options(str(folder), Overlay("", ("lower",), "upper", "work"))
            return _problem([*overlay(options, folder / "merged"), "true"])
    except OSError as error:
        return f"{home}: {error.strerror}"


def empty(target: Path, size: int, owner: tuple[int, int] | None = None) -> list[str]:
    """Return words before a command, so that it sees an empty tmpfs at `target`.

    `size` is its limit in bytes, `owner` its uid and gid. None: the caller's.
    """
    options = f"mode=755,size={size}" + (f",uid={owner[0]},gid={owner[1]}" if owner else "")
    return [*own_mounts(), "sh", "-c", EMPTY, "mount", options, str(target)]


@functools.cache
def empty_problem() -> str:
    """Say why no tmpfs can be mounted here. Empty: one can."""
    with scratch("probe") as folder:
        return _problem([*empty(folder, 1 << 20), "true"])


@functools.cache
def bind_problem() -> str:
    """Say why no folder can be mounted here. Empty: one can."""
    with scratch("probe") as folder:
        return _problem([*bind(folder, folder), "true"])


def _problem(command: Sequence[str]) -> str:
    """Run a command, and return what it complains of. Empty: it works."""
    try:
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    if not tried.returncode:
        return ""
    return tried.stderr.strip().partition("\n")[0] or f"{command[0]} exits {tried.returncode}"


def own_mounts() -> list[str]:
    """Return the words that start a command in a mount namespace of its own, as root there."""
    # Private, so that mounts are not seen outside, where sandboxes are removed with all they show.
    return [*(unshare() or ("unshare",)), "--mount", "--propagation", "private"]
