"""The machines of a Dask cluster: each worker is a machine with an engine of its own.

One machine plays a job from beginning to end, and plays one job at a time. If it dies, its
unfinished job goes to another. Dask is an optional extra and is imported only when needed.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

from harness.engines.extras import DISTRIBUTION, install_line
from harness.inside.errors import EngineError, HarnessError, UsageError
from harness.measure.cluster.worker import WorkerReport, inspect_worker

if TYPE_CHECKING:
    from distributed import Client, Future

Job = TypeVar("Job")
Result = TypeVar("Result")

_ANSWER_SECONDS = 10.0
"""Seconds that a scheduler may take to answer."""

LOOK_SECONDS = 300.0
"""Seconds that a worker may take to report, which may include making its images."""

HEARTBEAT = 0.5
"""Seconds between checks whether a worker is still there."""

MOST_DEATHS = 3
"""Deaths of machines after which a job is given up, lest it take them all."""

SCHEMES = ("tcp", "tls", "ws", "wss")


@dataclass(frozen=True)
class Machine:
    """One worker that can play."""

    address: str
    """The address of the worker."""
    facts: dict[str, Any]
    """From harness.measure.machine."""
    engine: str
    """The name of its engine."""

    @property
    def id(self) -> str:
        return str(self.facts["id"])

    @property
    def words(self) -> str:
        """How messages call it."""
        return f"machine {self.id} ({self.facts['engine']['engine']}, at {self.address})"


@dataclass(frozen=True)
class Done(Generic[Job, Result]):
    """A job that was played."""

    job: Job
    """What was played."""
    result: Result
    """What came of it."""
    machine: Machine
    """Where it was played."""


@dataclass
class _Pending(Generic[Job]):
    job: Job
    deaths: int = 0


class Cluster:
    """A connection to a scheduler; a context manager."""

    def __init__(self, address: str, report: Callable[[str], None] = lambda line: None) -> None:
        """Connect; `report` gets a line for each worker that cannot be used or dies.

        Raises UsageError without the extra, or if no scheduler answers at the address. Never hangs.
        """
        self.address, self._report = address, report
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(_quiet())
        try:
            self._client = _connect(address)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        with self._stack, contextlib.suppress(Exception):
            self._client.close(timeout=_ANSWER_SECONDS)

    def reports(
        self, function: Callable[..., WorkerReport], *arguments: Any
    ) -> dict[str, WorkerReport]:
        """Ask each worker; returns reports by address. Raises EngineError if there is none."""
        addresses = self._addresses()
        if not addresses:
            raise EngineError(
                f"the scheduler at {self.address} has no workers; start some with dask worker "
                "ADDRESS"
            )
        asked = {
            address: self._submit(address, function, *arguments) for address in sorted(addresses)
        }
        deadline = time.monotonic() + LOOK_SECONDS
        return {
            address: self._heard(address, future, deadline) for address, future in asked.items()
        }

    def machines(self, engine: str, image: str | None = None) -> list[Machine]:
        """Return the workers that can play on this engine, one for each machine.

        Raises EngineError if there is none.
        """
        machines: dict[str, Machine] = {}
        for address, report in self.reports(inspect_worker, engine, image).items():
            if report.machine is None:
                self._report(f"the worker at {address} cannot be used: {report.problem}")
                continue
            machine = Machine(address, report.machine, report.engine)
            if report.harness != version(DISTRIBUTION):
                self._report(
                    f"{machine.words} has harness {report.harness}, not {version(DISTRIBUTION)}; "
                    "it stays idle"
                )
            elif machine.id in machines:
                self._report(
                    f"{machine.words} is the same machine as {machines[machine.id].address}; "
                    "it stays idle"
                )
            else:
                machines[machine.id] = machine
        if not machines:
            raise EngineError(f"no worker at {self.address} can be used")
        for line in unlike([report.facts for report in machines.values()]):
            self._report(line)
        return list(machines.values())

    def spread(
        self,
        machines: Sequence[Machine],
        function: Callable[[Job], Result],
        jobs: Iterator[Job],
    ) -> Iterator[Done[Job, Result]]:
        """Yield results as they come.

        Whenever a machine is free it takes the next of `jobs`. If it dies, another machine plays
        its job from the beginning. Raises what a job raises, and EngineError if no machine is left
        or a job has cost too many.
        """
        work = Work(jobs)
        heard: queue.Queue[Done[Job, Result] | BaseException | None] = queue.Queue()

        def serve(machine: Machine) -> None:
            try:
                while (pending := work.take()) is not None:
                    future = self._submit(machine.address, function, pending.job)
                    if not self._wait(machine.address, future, work.stopped):
                        if work.stopped.is_set():
                            return
                        self._report(
                            f"{machine.words} has gone; its unfinished job goes to another machine"
                        )
                        work.give_back(pending)
                        return
                    heard.put(Done(pending.job, future.result(), machine))
                    work.finish()
            except BaseException as error:
                heard.put(error)
            finally:
                heard.put(None)

        threads = [
            threading.Thread(target=serve, args=[machine], daemon=True) for machine in machines
        ]
        for thread in threads:
            thread.start()
        alive = len(threads)
        try:
            while alive:
                got = heard.get()
                if got is None:
                    alive -= 1
                elif isinstance(got, BaseException):
                    raise _clear(got)
                else:
                    yield got
        finally:
            work.stop()
        if work.left():
            raise EngineError("no machine is left, and some jobs have not been played")

    def _submit(self, address: str, function: Callable[..., Any], *arguments: Any) -> Future:
        return self._client.submit(
            function,
            *arguments,
            workers=[address],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )

    def _heard(self, address: str, future: Future, deadline: float) -> WorkerReport:
        """Return the report of one worker, or one that says why there is none."""
        never = threading.Event()
        try:
            if not self._wait(address, future, never, deadline):
                return WorkerReport(problem="it has gone")
            report: WorkerReport = future.result()
        except TimeoutError:
            return WorkerReport(problem=f"it did not answer within {LOOK_SECONDS:g} seconds")
        except ImportError as error:
            return WorkerReport(
                problem=f"it cannot import the harness ({error}); install {DISTRIBUTION} there"
            )
        except Exception as error:
            return WorkerReport(problem=str(error) or type(error).__name__)
        return report

    def _wait(
        self, address: str, future: Future, stopped: threading.Event, deadline: float = float("inf")
    ) -> bool:
        """Wait until it is done: True; False if its worker has gone or `stopped` is set."""
        while not future.done():
            if stopped.is_set() or address not in self._addresses():
                future.cancel()
                return False
            if time.monotonic() > deadline:
                raise TimeoutError
            stopped.wait(HEARTBEAT)
        return not (future.status == "lost" or future.cancelled())

    def _addresses(self) -> set[str]:
        try:
            return set(self._client.nthreads())
        except Exception as error:
            raise EngineError(f"the scheduler at {self.address} no longer answers") from error


class Work(Generic[Job]):
    """The jobs, each with one machine at a time."""

    def __init__(self, jobs: Iterator[Job]) -> None:
        self._jobs = jobs
        self._returned: list[_Pending[Job]] = []
        self._begun = 0
        self._changed = threading.Condition()
        self.stopped = threading.Event()

    def take(self) -> _Pending[Job] | None:
        """Take the next job, waiting while others may give theirs back; None if there is none."""
        with self._changed:
            while not self.stopped.is_set():
                pending = self._returned.pop() if self._returned else self._next()
                if pending is not None:
                    self._begun += 1
                    return pending
                if not self._begun:
                    return None
                self._changed.wait()
        return None

    def finish(self) -> None:
        with self._changed:
            self._begun -= 1
            self._changed.notify_all()

    def give_back(self, pending: _Pending[Job]) -> None:
        """Return the job of a machine that died. Raises EngineError if it died too often."""
        with self._changed:
            self._begun -= 1
            pending.deaths += 1
            self._returned.append(pending)
            self._changed.notify_all()
        if pending.deaths >= MOST_DEATHS:
            raise EngineError(
                f"{pending.deaths} machines died while playing the same job; look at their logs"
            )

    def left(self) -> bool:
        return bool(self._returned)

    def stop(self) -> None:
        with self._changed:
            self.stopped.set()
            self._changed.notify_all()

    def _next(self) -> _Pending[Job] | None:
        job = next(self._jobs, None)
        return None if job is None else _Pending(job)


def unlike(machines: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each fact that figures depend on and in which machines differ."""
    lines = []
    facts = {facts["id"]: {**facts, **facts["engine"]} for facts in machines}
    for name in ("cpu", "processors", "kernel", "engine", "storage driver", "tar"):
        values: dict[str, list[str]] = {}
        for machine, known in facts.items():
            values.setdefault(str(known.get(name)), []).append(machine)
        if len(values) > 1:
            said = "; ".join(f"{value} on {', '.join(who)}" for value, who in values.items())
            lines.append(f"the machines differ in their {name}: {said}")
    hosts = [facts["host"] for facts in machines]
    if len(set(hosts)) < len(hosts):
        lines.append("some of the machines are engines of one computer and disturb each other")
    return lines


