"""The one interface of all runners, and what the built-in ones share: how a test event begins and ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import ClassVar, Protocol

from harness.engines import Engine, Limits, Sandbox, SandboxSpec
from harness.engines.spec import Mount
from harness.engines.streams.forks import Origin
from harness.inside.errors import Busy, EngineError, HarnessError, UsageError
from harness.inside.layout import Avatar, printable_name
from harness.inside.store import EVENT_SECONDS, Event, Katas
from harness.inside.usage import DiskUsage
from harness.katas.places import VOLUME, open_folder_katas, open_volume
from harness.katas.visible import VisibleFiles
from harness.runners.active_events import ActiveEvents
from harness.runners.claims import ALL_PROPERTIES, Property
from harness.runners.event import TestEvent
from harness.runners.run import Output, Phase, Run
from harness.runners.standby import Standing

COMMAND = "./cyber-dojo.sh"

NO, YES = "no", "yes"

DURABLE: Mapping[str, tuple[str, ...]] = {"durable": (NO, YES)}
"""An option: whether a test event is on the disk for sure before it is told as accepted, whatever fails then."""


class Runner(Protocol):
    """Plays test events. Third-party runners arrive by the entry point group `harness.runners`."""

    name: str

    def run(
        self,
        avatar: Avatar,
        files: VisibleFiles,
        *,
        max_seconds: float = 10.0,
        on_output: Callable[[Output], object] | None = None,
        fresh: bool = False,
        products: bool = False,
    ) -> Run:
        """One test event. Raises UsageError for bad input, and KatasError where the katas cannot be read or
        written at all; whatever fails later gives a run that is faulty.

        `on_output` is called, in the caller's thread, as soon as a command has ended in time: the player need not wait
        for what it did to be kept. Whether it was is what the run tells that is returned then; after a fault in between
        the katas are as they were, though the output was shown. What it raises ends the test event: nothing is accepted.
        `fresh` begins in an empty sandbox; the history goes on. With `products` the run tells what it made, changed and
        deleted, which takes some 30 ms more.
        """

    def prepare(self, avatar: Avatar) -> None:
        """A head start between test events; `run` works without it."""

    def close(self) -> None:
        """End what was prepared, and let go of the katas. The engine is the caller's to close."""


