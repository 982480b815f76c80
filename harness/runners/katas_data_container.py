"""The notes' katas-data-container-runner: a tar-pipe between hidden katas and a fresh container.

No run sees the katas. The options answer the notes' question on granularity: with a data-container
for each kata or avatar, is the pipe still needed?
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
from harness.runners.seed import Seed, SeedEdit, Untold
from harness.runners.standby import Missed, Standby, Standing

KATAS, KATA, AVATAR = "katas", "kata", "avatar"
TWO_WAY, ONE_WAY, NONE = "two-way", "one-way", "none"
COLD, WARM, SEEDED = "cold", "warm", "seeded"

PLANTING_SECONDS = 5.0
"""Seconds that a head start waits for an avatar that another process is playing with."""


class KatasDataContainer(BaseRunner[Event]):
    """B -> D:katas, D -> R by tar-pipe, and back only if the run ended in time; no tar file exists.

    With the option `standby=warm`, a fresh container is started after each test event, for the
    next. With `seeded`, the avatar's tree is piped into it too, so that the next test event pipes
    in only the edit, and pipes back only what changed. At most `standing` containers stand by, and
    none is used twice. If the katas have changed meanwhile, or anything is in doubt, the test event
    starts from nothing.
    """

    name = "katas-data-container"
    katas_in = VOLUME
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        # One data-container for all katas, for each kata, or for each avatar.
        "granularity": (KATAS, KATA, AVATAR),
        # With none, the data-container is mounted.
        "pipe": (TWO_WAY, ONE_WAY, NONE),
        # What is prepared for the next test event: nothing, a container, or one with the tree.
        "standby": (COLD, WARM, SEEDED),
        # The most containers that stand by.
        "standing": ("8", "1", "2", "4", "16", "32", "64"),
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
        """Take the options of OPTIONS, and what BaseRunner takes.

        `pipe` is two-way by default, and none for an avatar's own data-container. Raises what
        BaseRunner raises, and UsageError for options that contradict each other.
        """
        given = {"granularity": granularity, "standby": standby} | ({"pipe": pipe} if pipe else {})
        self.check(given)
        self.pipe = _pipe(given)
        if self.pipe == NONE:
            self.mounts = WholeVolume
        super().__init__(engine, katas, **arguments)
        self._seeds = standby == SEEDED
        self.standby = Standby(self._stand_by, int(standing)) if standby != COLD else None
        """The head starts; None: each test event starts its own container."""

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
                f"{cls.name}: one data-container for all katas needs a pipe, because a run would "
                "see them all; take granularity=kata or avatar"
            )
        if granularity == AVATAR and pipe != NONE:
            raise UsageError(
                f"{cls.name}: an avatar's own data-container is mounted and needs no pipe; leave "
                f"pipe={pipe} out, or take granularity=kata"
            )
        if pipe == NONE and options.get("durable") == YES:
            raise UsageError(
                f"{cls.name}: durable={YES} needs a pipe; a run changes a mounted sandbox before "
                "anything is accepted"
            )
        if options.get("standby", COLD) != COLD and pipe != TWO_WAY:
            raise UsageError(
                f"{cls.name}: standby needs pipe={TWO_WAY}; leave standby or pipe={pipe} out"
            )

    @classmethod
    def claims(cls, options: Mapping[str, str]) -> frozenset[Property]:
        """One-way keeps nothing; a mounted sandbox is not atomic, and team mates share a kata's."""
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
        """Prepare the avatar's next test event, and return when it is ready.

        Does nothing without `standby`, or if one is ready. Raises EngineError if it cannot be
        prepared, and KatasError.
        """
        self._origin.require(self.name)
        if self.standby and (ready := self.standby.prepare(avatar)):
            # Cancelled if it gave way to others that were prepared meanwhile.
            with suppress(CancelledError):
                ready.result()

    @contextmanager
    def head_start(self, avatar: Avatar) -> Iterator[Standing | Missed | None]:
        if not self.standby:
            yield None
            return
        with self.standby.playing(avatar, of_anybody=not self._seeds) as standing:
            yield standing

    def look_ahead(self, avatar: Avatar) -> None:
        if self.standby:
            self.standby.prepare(avatar)

    def play(self, event: TestEvent) -> None:
        edit = self._send_edit(event) if event.seed else None
        if edit is None:
            self._send_all(event)
        if not event.run():
            return
        brought = None
        if self.pipe == TWO_WAY:
            with event.phase(
                "pipe_out", "3rd R:tmp -> D:katas (all, preserve date-time stamps)"
            ) as piped:
                if edit and event.seed:
                    brought = event.seed.bring_back(event.sandbox, event.katas, edit)
                piped.bytes_out = brought[1] if brought else event.katas.stage(event.sandbox.pack())
        event.commit(
            "4th output -> D:katas, <<GIT-COMMIT>>, 5th output -> B",
            brought[0] if brought else None,
        )

    def end_prepared(self) -> None:
        if self.standby:
            self.standby.close()

    def _send_all(self, event: TestEvent) -> None:
        event.save("1st B -> D:katas (changed only)")
        event.start()
        if self.pipe != NONE:
            with event.phase("pipe_in", "2nd D:katas -> R:tmp (all)") as piped:
                piped.bytes_in = event.sandbox.unpack(event.katas.pack)

    def _send_edit(self, event: TestEvent) -> SeedEdit | None:
        """Send only the edit to the sandbox that stood by, and return it.

        Returns None if that sandbox cannot be used; then another is being started.
        """
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
                except EngineError as error:
                    event.restart(str(error))
        if event.seed:
            event.restart()
        return None

    def _stand_by(self, avatar: Avatar) -> Standing:
        sandbox = self.engine.open(SandboxSpec(image=self.image, limits=self.limits))
        try:
            sandbox.wait()
            seed, untold = None, ""
            if self._seeds:
                try:
                    with closing(self.katas.event(avatar, seconds=PLANTING_SECONDS)) as katas:
                        seed = Seed.plant(sandbox, katas)
                except Untold as error:
                    untold = str(error)
                    # The test event will pipe in the whole tree, which needs an empty sandbox.
                    sandbox.close()
                    sandbox = self.engine.open(SandboxSpec(image=self.image, limits=self.limits))
                    sandbox.wait()
            sandbox.get_ready()
        except BaseException:
            sandbox.close()
            raise
        return Standing(sandbox, seed, untold)


WITH_HEAD_START = f"{KatasDataContainer.name}:standby={SEEDED}"
"""The variant that suits players who press again; `open_runner` takes it if none is named."""


def _pipe(options: Mapping[str, str]) -> str:
    """Return the pipe of these options. An avatar's own data-container has none by default."""
    return options.get("pipe") or (NONE if options.get("granularity") == AVATAR else TWO_WAY)
