"""The interface of all runners, and how a test event of the built-in ones begins and ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import ClassVar, Generic, Protocol, cast

from harness.engines import Engine, Limits, Sandbox, SandboxSpec
from harness.engines.spec import LONGEST_SECONDS, Mount
from harness.engines.streams.forks import Origin
from harness.inside.errors import Busy, EngineError, HarnessError, UsageError
from harness.inside.layout import Avatar, printable_name
from harness.inside.store import EVENT_SECONDS, Katas
from harness.inside.usage import DiskUsage
from harness.katas.places import VOLUME, open_folder_katas, open_volume
from harness.katas.visible import VisibleFiles
from harness.runners.active_events import ActiveEvents
from harness.runners.claims import ALL_PROPERTIES, Property
from harness.runners.event import KatasEvent, TestEvent
from harness.runners.progress import Progress
from harness.runners.request import EventRequest
from harness.runners.run import Output, Phase, Run
from harness.runners.standby import Missed, Standing
from harness.runners.stopwatch import Stopwatch

COMMAND = "./cyber-dojo.sh"

NO, YES = "no", "yes"

DURABLE: Mapping[str, tuple[str, ...]] = {"durable": (NO, YES)}
"""The option that syncs a test event to the disk before the runner reports it as accepted."""


class Runner(Protocol):
    """Plays test events. Other packages add runners by the entry point group `harness.runners`."""

    name: str
    """What `--runner` calls it."""

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
        """Play one test event: run the command on the files, and accept the result.

        - `avatar`: whose test event it is.
        - `files`: the visible files, all of them.
        - `max_seconds`: the time limit of the command.
        - `on_output`: called in this thread as soon as the command has ended in time, before its
          result is accepted. The returned run says whether it was; if not, the katas are as they
          were, though the output was shown. If the call raises, nothing is accepted.
        - `fresh`: begin in an empty sandbox. The history goes on.
        - `products`: also report what the run made, changed and deleted. Takes about 30 ms more.

        Raises UsageError for bad input, and KatasError if the katas cannot be read or written at
        all. Any later failure gives a faulty run.
        """

    def prepare(self, avatar: Avatar) -> None:
        """Prepare the avatar's next test event. `run` works without it."""

    def close(self) -> None:
        """End what was prepared, and close the katas. The caller closes the engine."""


