"""Engines start run-containers and keepers, and hold volumes: `docker/` and `local/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.engines.guest.sandbox import Execution, Sandbox
from harness.engines.spec import Limits, Mount, SandboxSpec
from harness.engines.streams import Stream

__all__ = ["Engine", "Execution", "Limits", "Sandbox", "SandboxSpec", "Stream", "Volume"]


@dataclass(frozen=True)
class Volume:
    """Holds the katas of a data-container. Only a keeper looks inside."""

    name: str
    """Its name on the engine."""

    temporary: bool
    """Whether it is removed with its owner."""

    katas: str = ""
    """The name of the katas that it holds a part of. Empty: it holds all katas of its own name."""


def part_of(name: str, katas: str | None) -> str:
    """Return `Volume.katas` for the volume `name` with the label `katas`; old ones have none."""
    return "" if katas in (None, name) else str(katas)


class Engine(Protocol):
    """Starts run-containers and keepers, and finds what a crash left of them.

    Unpickling an engine in another process connects it anew: it reaches the same containers and
    volumes, and owns none of them yet.
    """

    name: str
    """What `--engine` calls it."""

    isolates: bool
    """Whether it separates a run from the host and from other runs."""

    counts_memory: bool
    """Whether it counts the memory of a run. If not, `gaps` says why."""

    makes_images: bool
    """Whether each run sees an image, of which the harness builds its own. If not, a run without
    an image sees the programs of the engine's machine.
    """

    quick: bool
    """Whether a test event costs less than a tenth of a second, so that many can be tried."""

    removable: bool
    """Whether others can stop and remove its run-containers and keepers, as `docker rm` does.
    Their streams are Removable then.
    """

    mounts: frozenset[type[Mount]]
    """The kinds of mount that it makes; `refusal` says of each if it cannot here."""

    gaps: tuple[str, ...]
    """What this engine isolates but cannot bound or filter, each with the reason. Empty:
    nothing.
    """

    player: tuple[int, int] | None
    """Uid and gid of the player as a keeper sees them. The keeper gives the player the files that a
    run may write in a mounted volume. None: the player is the keeper's own user.
    """

    def describe(self) -> Mapping[str, str]:
        """Return facts for a result file: version, storage driver, kernel and so on."""

    def check_image(self, image: str | None) -> str:
        """Return the image that runs will use.

        Raises ImageError if it is missing, or would give stale builds.
        """

    def open(self, spec: SandboxSpec) -> Sandbox:
        """Begin to start a run-container, and return at once.

        If the start fails, the first use of the sandbox raises.
        """

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        """Start a keeper for the volume: a Python zipapp, with the volume's folder as argument."""

    def refusal(self, mount: type[Mount]) -> str:
        """Say why this engine cannot make such a mount here, and what to do. Empty: it can."""

    def create_volume(self, name: str, *, temporary: bool, katas: str = "") -> None:
        """Create the volume unless it exists. `katas` is as in `Volume`."""

    def volumes(self) -> Sequence[Volume]:
        """Return all volumes with the harness's label."""

    def remove_volume(self, name: str) -> None:
        """Remove a volume with the katas in it."""

    def traces(self) -> Sequence[str]:
        """Say what this engine object started that still exists, a line each. Omits volumes."""

    def leftovers(self) -> Sequence[str]:
        """Say what owners left that have ended, a line each."""

    def sweep(self) -> Sequence[str]:
        """Remove the leftovers, and say what was removed, a line each.

        Touches nothing whose owner is alive.
        """

    def left_alone(self) -> Sequence[tuple[str, str]]:
        """Return what may be a leftover but cannot be judged from here, each with the reason."""

    def close(self) -> None:
        """Wait until everything that this engine object started has ended."""
