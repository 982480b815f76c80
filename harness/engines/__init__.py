"""Engines: what run-containers, keepers and volumes are made of. One interface, two implementations."""

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
    """Where the katas of a data-container live; only a keeper looks into it."""

    name: str
    temporary: bool  # goes with its owner
    katas: str = (
        ""  # the katas that it holds a part of; empty: it holds all of those of its own name
    )


def part_of(name: str, katas: str | None) -> str:
    """What Volume.katas is for the volume of this name whose label says `katas`; older ones have none."""
    return "" if katas in (None, name) else str(katas)


class Engine(Protocol):
    """Makes run-containers and keepers, and finds what a crash left of them. One that can be pickled is made anew in another
    process: there it reaches the same, and owns nothing yet.
    """

    name: str
    isolates: bool  # whether a run is kept from the host and from other runs
    gaps: tuple[str, ...]
    """What an engine that isolates would bound and this one does not, with the reason; empty where nothing is left open."""
    player: tuple[int, int] | None
    """Uid and gid of the player as a keeper sees them, to whom it hands over what a run is to write in a mounted volume;
    None where the player is the keeper's own user.
    """

    def describe(self) -> Mapping[str, str]:
        """Facts for a result file: version, storage driver, kernel, tar, and so on."""

    def check_image(self, image: str | None) -> str:
        """The image that will be used; raises ImageError when it is missing or would give stale builds."""

    def open(self, spec: SandboxSpec) -> Sandbox:
        """Begin to start a run-container and return; a failure is raised by the sandbox's first use."""

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        """Start a keeper: a Python program (a zipapp) beside the volume, whose folder is its argument."""

    def refusal(self, mount: type[Mount]) -> str:
        """Why this engine cannot mount so, and what to do; empty when it can."""

    def create_volume(self, name: str, *, temporary: bool, katas: str = "") -> None:
        """Make the volume unless it exists, with a part of the katas of that name, or all of those of its own."""

    def volumes(self) -> Sequence[Volume]:
        """All volumes with the harness's label."""

    def remove_volume(self, name: str) -> None:
        """Remove a volume and the katas in it."""

    def traces(self) -> Sequence[str]:
        """What this engine object has started and is still there, a line each; volumes are left out."""

    def leftovers(self) -> Sequence[str]:
        """What owners that have gone left behind, a line each."""

    def sweep(self) -> Sequence[str]:
        """Remove the leftovers; returns what was removed, a line each. Touches nothing that has a living
        owner.
        """

    def left_alone(self) -> Sequence[tuple[str, str]]:
        """What may be left behind, but is not removed, since that cannot be told from here: what, and why."""

    def close(self) -> None:
        """Wait until everything that this engine object started has gone."""
