"""The notes' katas-data-container-runner: a tar-pipe between katas that no run can see and a fresh container; and what the
notes' section on granularity asks: with a data-container for each kata or avatar, is the pipe still needed?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from harness.engines import Engine, SandboxSpec
from harness.engines.spec import WholeVolume
from harness.errors import EngineError, UsageError
from harness.katas.granular import GranularKatas
from harness.katas.kept import VolumeKatas
from harness.katas.layout import SANDBOX, Avatar, avatar_folder
from harness.katas.places import VOLUME, open_granular, open_volume
from harness.katas.store import Katas
from harness.runners.base import BaseRunner
from harness.runners.claims import ALL, Property
from harness.runners.event import TestEvent

KATAS, KATA, AVATAR = "katas", "kata", "avatar"
TWO_WAY, ONE_WAY, NONE = "two-way", "one-way", "none"


class KatasDataContainer(BaseRunner):
    """B -> D:katas, D -> R by tar-pipe, and back only if the run ended in time. No tar file ever exists."""

    name = "katas-data-container"
    katas_in = VOLUME
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "granularity": (
            KATAS,
            KATA,
            AVATAR,
        ),  # one data-container for all katas, for each kata, for each avatar
        "pipe": (TWO_WAY, ONE_WAY, NONE),  # with none, the data-container is mounted
    }
    katas: VolumeKatas | GranularKatas

    def __init__(
        self, engine: Engine, katas: Katas, *, granularity: str = KATAS, pipe: str = "", **arguments: Any
    ) -> None:
        """`pipe` is two-way unless given, and none for an avatar's own data-container. Raises what BaseRunner does,
        UsageError for options that make no sense together, and EngineError where no volume can be mounted.
        """
        given = {"granularity": granularity} | ({"pipe": pipe} if pipe else {})
        self.check(given)
        self.pipe = _pipe(given)
        if self.pipe == NONE and (why := engine.refusal(WholeVolume)):
            raise EngineError(why)
        super().__init__(engine, katas, **arguments)

    @classmethod
    def open_katas(cls, engine: Engine, place: str | Path | None, **options: str) -> Katas:
        granularity = options.get("granularity", KATAS)
        if granularity == KATAS:
            return open_volume(engine, place)
        return open_granular(engine, place, by_avatar=granularity == AVATAR)

    @classmethod
    def check(cls, options: Mapping[str, str]) -> None:
        granularity, pipe = options.get("granularity", KATAS), _pipe(options)
        if granularity == KATAS and pipe == NONE:
            raise UsageError(
                f"{cls.name}: one data-container for all katas cannot do without a pipe, since a run would see them all; "
                "take granularity=kata or avatar"
            )
        if granularity == AVATAR and pipe != NONE:
            raise UsageError(
                f"{cls.name}: an avatar's own data-container is mounted and needs no pipe; leave pipe={pipe} out, "
                "or take granularity=kata"
            )

    @classmethod
    def claims(cls, options: Mapping[str, str]) -> frozenset[Property]:
        """What is not piped back is not kept; what is mounted stays half done, and team mates share what they mount."""
        pipe = _pipe(options)
        if pipe == ONE_WAY:
            return ALL - {Property.EXACT_MTIMES, Property.INCREMENTAL, Property.MIRROR}
        if pipe == TWO_WAY:
            return ALL
        mounted = ALL - {Property.ATOMIC, Property.TIMED_OUT, Property.OWNERSHIP}
        return mounted - {Property.ISOLATED} if options.get("granularity") == KATA else mounted

    def spec(self, avatar: Avatar) -> SandboxSpec:
        spec = super().spec(avatar)
        if self.pipe != NONE:
            return spec
        return replace(
            spec, mount=WholeVolume(self.katas.container(avatar), f"{avatar_folder(avatar)}/{SANDBOX}")
        )

    def play(self, event: TestEvent) -> None:
        event.save("1st B -> D:katas (changed only)")
        event.start()
        if self.pipe != NONE:
            with event.phase("pipe_in", "2nd D:katas -> R:tmp (all)") as piped:
                piped.bytes_in = event.sandbox.unpack(event.katas.pack)
        if event.run():
            if self.pipe == TWO_WAY:
                with event.phase(
                    "pipe_out", "3rd R:tmp -> D:katas (all, preserve date-time stamps)"
                ) as piped:
                    piped.bytes_out = event.katas.stage(event.sandbox.pack())
            event.commit("4th output -> D:katas, <<GIT-COMMIT>>, 5th output -> B")


def _pipe(options: Mapping[str, str]) -> str:
    """The pipe that these options ask for; an avatar's own data-container has none unless one is asked for."""
    return options.get("pipe") or (NONE if options.get("granularity") == AVATAR else TWO_WAY)
