"""What the harness asks an engine for: the limits, the mount and the user of a run-container."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from harness.inside.errors import UsageError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

_MOST = 1 << 62
"""Every limit is smaller: kernels and tools count in signed 64 bits, and some add a little."""

LONGEST_SECONDS = 1e9
"""The longest limit of time: some thirty years, which every clock and every tool can hold."""

NOBODY = 65534
"""The uid and gid of the player's code, unless the katas are mounted."""


@dataclass(frozen=True)
class Limits:
    """The limits of one test event: above 0, and all but `event_seconds` integers below 2^62."""

    memory: int = 2 * GIB
    """Bytes of memory for all processes together. A sandbox that is piped into counts too."""

    sandbox: int = GIB
    """Bytes of a sandbox that is piped into. A mounted one is limited by its own disk."""

    files: int = 250_000
    """Files, folders and further names of files in a sandbox that is piped into: more than a large
    project has with its packages. A mounted one is limited by its own disk.
    """

    temporary: int = 256 * MIB
    """Bytes of /tmp."""

    file: int = 512 * MIB
    """Bytes of one file."""

    output: int = 50 * KIB
    """Bytes of stdout, and of stderr. The rest is dropped, and the run says so."""

    processes: int = 256
    """Processes and threads at once."""

    open_files: int = 1024
    """Open files of one process."""

    event_seconds: float = 600.0
    """Seconds for the whole test event, transport included, whatever hangs."""

    def __post_init__(self) -> None:
        """Raise UsageError for a limit that is out of range."""
        for name, bound in vars(self).items():
            if not 0 < bound < math.inf:
                raise UsageError(f"Limits: {name} must be a number above 0, not {bound:g}")
            if name != "event_seconds" and not (isinstance(bound, int) and bound < _MOST):
                raise UsageError(
                    f"Limits: {name} must be a whole number below {_MOST}, not {bound:g}"
                )
        if self.event_seconds > LONGEST_SECONDS:
            raise UsageError(
                f"Limits: event_seconds must be {LONGEST_SECONDS:g} at most, not "
                f"{self.event_seconds:g}"
            )


class Mount:
    """What becomes the sandbox if nothing is piped.

    An engine has an entry in a table for each kind that it makes, and nobody else asks which kind
    it is.
    """

    in_volume: ClassVar[bool] = True
    """Whether its files are in a volume, where a keeper writes them. If not, the harness does."""


def unknown_mount(engine: str, kind: type[Mount]) -> str:
    """Say that the engine makes no such mount, and what to do."""
    return (
        f"the {engine} engine makes no mount of the kind {kind.__name__}; take "
        "katas-data-container instead"
    )


@dataclass(frozen=True)
class HostFolder(Mount):
    """A folder of the host becomes the sandbox."""

    in_volume: ClassVar[bool] = False

    path: Path
    """Its path on the host."""


@dataclass(frozen=True)
class WholeVolume(Mount):
    """The run sees a whole volume; its sandbox is one folder in it."""

    volume: str
    """The volume's name."""

    sandbox: str
    """The sandbox's path, relative to the volume."""


@dataclass(frozen=True)
class PartOfVolume(Mount):
    """One folder of a volume becomes the sandbox; the run sees nothing else of the volume."""

    volume: str
    """The volume's name."""

    folder: str
    """The folder's path, relative to the volume. It must exist when the run-container starts."""


@dataclass(frozen=True)
class Overlay(Mount):
    """An overlay mount of folders of a volume becomes the sandbox.

    The run sees only the merged tree, and its changes go to the upper folder. All paths are
    relative to the volume.
    """

    volume: str
    """The volume's name."""

    lower: tuple[str, ...]
    """The lower folders, topmost first. Nobody may write to them while they are mounted."""

    upper: str
    """The folder that takes the changes."""

    work: str
    """An empty folder for the kernel, on the same file system."""


@dataclass(frozen=True)
class SandboxSpec:
    """Describes one run-container."""

    image: str | None = None
    """The image. None: the engine's default, which for the local engine is this machine."""

    mount: Mount | None = None
    """What becomes the sandbox. None: an empty folder to pipe a tree into."""

    roots: tuple[int, ...] = ()
    """The inodes that the mounted folder may have. Empty: no check."""

    uid: int = NOBODY
    """Uid of the player's code."""

    gid: int = NOBODY
    """Gid of the player's code."""

    limits: Limits = field(default_factory=Limits)
    """The limits of the test event."""

    in_place: bool = False
    """Whether to leave out isolation, for the shell that measures bare make."""

    def owner(self, player: tuple[int, int] | None) -> tuple[int, int] | None:
        """Return the uid and gid that the files of a mounted sandbox get.

        `player` is as in Engine. None: nothing is mounted, or the files keep their owner.
        """
        if self.mount is None:
            return None
        return player if self.mount.in_volume else (self.uid, self.gid)
