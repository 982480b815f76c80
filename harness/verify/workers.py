"""Cells of a matrix examined at once, each by a process of its own: a proof mostly waits, for containers and for disks.

A worker has an engine of its own, so that what one proof looks for among its engine's processes is never another's.
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
"""How long a worker that is interrupted may take to tidy up."""


@dataclass(frozen=True)
class Task:
    """One cell, as a worker is told of it."""

    variant: Variant
    engine: Engine
    engine_name: str  # as it was asked for
    image: str | None
    name: Property
    profile: str
    replay: str | None

    def examine(self) -> ProofResult:
        """Raises as `harness.verify.proofs.examine`."""
        subject = Subject(self.variant, self.engine, self.engine_name, self.image)
        return examine(subject, self.name, PROFILES[self.profile], replay=self.replay)


def can_travel(tasks: Sequence[Task]) -> bool:
    """Whether another process can be told of these: their engines and runners must be importable there."""
    with suppress(pickle.PicklingError, AttributeError, TypeError):
        pickle.dumps(tasks)
        return True
    return False


def spread(
    tasks: Sequence[Task], count: int, about_to: Callable[[int], None] = lambda number: None
) -> Iterator[tuple[int, ProofResult]]:
    """The findings as they come, each with the place of its task, which `about_to` heard of when it began. Raises EngineError
    for a worker that has died, and what a proof raises.
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
    """A context manager: one process, with one task at a time."""

    def __enter__(self) -> _Worker:
        self._process = subprocess.Popen(
            command(__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # ctrl-C comes to it by us, once
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tasks, self.answers = self._process.stdin, self._process.stdout
        self.number: int | None = None  # of the task that it has
        pickle.dump(sys.path, self._tasks)
        self._tasks.flush()
        return self

    def __exit__(self, *error: object) -> None:
        """In the middle of a task it is interrupted, and tidies up; else there is nothing to tidy up."""
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
        """The place of its task, and what it found; None when it is ready for the first one."""
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
    """Entry point of a worker: tasks come on stdin, answers go to stdout, and nothing else does."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # also where whoever started us ignores it
    tasks, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    answer: ProofResult | Exception | None = None  # ready
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
