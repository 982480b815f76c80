"""Mounts of the local engine, in the guest's own mount namespace, which ends with the guest."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.engines.folders import probe_volume, scratch
from harness.engines.local.bubblewrap import SANDBOX, unshare
from harness.engines.overlays import overlay_options
from harness.engines.spec import HostFolder, Mount, Overlay, PartOfVolume, WholeVolume

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


def empty(target: Path, size: int, files: int, owner: tuple[int, int] | None = None) -> list[str]:
    """Return words before a command, so that it sees an empty tmpfs at `target`.

    `size` is its limit in bytes, `files` that of the names in it, `owner` its uid and gid. None:
    the caller's.
    """
    # The root of a tmpfs counts, too.
    options = f"mode=755,size={size},nr_inodes={files + 1}"
    if owner:
        options += f",uid={owner[0]},gid={owner[1]}"
    return [*own_mounts(), "sh", "-c", EMPTY, "mount", options, str(target)]


@functools.cache
def empty_problem() -> str:
    """Say why no tmpfs can be mounted here. Empty: one can."""
    with scratch("probe") as folder:
        return _problem([*empty(folder, 1 << 20, 1), "true"])


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


@dataclass(frozen=True)
class SandboxView:
    """A sandbox, and how a guest and its run come to see it."""

    sandbox: Path
    """The sandbox, as the guest finds it."""

    folder: Path
    """What bubblewrap shows to the run: the sandbox, or a folder around it."""

    enter: Sequence[str]
    """Words before the guest's command."""

    at: str = SANDBOX
    """Where bubblewrap shows the folder."""

    inside: str = ""
    """The path of the sandbox below that. Empty: it is the folder itself."""


@dataclass(frozen=True)
class Around:
    """What a mount needs to know of the run-container that it is for."""

    closed: Path
    """A folder of its own, which no other user of this machine can enter."""

    katas: Callable[[str], Path]
    """Returns the folder of the katas in a volume."""

    bare: bool
    """Whether the player is another user, and nothing but that keeps the run apart."""

    def bound(self, source: Path, name: str = "sandbox") -> tuple[Path, list[str]]:
        """Return where the guest sees the folder `source`, and the words for that."""
        target = self.target(name)
        return target, bind(source, target)

    def target(self, name: str = "sandbox") -> Path:
        """Make a folder to mount something on."""
        folder = self.closed / name
        folder.mkdir(mode=0o755)
        return folder


@dataclass(frozen=True)
class LocalMount:
    """How the local engine makes one kind of mount."""

    make: Callable[[Any, Around], SandboxView]
    """Given the mount and what is around it, returns the sandbox. Raises EngineError."""

    what: str
    """What is mounted, in a word."""

    problem: Callable[[Path, bool], str]
    """Given the home of the volumes and `Around.bare`, says why it fails here. Empty: it works."""


def _host_folder(mount: HostFolder, around: Around) -> SandboxView:
    if not around.bare:
        return SandboxView(mount.path, mount.path, unshare())
    # The folders above it may be closed to the player.
    target, enter = around.bound(mount.path)
    return SandboxView(target, target, enter)


def _whole_volume(mount: WholeVolume, around: Around) -> SandboxView:
    target, enter = around.bound(around.katas(mount.volume), "katas")
    return SandboxView(target / mount.sandbox, target, enter, "/katas", mount.sandbox)


def _part_of_volume(mount: PartOfVolume, around: Around) -> SandboxView:
    target, enter = around.bound(around.katas(mount.volume) / mount.folder)
    return SandboxView(target, target, enter)


def _overlay(mount: Overlay, around: Around) -> SandboxView:
    target = around.target()
    options = overlay_options(str(around.katas(mount.volume)), mount)
    return SandboxView(target, target, overlay(options, target))


LOCAL_MOUNTS: Mapping[type[Mount], LocalMount] = {
    # If it is not bare, bubblewrap mounts it, or the player owns it.
    HostFolder: LocalMount(
        _host_folder, "folder", lambda home, bare: bind_problem() if bare else ""
    ),
    WholeVolume: LocalMount(_whole_volume, "volume", lambda home, bare: bind_problem()),
    PartOfVolume: LocalMount(_part_of_volume, "volume", lambda home, bare: bind_problem()),
    Overlay: LocalMount(_overlay, "overlay", lambda home, bare: overlay_problem(home)),
}
"""Each kind of mount that the local engine makes."""
