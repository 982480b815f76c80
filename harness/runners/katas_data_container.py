"""The notes' katas-data-container-runner: a tar-pipe between katas that no run can see and a fresh container; and what the
notes' section on granularity asks: with a data-container for each kata or avatar, is the pipe still needed?
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from harness.engines import Engine, SandboxSpec
from harness.engines.spec import WholeVolume
from harness.inside.errors import EngineError, UsageError
from harness.inside.layout import SANDBOX, Avatar, avatar_folder
from harness.inside.store import Event, Katas
from harness.katas.granular_katas import GranularKatas
from harness.katas.places import VOLUME, open_granular, open_volume
from harness.katas.volume_katas import VolumeKatas
from harness.runners.base import DURABLE, YES, BaseRunner
from harness.runners.claims import EVERYTHING, OF_KEPT_TREES, Property
from harness.runners.event import TestEvent
from harness.runners.seed import Seed, SeedEdit
from harness.runners.standby import Standby, Standing

KATAS, KATA, AVATAR = "katas", "kata", "avatar"
TWO_WAY, ONE_WAY, NONE = "two-way", "one-way", "none"
COLD, WARM, SEEDED = "cold", "warm", "seeded"

PLANTING_SECONDS = 5.0
"""How long a head start waits for an avatar that another process plays with: it helps nobody then."""


class KatasDataContainer(BaseRunner):
    """B -> D:katas, D -> R by tar-pipe, and back only if the run ended in time. No tar file ever exists.

    Option `standby`: with `warm` a fresh container is started after each test event, for the next; with `seeded` the
    avatar's tree is piped into it too, so that the next one pipes in only the edit and pipes back only what changed. At
    most `standing` of them stand by. Neither is ever used twice, and where the katas changed meanwhile, or anything else
    is in doubt, the test event starts from nothing.
    """

    name = "katas-data-container"
    katas_in = VOLUME
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "granularity": (
            KATAS,
            KATA,
            AVATAR,
        ),  # one data-container for all katas, for each kata, for each avatar
        "pipe": (TWO_WAY, ONE_WAY, NONE),  # with none, the data-container is mounted
        "standby": (
            COLD,
            WARM,
            SEEDED,
        ),  # what is prepared for the next test event: nothing, a container, the tree in it
        "standing": ("8", "1", "2", "4", "16", "32", "64"),  # so many at most
        **DURABLE,
    }
    katas: VolumeKatas | GranularKatas

    def __init__(
        self,
        engine: Engine,
        katas: Katas,
        *,
        granularity: str = KATAS,
        pipe: str = "",
        standby: str = COLD,
        standing: str = "8",
        **arguments: Any,
    ) -> None:
        """`pipe` is two-way unless given, and none for an avatar's own data-container. Raises what BaseRunner does,
        UsageError for options that make no sense together, and EngineError where no volume can be mounted.
        """
        given = {"granularity": granularity, "standby": standby} | ({"pipe": pipe} if pipe else {})
        self.check(given)
        self.pipe = _pipe(given)
        if self.pipe == NONE:
            self.mounts = WholeVolume
        super().__init__(engine, katas, **arguments)
        self._seeds = standby == SEEDED
        self._standby = Standby(self._stand_by, int(standing)) if standby != COLD else None

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
        if pipe == NONE and options.get("durable") == YES:
            raise UsageError(
                f"{cls.name}: durable={YES} is for what is piped; what is mounted a run changes before anything is accepted"
            )
        if options.get("standby", COLD) != COLD and pipe != TWO_WAY:
            raise UsageError(
                f"{cls.name}: a head start is for pipe={TWO_WAY}; leave standby or pipe={pipe} out"
            )

    @classmethod
    def claims(cls, options: Mapping[str, str]) -> frozenset[Property]:
        """What is not piped back is not kept; what is mounted stays half done, and team mates share what they mount."""
        pipe = _pipe(options)
        if pipe == ONE_WAY:
            return EVERYTHING - OF_KEPT_TREES | cls.claims_durable(options)
        if pipe == TWO_WAY:
            return EVERYTHING | cls.claims_durable(options)
        mounted = EVERYTHING - {Property.ATOMIC, Property.TIMED_OUT, Property.OWNERSHIP}
        return mounted - {Property.ISOLATED} if options.get("granularity") == KATA else mounted

    def spec(self, avatar: Avatar, katas: Event) -> SandboxSpec:
        spec = super().spec(avatar, katas)
        if self.pipe != NONE:
            return spec
        mount = WholeVolume(self.katas.container(avatar), f"{avatar_folder(avatar)}/{SANDBOX}")
        return replace(spec, mount=mount, roots=katas.roots)

    def prepare(self, avatar: Avatar) -> None:
        """A head start for the avatar's next test event, unless there is one; returns when it is ready. Raises
        EngineError where none can be made, and KatasError.
        """
        self._origin.require(self.name)
        if self._standby and (ready := self._standby.prepare(avatar)):
            with suppress(
                CancelledError
            ):  # others were prepared meanwhile, and it gave way to them
                ready.result()

    @contextmanager
    def head_start(self, avatar: Avatar) -> Iterator[Standing | None]:
        if not self._standby:
            yield None
            return
        with self._standby.playing(avatar, of_anybody=not self._seeds) as standing:
            yield standing

    def look_ahead(self, avatar: Avatar) -> None:
        if self._standby:
            self._standby.prepare(avatar)

    def play(self, event: TestEvent) -> None:
        edit = self._send_edit(event) if event.seed else None
        if edit is None:
            self._send_all(event)
        if not event.run():
            return
        found = None
        if self.pipe == TWO_WAY:
            with event.phase(
                "pipe_out", "3rd R:tmp -> D:katas (all, preserve date-time stamps)"
            ) as piped:
                if edit and event.seed:
                    found = event.seed.bring_back(event.sandbox, event.katas, edit)
                piped.bytes_out = found[1] if found else event.katas.stage(event.sandbox.pack())
        event.commit(
            "4th output -> D:katas, <<GIT-COMMIT>>, 5th output -> B", found[0] if found else None
        )

    def let_go(self) -> None:
        if self._standby:
            self._standby.close()

    def _send_all(self, event: TestEvent) -> None:
        event.save("1st B -> D:katas (changed only)")
        event.start()
        if self.pipe != NONE:
            with event.phase("pipe_in", "2nd D:katas -> R:tmp (all)") as piped:
                piped.bytes_in = event.sandbox.unpack(event.katas.pack)

    def _send_edit(self, event: TestEvent) -> SeedEdit | None:
        """What was sent; None where the sandbox that stood by is of no use, and another is on its way."""
        event.start()
        edit = event.resume("1st B -> D:katas (changed only)") if event.seed else None
        if edit is not None:
            with event.phase("pipe_in", "2nd D:katas -> R:tmp (only the edit)") as piped:
                try:
                    if edit.deleted:
                        event.sandbox.delete(edit.deleted)
                    if edit.sent:
                        piped.bytes_in = event.sandbox.unpack(
                            partial(event.katas.pack, paths=edit.sent)
                        )
                    return edit
                except EngineError:
                    pass  # it starts from nothing, as it would have without
        if event.seed:
            event.restart()
        return None

    def _stand_by(self, avatar: Avatar) -> Standing:
        sandbox = self.engine.open(SandboxSpec(image=self.image, limits=self.limits))
        try:
            sandbox.wait()
            seed = None
            if self._seeds:
                with closing(self.katas.event(avatar, seconds=PLANTING_SECONDS)) as katas:
                    seed = Seed.plant(sandbox, katas)
                if seed is None:
                    # The whole tree will be piped in, into an empty one: what is gone by then must not be there.
                    sandbox.close()
                    sandbox = self.engine.open(SandboxSpec(image=self.image, limits=self.limits))
                    sandbox.wait()
            sandbox.get_ready()
        except BaseException:
            sandbox.close()
            raise
        return Standing(sandbox, seed)


def _pipe(options: Mapping[str, str]) -> str:
    """The pipe that these options ask for; an avatar's own data-container has none unless one is asked for."""
    return options.get("pipe") or (NONE if options.get("granularity") == AVATAR else TWO_WAY)
