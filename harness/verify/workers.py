"""Examines cells of a matrix at the same time, each in a process of its own.

That is faster, since a proof mostly waits for containers and disks. Each worker has an engine of
its own, so a proof that looks for its engine's processes never finds those of another.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from selectors import EVENT_READ, DefaultSelector

from harness.engines import Engine
from harness.inside.errors import EngineError
from harness.runners.claims import Property
from harness.runners.variant import Variant
from harness.verify.child_process import command
from harness.verify.proofs import PROFILES, ProofResult, Subject, examine

ENDING_SECONDS = 30.0
"""How long an interrupted worker may take to tidy up."""


@dataclass(frozen=True)
class Task:
    """One cell, as a worker gets it."""

    variant: Variant
    engine: Engine
    # The name by which the engine was asked for.
    engine_name: str
    image: str | None
    name: Property
    # A key of PROFILES.
    profile: str
    # The token of a counterexample.
    replay: str | None

    def examine(self) -> ProofResult:
        """Examine the cell. Raises what `harness.verify.proofs.examine` raises."""
        subject = Subject(self.variant, self.engine, self.engine_name, self.image)
        return examine(subject, self.name, PROFILES[self.profile], replay=self.replay)


def can_travel(tasks: Sequence[Task]) -> bool:
    """Whether another process can get the tasks: it must be able to import engines and runners."""
    with suppress(pickle.PicklingError, AttributeError, TypeError):
        pickle.dumps(tasks)
        return True
    return False


def spread(
    tasks: Sequence[Task], count: int, about_to: Callable[[int], None] = lambda number: None
) -> Iterator[tuple[int, ProofResult]]:
    """Yield the results as they come, each with the place of its task.

    `about_to` is called with the place of a task when it begins. Raises EngineError if a worker
    dies, and what a proof raises.
    """
    waiting = iter(range(len(tasks)))
    with ExitStack() as stack, DefaultSelector() as selector:
        for _ in range(min(count, len(tasks))):
            worker = stack.enter_context(_Worker())
            selector.register(worker.answers, EVENT_READ, worker)
        while selector.get_map():
            for key, _ in selector.select():
                worker = key.data
                if answer := worker.answer():
                    yield answer
                number = next(waiting, None)
                if number is None:
                    selector.unregister(worker.answers)
                else:
                    about_to(number)
                    worker.give(number, tasks[number])


class _Worker:
    """A process with one task at a time, as a context manager."""

    def __enter__(self) -> _Worker:
        self._process = subprocess.Popen(
            command(__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # So that ctrl-C reaches it once, through us.
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tasks, self.answers = self._process.stdin, self._process.stdout
        # The place of its task.
        self.number: int | None = None
        pickle.dump(sys.path, self._tasks)
        self._tasks.flush()
        return self

    def __exit__(self, *error: object) -> None:
        """End the process; in the middle of a task it is interrupted, so that it can tidy up."""
        busy = self.number is not None
        self._process.send_signal(signal.SIGINT if busy else signal.SIGKILL)
        try:
            self._process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(BrokenPipeError):
            self._tasks.close()
        self.answers.close()

    def give(self, number: int, task: Task) -> None:
        self.number = number
        pickle.dump(task, self._tasks)
        self._tasks.flush()

    def answer(self) -> tuple[int, ProofResult] | None:
        """Return the place of its task and the result; None if it is ready for its first task."""
        try:
            answer: ProofResult | Exception | None = pickle.load(self.answers)
        except (EOFError, pickle.UnpicklingError) as error:
            raise EngineError(
                "a process that was proving has died; --jobs 1 shows where"
            ) from error
        if isinstance(answer, Exception):
            raise answer
        number, self.number = self.number, None
        return None if number is None or answer is None else (number, answer)


def main() -> None:
    """Examine tasks from stdin and answer on stdout, which nothing else uses: the entry point."""
    # A parent that ignores SIGINT has made this process ignore it too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tasks, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # None: ready for the first task.
    answer: ProofResult | Exception | None = None
    with suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        while True:
            pickle.dump(answer, answers)
            answers.flush()
            task: Task = pickle.load(tasks)
            with closing(task.engine):
                try:
                    answer = task.examine()
                except Exception as error:
                    answer = error
