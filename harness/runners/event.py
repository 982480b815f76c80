"""One test event under way: the steps that runners are made of, each timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from harness.engines import Execution, Sandbox
from harness.engines.guest.caches import cache_remarks
from harness.engines.usage import ResourceUsage
from harness.inside.changes import Changes
from harness.inside.delta import Delta
from harness.inside.errors import EngineError, HarnessError
from harness.inside.saving import SavedFile
from harness.inside.store import Event, Increment, SendPlan
from harness.inside.tree import Snapshot
from harness.inside.usage import DiskUsage
from harness.katas import commits
from harness.katas.visible import VisibleFiles
from harness.runners.products import Products, listing_before
from harness.runners.run import Observation, Outcome, Output, Phase, Run
from harness.runners.seed import Seed, SeedEdit


@dataclass(frozen=True)
class Look:
    """A look at a sandbox, which no user pays for."""

    seen: Snapshot
    usage: ResourceUsage
    cost_ns: int  # processor time of the harness

    @classmethod
    def at(cls, sandbox: Sandbox) -> Look:
        started = time.process_time_ns()
        seen, usage = sandbox.observe(), sandbox.usage()
        return cls(seen, usage, time.process_time_ns() - started)

    def until(self, later: Look) -> Observation:
        """What one command did between the two."""
        return Observation(
            self.seen,
            later.seen,
            later.usage.processor_ns - self.usage.processor_ns
            if self.usage.processor_ns is not None and later.usage.processor_ns is not None
            else None,
            later.usage.memory,
            self.cost_ns + later.cost_ns,
        )


@dataclass
class Timer:
    """What a step fills in while it is timed."""

    bytes_in: int = 0
    bytes_out: int = 0


@dataclass
class TestEvent:
    """The state of one test event between its steps."""

    __test__ = False  # not a test, whatever pytest thinks of its name

    katas: Event
    sandbox: Sandbox
    files: VisibleFiles
    command: str
    max_seconds: float
    observe: bool = False
    weighed: DiskUsage | None = (
        None  # the avatar at the end of its last test event, then of this one; None: not known
    )
    started: int = field(default_factory=time.monotonic_ns)  # the press of the button
    on_output: Callable[[Output], object] | None = None
    open_another: Callable[[], Sandbox] | None = None  # in place of one that stood by
    seed: Seed | None = None  # what that holds already
    owner: tuple[int, int] | None = (
        None  # who is to own the sandbox, where the run sees the katas themselves
    )
    roots: tuple[int, ...] = ()  # see SandboxSpec
    execution: Execution | None = None
    tag: int | None = None
    reason: str = ""
    observed: Observation | None = None
    wants_products: bool = False
    products: Products | None = None
    answered: int | None = None
    phases: list[Phase] = field(default_factory=list)
    unseen: int = 0  # nanoseconds spent on observing, which no user pays
    _comparison: SendPlan | None = None

    @contextmanager
    def phase(self, kind: str, step: str) -> Iterator[Timer]:
        """Time one step."""
        timer = Timer()
        started = time.monotonic_ns()
        yield timer
        self.phases.append(
            Phase(kind, step, time.monotonic_ns() - started, timer.bytes_in, timer.bytes_out)
        )

    def save(self, step: str) -> Delta:
        """Copy what changed of the visible files into the katas."""
        with self.phase("save", step):
            delta = self._compare().delta
            if delta.written or delta.deleted or self.owner:
                self.katas.save(self._to_write(delta), delta, owner=self.owner)
        return delta

    def resume(self, step: str) -> SeedEdit | None:
        """Copy what changed of the visible files into the katas, for a sandbox that holds all the rest: what has to be
        sent there. None if it no longer does, or if that is in doubt; nothing was copied then.
        """
        seed = self.seed
        assert seed is not None
        with self.phase("save", step):
            manifest = self.files.manifest()
            comparison = seed.compare(manifest)
            if comparison is None:
                return None
            delta = comparison.delta
            if not self.katas.resume(
                seed.held.mark, self._to_write(delta), delta, latest=seed.listing.newest()
            ):
                return None
            self._comparison = comparison
            return seed.edit(delta)

    def restart(self) -> None:
        """Go on in a fresh sandbox, in place of one that stood by and is of no use."""
        assert self.open_another is not None
        self.sandbox.close()
        self.sandbox, self.seed, self.open_another = self.open_another(), None, None

    def start(self) -> None:
        """Wait for the container; what happened meanwhile has hidden part of its start. One that stood by is asked if it
        is still there.
        """
        with self.phase("start", "container"):
            if self.open_another:
                try:
                    self.sandbox.get_ready()
                except EngineError:
                    self.restart()
            self.sandbox.wait()

    def run(self) -> bool:
        """<<RUN>>; True if it completed."""
        look = self._look()
        listing = listing_before(self.sandbox) if self.wants_products else None
        with self.phase("run", "<<RUN>>"):
            self.execution = self.sandbox.execute(self.command, self.max_seconds, self.roots)
        self.reason = self.execution.reason
        if self.execution.starved:
            self.reason = (
                "killed for want of memory: the run's processes wanted more than they may have together; "
                "give it more (Limits.memory), or let it take less"
            )
        completed = self.execution.status is not None
        if completed:
            self._hand_out(self.execution)
        if completed and listing:
            self.products = Products.between(listing, self.sandbox)
        if completed and look:
            again = self._look()
            assert again is not None
            self.observed = look.until(again)
        return completed

    def commit(self, step: str, changes: Changes | None = None) -> None:
        """Accept the test event: the output, the commit of the visible files, the tag, and a staged tree if
        there is one, or what `changes` bring.
        """
        assert self.execution is not None
        with self.phase("commit", step):
            comparison = self._compare()
            now = datetime.now(UTC)
            increment = Increment(
                tag=comparison.tag + 1,
                time=now.isoformat(timespec="milliseconds"),
                outcome=Outcome.COMPLETED,
                status=self.execution.status,
            )
            self.katas.accept(
                commits.build_commit(
                    self.files,
                    comparison,
                    stdout=self.execution.stdout,
                    stderr=self.execution.stderr,
                    increment=increment,
                    seconds=int(now.timestamp()),
                ),
                changes,
            )
            self.tag = increment.tag
        self._weigh()

    def failed(self, error: HarnessError | OSError) -> None:
        """What a step raised: the test event is faulty, and the katas are as they were."""
        self.reason = str(error)

    def result(self, nanoseconds: int) -> Run:
        """The test event as a value, after `nanoseconds` in all."""
        execution = self.execution
        if self.tag is not None:
            outcome = Outcome.COMPLETED
        elif execution and execution.timed_out and not self.reason:
            outcome = Outcome.TIMED_OUT
        else:
            outcome = Outcome.FAULTY
        return Run(
            outcome=outcome,
            status=execution.status if execution else None,
            stdout=execution.stdout.decode(errors="replace") if execution else "",
            stderr=execution.stderr.decode(errors="replace") if execution else "",
            truncated=bool(execution and execution.truncated),
            tag=self.tag,
            phases=tuple(self.phases),
            nanoseconds=nanoseconds - self.unseen,
            reason=self.reason,
            observed=self.observed,
            products=self.products,
            answered=self.answered,
            remarks=cache_remarks(execution.caches) if execution else (),
        )

    def _hand_out(self, execution: Execution) -> None:
        self.answered = time.monotonic_ns() - self.started - self.unseen
        if self.on_output:
            self.on_output(
                Output(
                    status=execution.status,
                    stdout=execution.stdout.decode(errors="replace"),
                    stderr=execution.stderr.decode(errors="replace"),
                    truncated=execution.truncated,
                )
            )

    def _to_write(self, delta: Delta) -> Iterator[SavedFile]:
        for name in delta.written:
            file = self.files[name]
            yield SavedFile(name, file.mode, file.blob, file.age, file.pieces())

    def _compare(self) -> SendPlan:
        if self._comparison is None:
            self._comparison = self.katas.compare(self.files.manifest())
        return self._comparison

    def _look(self) -> Look | None:
        if not self.observe:
            return None
        with self._aside():
            return Look.at(self.sandbox)

    def _weigh(self) -> None:
        """How much the disk has grown; between two test events nobody changes the katas of an avatar that is observed."""
        if self.observed is None:
            return
        before = DiskUsage(0, 0, 0) if self.tag == 1 else self.weighed
        started = time.process_time_ns()
        with self._aside():
            self.weighed = self.katas.usage()
        cost = self.observed.cost_ns + time.process_time_ns() - started
        grown = self.weighed - before if before else None
        self.observed = replace(self.observed, cost_ns=cost, grown=grown)

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """What no user pays for."""
        started = time.monotonic_ns()
        yield
        self.unseen += time.monotonic_ns() - started