class BaseRunner:
    """A runner whose test event is the steps of `play`."""

    name: ClassVar[str]
    katas_in: ClassVar[str]
    """The kind of place that it keeps the katas in: FOLDER or VOLUME of harness.katas.places."""
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The options that it takes as keyword arguments, and their values, the default first; see DURABLE for one of all that can
    keep what is accepted from being torn.
    """
    mounts: type[Mount] | None = None
    """The kind of mount that its run-containers need, of a volume."""

    def __init__(
        self,
        engine: Engine,
        katas: Katas,
        *,
        image: str | None = None,
        command: str = COMMAND,
        limits: Limits | None = None,
        observe: bool = False,
        durable: str = NO,
    ) -> None:
        """`observe` also takes snapshots of the sandbox around each command, for measuring and proving; `durable` is one of
        DURABLE.

        Raises ImageError when the image is missing or would give stale builds, and EngineError where the engine cannot
        mount what the runner `mounts`.
        """
        if self.mounts and (why := engine.refusal(self.mounts)):
            raise EngineError(why)
        self.engine, self.katas = engine, katas
        self.image, self.command, self.observe = image, command, observe
        self.limits = limits or Limits()
        self.how: Mapping[str, bool] = {"durable": True} if durable == YES else {}
        if not command.strip():
            raise UsageError("the command is empty; leave it out to run ./cyber-dojo.sh")
        if "\0" in command:
            raise UsageError("the command has a NUL in it, which no command line can")
        engine.check_image(image)
        self._weighed: dict[Avatar, DiskUsage] = {}
        self._origin = Origin()
        self._under_way = ActiveEvents(self.name)

    @classmethod
    def open_katas(cls, engine: Engine, place: str | Path | None, **options: str) -> Katas:
        """The katas in a place of this runner's kind, with these options; None: in a temporary one, removed when closed.
        Raises UsageError for a place of another kind.
        """
        return open_volume(engine, place) if cls.katas_in == VOLUME else open_folder_katas(place)

    @classmethod
    def check(cls, options: Mapping[str, str]) -> None:
        """Raise UsageError for options that make no sense together; each by itself is known to be one of OPTIONS."""

    @classmethod
    def claims(cls, options: Mapping[str, str]) -> frozenset[Property]:
        """The properties that it claims with these options, on an engine that isolates."""
        return ALL_PROPERTIES

    @staticmethod
    def claims_durable(options: Mapping[str, str]) -> frozenset[Property]:
        """What the option DURABLE adds to what is claimed."""
        return frozenset({Property.DURABLE}) if options.get("durable") == YES else frozenset()

    def play(self, event: TestEvent) -> None:
        """The steps, up to the one that accepts the test event."""
        raise NotImplementedError

    def begin(self, avatar: Avatar, seconds: float = EVENT_SECONDS) -> Event:
        """The avatar's test event in the katas, for which so many seconds may be waited."""
        return self.katas.event(avatar, seconds=seconds, **self.how)

    def spec(self, avatar: Avatar, katas: Event) -> SandboxSpec:
        """The run-container that the steps need, for the test event that `begin` gave."""
        return SandboxSpec(image=self.image, limits=self.limits)

    @contextmanager
    def head_start(self, avatar: Avatar) -> Iterator[Standing | None]:
        """What was prepared for the avatar's test event that begins now, and ends with the block."""
        yield None

    def look_ahead(self, avatar: Avatar) -> None:
        """A test event of the avatar has ended: a head start for the next may be prepared, without waiting for it."""

    def run(
        self,
        avatar: Avatar,
        files: VisibleFiles | Mapping[str, str | bytes],
        *,
        max_seconds: float = 10.0,
        on_output: Callable[[Output], object] | None = None,
        fresh: bool = False,
        products: bool = False,
    ) -> Run:
        """One test event; see Runner."""
        self._origin.require(self.name)
        if not 0 < max_seconds < math.inf:
            raise UsageError(f"the limit must be a number of seconds above 0, not {max_seconds:g}")
        visible = files if isinstance(files, VisibleFiles) else VisibleFiles(files)
        self._check_sizes(visible)
        started = time.monotonic_ns()
        visible = visible.freeze()
        since = started / 10**9

        def begun(sandbox: Sandbox) -> Sandbox:
            """The time of the whole test event has been running."""
            sandbox.begin(since)
            return sandbox

        with ExitStack() as stack:
            under_way = stack.enter_context(self._under_way.event())
            standing = stack.enter_context(self.head_start(avatar))
            try:
                katas = stack.enter_context(closing(self.begin(avatar, self._left(since))))
                if fresh:
                    katas.start_afresh()
                opened = Phase(
                    "open",
                    "katas (the avatar's lock, and a keeper if they are in a volume)",
                    time.monotonic_ns() - started,
                )
                spec = self.spec(avatar, katas)
            except (EngineError, Busy) as error:
                self._under_way.check()
                return Run.faulty(error, time.monotonic_ns() - started)
            event = TestEvent(
                katas,
                begun(standing.sandbox if standing else self.engine.open(spec)),
                visible,
                self.command,
                max_seconds,
                self.observe,
                self._weighed.pop(avatar, None),
                started=started,
                on_output=on_output,
                open_another=(lambda: begun(self.engine.open(spec))) if standing else None,
                seed=standing.seed if standing else None,
                wants_products=products,
            )
            stack.callback(lambda: event.sandbox.close())  # noqa: PLW0108 - the one that it has by then
            under_way.end = lambda: event.sandbox.kill()  # noqa: PLW0108 - the one that it has by then
            event.phases.append(opened)
            if isinstance(spec.mount, Path):
                event.owner = (spec.uid, spec.gid)
            elif spec.mount:
                event.owner = self.engine.player
            event.roots = spec.roots
            try:
                self.play(event)
            except UsageError:
                raise
            except (HarnessError, OSError) as error:
                self._under_way.check()
                event.failed(error)
        if event.weighed and event.tag:
            self._weighed[avatar] = event.weighed
        run = event.result(time.monotonic_ns() - started)
        self.look_ahead(avatar)
        return run

    def _left(self, since: float) -> float:
        """Seconds of the test event that began then; where none are left, what it takes to see that nobody is there."""
        return max(since + self.limits.event_seconds - time.monotonic(), 0.001)

    def _check_sizes(self, files: VisibleFiles) -> None:
        """Before anything is copied, which would take its time and then fail."""
        total = 0
        for name, file in files.items():
            total += file.size
            if file.size > self.limits.file:
                raise UsageError(
                    f"{printable_name(name)} has {file.size} bytes; the limit of a file is {self.limits.file}"
                )
        if total > self.limits.sandbox:
            raise UsageError(
                f"the files have {total} bytes together; the limit is {self.limits.sandbox}"
            )

    def prepare(self, avatar: Avatar) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        """Test events that are under way end with UsageError. In a fork of the process that made it, nothing happens."""
        if self._origin.is_here():
            self._under_way.close(self.katas.interrupt)
            self.let_go()
            self.katas.close()

    def let_go(self) -> None:
        """End what was prepared."""