class BaseRunner(Generic[KatasEvent]):
    """A runner whose subclass says, in `play`, what the steps of a test event are.

    A subclass that needs more of the katas than any test event has names the type of what it
    begins, as in `BaseRunner[VolumeCopyEvent]`, and begins it in `begin`.
    """

    name: ClassVar[str]
    """What `--runner` calls it."""

    katas_in: ClassVar[str]
    """Where it keeps the katas: FOLDER or VOLUME of `harness.katas.places`."""

    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Its options, which `__init__` takes as keywords, with their values, the default first."""

    mounts: type[Mount] | None = None
    """The kind of mount that its run-containers need. None: none."""

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
        """Check that the engine and the image can take part.

        - `engine`: starts the run-containers. The caller closes it.
        - `katas`: the store. `close` closes it.
        - `image`: None takes the engine's default.
        - `command`: the command line that each test event runs.
        - `limits`: None takes the defaults.
        - `observe`: also take snapshots around each command, to measure and prove.
        - `durable`: "yes" syncs each test event to the disk before it is reported as accepted.

        Raises ImageError if the image is missing or would give stale builds, and EngineError if the
        engine cannot make the mount that the runner needs.
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
            raise UsageError("the command contains a NUL, which a command line cannot")
        engine.check_image(image)
        self._weighed: dict[Avatar, DiskUsage] = {}
        self._origin = Origin()
        self._active = ActiveEvents(self.name)

    @classmethod
    def open_katas(cls, engine: Engine, place: str | Path | None, **options: str) -> Katas:
        """Open the katas in a place. None: in a temporary one, which closing removes.

        Raises UsageError for a place that this kind of runner cannot use.
        """
        return open_volume(engine, place) if cls.katas_in == VOLUME else open_folder_katas(place)

    @classmethod
    def check(cls, options: Mapping[str, str]) -> None:
        """Raise UsageError for options that contradict each other; each is in OPTIONS."""

    @classmethod
    def claims(cls, options: Mapping[str, str]) -> frozenset[Property]:
        """Return the properties that it claims with these options, on an engine that isolates."""
        return ALL_PROPERTIES

    @staticmethod
    def claims_durable(options: Mapping[str, str]) -> frozenset[Property]:
        """Return what the option DURABLE adds to the claims."""
        return frozenset({Property.DURABLE}) if options.get("durable") == YES else frozenset()

    def play(self, event: TestEvent[KatasEvent]) -> None:
        """Play the steps, up to the one that accepts the test event."""
        raise NotImplementedError

    def begin(self, avatar: Avatar, seconds: float = EVENT_SECONDS) -> KatasEvent:
        """Begin the avatar's test event in the katas. Wait at most `seconds` for another to end."""
        return cast(KatasEvent, self.katas.event(avatar, seconds=seconds, **self.how))

    def spec(self, avatar: Avatar, katas: KatasEvent) -> SandboxSpec:
        """Describe the run-container for the test event that `begin` returned."""
        return SandboxSpec(image=self.image, limits=self.limits)

    @contextmanager
    def head_start(self, avatar: Avatar) -> Iterator[Standing | Missed | None]:
        """Give the block, which plays a test event of the avatar, what was prepared for it."""
        yield None

    def look_ahead(self, avatar: Avatar) -> None:
        """Begin to prepare the avatar's next test event, and return at once."""

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
        """Play one test event; see `Runner.run`."""
        self._origin.require(self.name)
        if not 0 < max_seconds < math.inf:
            raise UsageError(f"the limit must be a number of seconds above 0, not {max_seconds:g}")
        if max_seconds > LONGEST_SECONDS:
            raise UsageError(
                f"the limit must be {LONGEST_SECONDS:g} seconds at most, not {max_seconds:g}"
            )
        visible = files if isinstance(files, VisibleFiles) else VisibleFiles(files)
        self._check_sizes(visible)
        watch = Stopwatch()
        visible = visible.freeze()
        since = watch.started / 10**9

        def begun(sandbox: Sandbox) -> Sandbox:
            """Count the time that the test event has already taken."""
            sandbox.begin(since)
            return sandbox

        with ExitStack() as stack:
            active = stack.enter_context(self._active.event())
            prepared = stack.enter_context(self.head_start(avatar))
            standing = prepared if isinstance(prepared, Standing) else None
            missed = prepared.reason if isinstance(prepared, Missed) else ""
            try:
                katas = stack.enter_context(closing(self.begin(avatar, self._left(since))))
                if fresh:
                    katas.start_afresh()
                step = "katas (the avatar's lock, and a keeper if they are in a volume)"
                watch.phases.append(Phase("open", step, watch.elapsed()))
                spec = self.spec(avatar, katas)
            except (EngineError, Busy) as error:
                self._active.check()
                return Run.faulty(error, watch.elapsed())
            event = TestEvent(
                EventRequest(
                    visible,
                    self.command,
                    max_seconds,
                    on_output=on_output,
                    observe=self.observe,
                    products=products,
                ),
                katas,
                begun(standing.sandbox if standing else self.engine.open(spec)),
                open_another=(lambda: begun(self.engine.open(spec))) if standing else None,
                seed=standing.seed if standing else None,
                weighed=self._weighed.pop(avatar, None),
                watch=watch,
                progress=Progress(missed=standing.untold if standing else missed),
            )
            # Lambdas, because the test event may get another sandbox.
            stack.callback(lambda: event.sandbox.close())  # noqa: PLW0108
            active.end = lambda: event.sandbox.kill()  # noqa: PLW0108
            event.owner = spec.owner(self.engine.player)
            event.roots, event.mounted = spec.roots, spec.mount is not None
            try:
                self.play(event)
            except UsageError:
                raise
            except (HarnessError, OSError) as error:
                self._active.check()
                event.failed(error)
        run = event.result()
        if event.weighed and run.tag:
            self._weighed[avatar] = event.weighed
        self.look_ahead(avatar)
        return run

    def _left(self, since: float) -> float:
        """Return the seconds left of the test event that began at `since`, but at least 1 ms."""
        return max(since + self.limits.event_seconds - time.monotonic(), 0.001)

    def _check_sizes(self, files: VisibleFiles) -> None:
        """Raise UsageError for files that are too many or too large, before anything is copied."""
        total = 0
        if len(files) > self.limits.files:
            raise UsageError(
                f"there are {len(files)} files; the limit is {self.limits.files} (Limits.files)"
            )
        for name, file in files.items():
            total += file.size
            if file.size > self.limits.file:
                raise UsageError(
                    f"{printable_name(name)} has {file.size} bytes; the limit of a file is "
                    f"{self.limits.file}"
                )
        if total > self.limits.sandbox:
            raise UsageError(
                f"the files have {total} bytes together; the limit is {self.limits.sandbox}"
            )

    def prepare(self, avatar: Avatar) -> None:
        """Do nothing: this runner prepares nothing."""

    def close(self) -> None:
        """Close the runner and its katas. Active test events raise UsageError.

        Does nothing in a fork of the process that made the runner.
        """
        if self._origin.is_here():
            self._active.close(self.katas.interrupt)
            self.end_prepared()
            self.katas.close()

    def end_prepared(self) -> None:
        """End what was prepared."""