def _connect(address: str) -> Client:
    try:
        from distributed import Client  # noqa: PLC0415 - an optional extra, and slow to import
    except ImportError:
        raise UsageError(
            f"--dask needs Dask, which is not installed; run {install_line('dask')}"
        ) from None
    try:
        _knock(address)
        return Client(address, timeout=_ANSWER_SECONDS, set_as_default=False, name="harness")
    except (OSError, TimeoutError, ValueError) as error:
        why = (
            getattr(error, "strerror", None)
            or str(error).partition("\n")[0]
            or "it does not answer"
        )
        raise UsageError(
            f"no Dask scheduler answers at {address} ({why}); give one as tcp://HOST:8786"
        ) from error


def _knock(address: str) -> None:
    """Raise OSError if nothing listens there, and ValueError if it is not an address.

    A Dask client would try for long, and log for longer.
    """
    where = urlsplit(address if "://" in address else f"tcp://{address}")
    if where.scheme not in SCHEMES or not where.hostname or not where.port:
        raise ValueError("that is not an address")
    socket.create_connection((where.hostname, where.port), _ANSWER_SECONDS).close()


def _clear(error: BaseException) -> BaseException:
    """Turn what went wrong in a worker into an error of one line."""
    if isinstance(error, HarnessError) or not isinstance(error, Exception):
        return error
    return EngineError(f"a worker failed: {type(error).__name__}: {error}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence Dask, which logs with a traceback what it also raises."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
