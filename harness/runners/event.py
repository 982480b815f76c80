"""One active test event: the steps that runners are made of, each timed."""

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
    """What a sandbox holds and has used at one moment. Its time does not count."""

    seen: Snapshot
    """What it holds."""

    usage: ResourceUsage
    """What its processes have used so far."""

    cost_ns: int
    """Nanoseconds of the harness's own processor time that looking took."""

    @classmethod
    def at(cls, sandbox: Sandbox) -> Look:
        """Look at the sandbox now."""
        started = time.process_time_ns()
        seen, usage = sandbox.observe(), sandbox.usage()
        return cls(seen, usage, time.process_time_ns() - started)

    def until(self, later: Look) -> Observation:
        """Return what one command did between two looks."""
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
    """Bytes piped into the run-container."""

    bytes_out: int = 0
    """Bytes piped out of it."""


@dataclass
class TestEvent:
    """The state of one test event between its steps."""

    # pytest takes any class named Test... for a test.
    __test__ = False

    katas: Event
    """The test event in the katas."""

    sandbox: Sandbox
    """The sandbox in the run-container."""

    files: VisibleFiles
    """All visible files, as the player sent them."""

    command: str
    """The command line to run."""

    max_seconds: float
    """The time limit of the command."""

    observe: bool = False
    """Whether to look at the sandbox before and after the command."""

    weighed: DiskUsage | None = None
    """The disk usage of the avatar's katas, before this test event and then after. None:
    unknown.
    """

    started: int = field(default_factory=time.monotonic_ns)
    """When the button was pressed, in monotonic nanoseconds."""

    on_output: Callable[[Output], object] | None = None
    """Gets the output once the command has ended in time."""

    open_another: Callable[[], Sandbox] | None = None
    """Opens a sandbox to replace one that stood by. None: this one did not stand by."""

    seed: Seed | None = None
    """What the sandbox that stood by already holds. None: nothing."""

    owner: tuple[int, int] | None = None
    """The uid and gid for the files of a mounted sandbox. None: nothing is mounted."""

    roots: tuple[int, ...] = ()
    """The inodes that the mounted folder may have, as in `SandboxSpec`."""

    execution: Execution | None = None
    """What the command did. None: it has not run."""

    tag: int | None = None
    """The number of the accepted test event. None: it is not accepted, or not yet."""

    reason: str = ""
    """As in `Run`."""

    observed: Observation | None = None
    """As in `Run`."""

    wants_products: bool = False
    """Whether the caller asked for the products."""

    products: Products | None = None
    """As in `Run`."""

    answered: int | None = None
    """As in `Run`."""

    phases: list[Phase] = field(default_factory=list)
    """The steps so far."""

    unseen: int = 0
    """Nanoseconds spent on observation, which do not count."""

    _comparison: SendPlan | None = None

    @contextmanager
    def phase(self, kind: str, step: str) -> Iterator[Timer]:
        """Time the block as one step."""
        timer = Timer()
        started = time.monotonic_ns()
        yield timer
        self.phases.append(
            Phase(kind, step, time.monotonic_ns() - started, timer.bytes_in, timer.bytes_out)
        )

    def save(self, step: str) -> Delta:
        """Copy the visible files that changed into the katas."""
        with self.phase("save", step):
            delta = self.files.complete(self._compare().delta)
            if delta.written or delta.deleted or delta.released or self.owner:
                self.katas.save(self._to_write(delta), delta, owner=self.owner)
        return delta

    def resume(self, step: str) -> SeedEdit | None:
        """Copy the visible files that changed into the katas, and return what to send the sandbox.

        For a sandbox that already holds the rest. Returns None, and copies nothing, if that is not
        certain any more.
        """
        seed = self.seed
        assert seed is not None
        with self.phase("save", step):
            manifest = self.files.manifest()
            comparison = seed.compare(manifest)
            if comparison is None:
                return None
            delta = self.files.complete(comparison.delta)
            if seed.is_out_of_order(delta, (self.files[name].age for name in delta.written)):
                return None
            if not self.katas.resume(
                seed.held.mark, self._to_write(delta), delta, latest=seed.listing.newest()
            ):
                return None
            self._comparison = comparison
            return seed.edit(delta)

    def restart(self) -> None:
        """Go on in a fresh sandbox, because the one that stood by cannot be used."""
        assert self.open_another is not None
        self.sandbox.close()
        self.sandbox, self.seed, self.open_another = self.open_another(), None, None

    def start(self) -> None:
        """Wait for the container. The steps before have hidden part of its start.

        Replaces a container that stood by if it no longer answers.
        """
        with self.phase("start", "container"):
            if self.open_another:
                try:
                    self.sandbox.get_ready()
                except EngineError:
                    self.restart()
            self.sandbox.wait()

    def run(self) -> bool:
        """Run the command. Returns True if it completed."""
        look = self._look()
        listing = listing_before(self.sandbox) if self.wants_products else None
        with self.phase("run", "<<RUN>>"):
            self.execution = self.sandbox.execute(self.command, self.max_seconds, self.roots)
        self.reason = self.execution.reason
        if self.execution.starved:
            self.reason = (
                "out of memory: the kernel killed processes of the run; raise Limits.memory, or "
                "let the run use less"
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
        """Accept the test event: the output, the commit, the tag, and the tree that the run left.

        The tree is the staged one, or what `changes` make of the old one.
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
        """Note what a step raised: the test event is faulty, and the katas are as they were."""
        self.reason = str(error)

    def result(self, nanoseconds: int) -> Run:
        """Return the test event as a value; it took `nanoseconds` in all."""
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
        """Note how much the katas have grown on the disk.

        Nothing else changes the katas of an observed avatar between two test events.
        """
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
        """Leave the block's time out of the count."""
        started = time.monotonic_ns()
        yield
        self.unseen += time.monotonic_ns() - started
