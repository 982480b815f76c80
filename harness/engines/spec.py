"""What a run-container is asked to be: values that both engines understand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from harness.inside.errors import UsageError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

_MOST = 1 << 62
"""No bound is as large: kernels and tools count in 64 bits, with a sign, and a little is added to some."""

NOBODY = 65534
"""The uid and gid that the player's code has unless the katas are mounted."""


@dataclass(frozen=True)
class Limits:
    """The bounds of one test event, in bytes unless the name says otherwise."""

    memory: int = 2 * GIB  # all processes together; a sandbox that is piped into lives in it too
    sandbox: int = (
        GIB  # of a sandbox that is piped into; a mounted one has the bounds of its own disk
    )
    temporary: int = 256 * MIB  # /tmp
    file: int = 512 * MIB  # one file
    output: int = 50 * KIB  # of each of stdout and stderr; the rest is dropped and flagged
    processes: int = 256
    open_files: int = 1024
    event_seconds: float = 600.0  # the whole test event, transport included, whatever hangs

    def __post_init__(self) -> None:
        """Raise UsageError for a bound that nothing keeps to, or that no engine can be told."""
        for name, bound in vars(self).items():
            if not 0 < bound < math.inf:
                raise UsageError(f"Limits: {name} must be a number above 0, not {bound:g}")
            if name != "event_seconds" and not (isinstance(bound, int) and bound < _MOST):
                raise UsageError(
                    f"Limits: {name} must be a whole number below {_MOST}, not {bound:g}"
                )


@dataclass(frozen=True)
class WholeVolume:
    """A volume that the run sees all of; its sandbox is one folder in it."""

    volume: str
    sandbox: str  # relative to the volume


@dataclass(frozen=True)
class PartOfVolume:
    """One folder of a volume, and nothing else of it, becomes the sandbox."""

    volume: str
    folder: str  # relative to the volume; it must be there when the run-container starts


@dataclass(frozen=True)
class Overlay:
    """Folders of a volume over each other become the sandbox: what the run changes goes to the topmost, of which the run sees
    no more than of the others: the merged tree.
    """

    volume: str
    lower: tuple[
        str, ...
    ]  # relative to the volume, the topmost first; not to be written to by anybody
    upper: str  # takes the changes
    work: str  # an empty folder for the kernel, on the same file system


Mount: TypeAlias = Path | WholeVolume | PartOfVolume | Overlay
"""What becomes the sandbox where nothing is piped: a folder of the host, or of a volume."""


@dataclass(frozen=True)
class SandboxSpec:
    """One run-container."""

    image: str | None = (
        None  # None: the engine's own default; the local engine has only the host's programs
    )
    mount: Mount | None = None  # what becomes the sandbox; None: a fresh one to be piped into
    roots: tuple[
        int, ...
    ] = ()  # inodes, one of which the folder that was mounted has; none: nobody looks
    uid: int = NOBODY
    gid: int = NOBODY
    limits: Limits = field(default_factory=Limits)
    in_place: bool = (
        False  # a waiting shell for the floor, without the isolation that a local run pays for
    )
