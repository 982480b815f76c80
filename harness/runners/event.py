"""One active test event: the steps that runners are made of, each timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic

from harness.engines import Sandbox
from harness.inside.changes import Changes
from harness.inside.delta import Delta
from harness.inside.errors import EngineError, HarnessError
from harness.inside.saving import SavedFile
from harness.inside.store import Event, Increment, SendPlan
from harness.inside.usage import DiskUsage
from harness.katas import commits
from harness.runners.look import Look
from harness.runners.products import Products, listing_before
from harness.runners.progress import Progress
from harness.runners.request import EventRequest
from harness.runners.run import Outcome, Run
from harness.runners.seed import Seed, SeedEdit
from harness.runners.stopwatch import PipedBytes, Stopwatch

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # the one of Python 3.11 takes no default

    KatasEvent = TypeVar("KatasEvent", bound=Event, default=Any)
else:
    from typing import TypeVar

    KatasEvent = TypeVar("KatasEvent", bound=Event)


@dataclass
class TestEvent(Generic[KatasEvent]):
    """One test event between its steps: what was asked, where it happens, what came of it."""

    # pytest takes any class named Test... for a test.
    __test__ = False

    request: EventRequest
    """What the caller asked for."""

    katas: KatasEvent
    """The test event in the katas."""

    sandbox: Sandbox
    """The sandbox in the run-container."""

    open_another: Callable[[], Sandbox] | None = None
    """Opens a sandbox to replace one that stood by. None: this one did not stand by."""

    seed: Seed | None = None
    """What the sandbox that stood by already holds. None: nothing."""

    owner: tuple[int, int] | None = None
    """The uid and gid for the files of a mounted sandbox. None: nothing is mounted."""

    roots: tuple[int, ...] = ()
    """The inodes that the mounted folder may have, as in `SandboxSpec`."""

    mounted: bool = False
    """Whether the run works in the katas themselves."""

    weighed: DiskUsage | None = None
    """The disk usage of the avatar's katas, before this test event and then after. None:
    unknown.
    """

    watch: Stopwatch = field(default_factory=Stopwatch)
    """Times the steps."""

    progress: Progress = field(default_factory=Progress)
    """What it has come to so far."""

    _comparison: SendPlan | None = None

    def phase(self, kind: str, step: str) -> AbstractContextManager[PipedBytes]:
        """Time the block as one step."""
        return self.watch.phase(kind, step)

    def save(self, step: str) -> Delta:
        """Copy the visible files that changed into the katas."""
        with self.phase("save", step):
            delta = self.request.files.complete(self.compare().delta)
            if delta.written or delta.deleted or delta.released or self.owner:
                self.katas.save(self._to_write(delta), delta, owner=self.owner)
        return delta

    def resume(self, step: str) -> SeedEdit | None:
        """Copy the visible files that changed into the katas, and return what to send the sandbox.

        For a sandbox that already holds the rest. Returns None, and copies nothing, if that is not
        certain any more.
        """
        seed, files = self.seed, self.request.files
        assert seed is not None
        with self.phase("save", step):
            comparison = seed.compare(files.manifest())
            if comparison is None:
                return None
            delta = files.complete(comparison.delta)
            if seed.is_out_of_order(delta, (files[name].age for name in delta.written)):
                return None
            if not self.katas.resume(
                seed.held.mark, self._to_write(delta), delta, latest=seed.listing.newest()
            ):
                return None
            self._comparison = comparison
            return seed.edit(delta)

    def restart(self, failure: str = "") -> None:
        """Go on in a fresh sandbox, because the one that stood by cannot be used.

        `failure` says what failed. Empty: nothing; what it holds does not suit this test event.
        """
        assert self.open_another is not None
        self.progress.missed = failure
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
                except EngineError as error:
                    self.restart(str(error))
            self.sandbox.wait()

    def run(self) -> bool:
        """Run the command. Returns True if it completed."""
        request, progress = self.request, self.progress
        look = self._look()
        listing = listing_before(self.sandbox) if request.products else None
        with self.phase("run", "<<RUN>>"):
            execution = self.sandbox.execute(request.command, request.max_seconds, self.roots)
        progress.execution, progress.reason = execution, execution.reason
        if execution.starved:
            progress.reason = (
                "out of memory: the kernel killed processes of the run; raise Limits.memory, or "
                "let the run use less"
            )
        if execution.status is None:
            return False
        progress.answered = self.watch.elapsed()
        if request.on_output:
            request.on_output(progress.output())
        if listing:
            progress.products = Products.between(listing, self.sandbox)
        if look:
            again = self._look()
            assert again is not None
            progress.observed = look.until(again)
        return True

    def commit(self, step: str, changes: Changes | None = None) -> None:
        """Accept the test event: the output, the commit, the tag, and the tree that the run left.

        The tree is the staged one, or what `changes` make of the old one.
        """
        execution = self.progress.execution
        assert execution is not None
        with self.phase("commit", step):
            comparison = self.compare()
            now = datetime.now(UTC)
            increment = Increment(
                tag=comparison.tag + 1,
                time=now.isoformat(timespec="milliseconds"),
                outcome=Outcome.COMPLETED,
                status=execution.status,
            )
            self.katas.accept(
                commits.build_commit(
                    self.request.files,
                    comparison,
                    stdout=execution.stdout,
                    stderr=execution.stderr,
                    increment=increment,
                    seconds=int(now.timestamp()),
                ),
                changes,
                mounted=self.mounted,
            )
            self.progress.tag = increment.tag
        self._weigh()

    def failed(self, error: HarnessError | OSError) -> None:
        """Note what a step raised: the test event is faulty, and the katas are as they were."""
        self.progress.reason = str(error)

    def result(self) -> Run:
        """Return the test event as a value. The time that it took ends here."""
        return self.progress.run(self.watch)

    def _to_write(self, delta: Delta) -> Iterator[SavedFile]:
        for name in delta.written:
            file = self.request.files[name]
            yield SavedFile(name, file.mode, file.blob, file.age, file.pieces())

    def compare(self) -> SendPlan:
        """Compare the visible files with the katas, once. Raises KatasError."""
        if self._comparison is None:
            self._comparison = self.katas.compare(self.request.files.manifest())
        return self._comparison

    def _look(self) -> Look | None:
        if not self.request.observe:
            return None
        with self.watch.aside():
            return Look.at(self.sandbox)

    def _weigh(self) -> None:
        """Note how much the katas have grown on the disk.

        Nothing else changes the katas of an observed avatar between two test events.
        """
        observed = self.progress.observed
        if observed is None:
            return
        before = DiskUsage(0, 0, 0) if self.progress.tag == 1 else self.weighed
        started = time.process_time_ns()
        with self.watch.aside():
            self.weighed = self.katas.usage()
        cost = observed.cost_ns + time.process_time_ns() - started
        grown = self.weighed - before if before else None
        self.progress.observed = replace(observed, cost_ns=cost, grown=grown)
