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
from harness.errors import EngineError
from harness.proofs import PROFILES, Finding, Subject, examine
from harness.runners.claims import Property
from harness.runners.variant import Variant

PROGRAM = """\
import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is something to tidy up
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from harness.workers import main
main()
"""

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

    def examine(self) -> Finding:
        """Raises as `harness.proofs.examine`."""
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
) -> Iterator[tuple[int, Finding]]:
    """The findings as they come, each with the place of its task, which `about_to` heard of when it began. Raises EngineError
    for a worker that has died, and what a proof raises.
    """
    waiting = iter(range(len(tasks)))
    with ExitStack() as stack, DefaultSelector() as selector:
        for _ in range(min(count, len(tasks))):
            worker = stack.enter_context(_Worker())
            worker.give(tasks, next(waiting), about_to)
            selector.register(worker.answers, EVENT_READ, worker)
        while selector.get_map():
            for key, _ in selector.select():
                worker = key.data
                yield worker.number, worker.answer()
                number = next(waiting, None)
                if number is None:
                    selector.unregister(worker.answers)
                else:
                    worker.give(tasks, number, about_to)


class _Worker:
    """A context manager: one process, with one task at a time."""

    def __enter__(self) -> _Worker:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # ctrl-C comes to it by us, once
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tasks, self.answers = self._process.stdin, self._process.stdout
        pickle.dump(sys.path, self._tasks)
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(BrokenPipeError):
            self._tasks.close()  # at rest, it ends by that
        if error[0] is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.answers.close()

    def give(self, tasks: Sequence[Task], number: int, about_to: Callable[[int], None]) -> None:
        about_to(number)
        self.number = number
        pickle.dump(tasks[number], self._tasks)
        self._tasks.flush()

    def answer(self) -> Finding:
        try:
            answer: Finding | Exception = pickle.load(self.answers)
        except (EOFError, pickle.UnpicklingError) as error:
            raise EngineError("a process that was proving has died; --jobs 1 shows where") from error
        if isinstance(answer, Exception):
            raise answer
        return answer


def main() -> None:
    """Entry point of a worker: tasks come on stdin, answers go to stdout, and nothing else does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tasks, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        while True:
            task: Task = pickle.load(tasks)
            with closing(task.engine):
                try:
                    answer: Finding | Exception = task.examine()
                except Exception as error:
                    answer = error
            pickle.dump(answer, answers)
            answers.flush()
