"""The machines of a Dask cluster that somebody else runs: each worker is one, with an engine of its own.

A job is played by one machine from its beginning to its end, and a machine plays one job at a time. What a
machine had not finished when it died goes to another. Dask is an optional extra: it is imported when it is
first needed.
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

from harness.inside.errors import EngineError, HarnessError, UsageError
from harness.measure.cluster.worker import WorkerReport, inspect_worker

if TYPE_CHECKING:
    from distributed import Client, Future

Job = TypeVar("Job")
Result = TypeVar("Result")

_ANSWER_SECONDS = 10.0
"""How long a scheduler may take to answer."""

LOOK_SECONDS = 300.0
"""How long a worker may take to say what it has: it may have to make its images first."""

HEARTBEAT = 0.5
"""Seconds between two looks at whether a worker is still there."""

MOST_DEATHS = 3
"""A job that so many machines died of is given up: it would take them all."""

SCHEMES = ("tcp", "tls", "ws", "wss")

PACKAGE = "tarpipe-harness"


@dataclass(frozen=True)
class Machine:
    """One worker that can play."""

    address: str
    facts: dict[str, Any]  # of harness.measure.machine

    @property
    def id(self) -> str:
        return str(self.facts["id"])

    @property
    def words(self) -> str:
        """For a line that a user reads."""
        return f"machine {self.id} ({self.facts['engine']['engine']}, at {self.address})"


@dataclass(frozen=True)
class Done(Generic[Job, Result]):
    """A job that was played."""

    job: Job
    result: Result
    machine: Machine


@dataclass
class _Pending(Generic[Job]):
    job: Job
    deaths: int = 0


class Cluster:
    """A connection to a scheduler; a context manager."""

    def __init__(self, address: str, report: Callable[[str], None] = lambda line: None) -> None:
        """Raises UsageError without the extra, or where no scheduler answers at the address; never hangs.
        `report` hears of workers that cannot be used, and of those that die.
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
        """What each worker says of itself, by its address. Raises EngineError where there is none."""
        addresses = self._addresses()
        if not addresses:
            raise EngineError(
                f"the scheduler at {self.address} has no workers; start some: dask worker ADDRESS"
            )
        asked = {
            address: self._submit(address, function, *arguments) for address in sorted(addresses)
        }
        deadline = time.monotonic() + LOOK_SECONDS
        return {
            address: self._heard(address, future, deadline) for address, future in asked.items()
        }

    def machines(self, engine: str, image: str | None = None) -> list[Machine]:
        """The workers that can play, one a machine, on this engine. Raises EngineError where there is none."""
        found: dict[str, Machine] = {}
        for address, each in self.reports(inspect_worker, engine, image).items():
            if each.machine is None:
                self._report(f"the worker at {address} cannot be used: {each.problem}")
                continue
            machine = Machine(address, each.machine)
            if each.harness != version(PACKAGE):
                self._report(
                    f"{machine.words} has harness {each.harness}, not {version(PACKAGE)}: it stays idle"
                )
            elif machine.id in found:
                self._report(f"{machine.words} is {found[machine.id].address}'s too: it stays idle")
            else:
                found[machine.id] = machine
        if not found:
            raise EngineError(f"none of the workers at {self.address} can be used")
        for line in unlike([each.facts for each in found.values()]):
            self._report(line)
        return list(found.values())

    def spread(
        self,
        machines: Sequence[Machine],
        function: Callable[[Job], Result],
        jobs: Iterator[Job],
    ) -> Iterator[Done[Job, Result]]:
        """The results as they come. A job is taken from `jobs`, one after the other, whenever a machine is
        free; what a machine had begun when it died is given to another, from its beginning.

        Raises what a job raises, and EngineError when no machine is left, or a job has cost too many.
        """
        work = _Work(jobs)
        heard: queue.Queue[Done[Job, Result] | BaseException | None] = queue.Queue()

        def serve(machine: Machine) -> None:
            try:
                while (pending := work.take()) is not None:
                    future = self._submit(machine.address, function, pending.job)
                    if not self._wait(machine.address, future, work.stopped):
                        if work.stopped.is_set():
                            return
                        self._report(
                            f"{machine.words} has gone; what it had not finished goes elsewhere"
                        )
                        work.give_back(pending)
                        return
                    heard.put(Done(pending.job, future.result(), machine))
                    work.finish()
            except BaseException as error:
                heard.put(error)
            finally:
                heard.put(None)

        threads = [threading.Thread(target=serve, args=[each], daemon=True) for each in machines]
        for each in threads:
            each.start()
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
            raise EngineError("no machine is left, and not everything has been played")

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
        """The report of one worker, or why there is none."""
        never = threading.Event()
        try:
            if not self._wait(address, future, never, deadline):
                return WorkerReport(problem="it has gone")
            found: WorkerReport = future.result()
        except TimeoutError:
            return WorkerReport(problem=f"it did not answer in {LOOK_SECONDS:g} seconds")
        except ImportError as error:
            return WorkerReport(
                problem=f"it cannot import the harness ({error}); install {PACKAGE} there"
            )
        except Exception as error:
            return WorkerReport(problem=str(error) or type(error).__name__)
        return found

    def _wait(
        self, address: str, future: Future, stopped: threading.Event, deadline: float = float("inf")
    ) -> bool:
        """Until it is done: True; or its worker has gone, or nobody wants it any more: False."""
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
            raise EngineError(
                f"the scheduler at {self.address} does not answer any more"
            ) from error


class _Work(Generic[Job]):
    """Jobs, each given to one machine at a time."""

    def __init__(self, jobs: Iterator[Job]) -> None:
        self._jobs = jobs
        self._returned: list[_Pending[Job]] = []
        self._begun = 0
        self._changed = threading.Condition()
        self.stopped = threading.Event()

    def take(self) -> _Pending[Job] | None:
        """The next one; waits while others may still give theirs back. None: there is no more."""
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
        """Its machine died. Raises EngineError for a job that this has happened to too often."""
        with self._changed:
            self._begun -= 1
            pending.deaths += 1
            self._returned.append(pending)
            self._changed.notify_all()
        if pending.deaths >= MOST_DEATHS:
            raise EngineError(
                f"{pending.deaths} machines have died of the same blocks: look at their logs"
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
    """A line for each fact in which machines differ, that figures depend on."""
    found = []
    facts = {each["id"]: {**each, **each["engine"]} for each in machines}
    for name in ("cpu", "processors", "kernel", "engine", "storage driver", "tar"):
        values: dict[str, list[str]] = {}
        for machine, known in facts.items():
            values.setdefault(str(known.get(name)), []).append(machine)
        if len(values) > 1:
            said = "; ".join(f"{value} on {', '.join(who)}" for value, who in values.items())
            found.append(f"the machines are unlike in their {name}: {said}")
    hosts = [each["host"] for each in machines]
    if len(set(hosts)) < len(hosts):
        found.append("two engines of one computer are among the machines: they disturb each other")
    return found


def _connect(address: str) -> Client:
    try:
        from distributed import Client  # noqa: PLC0415 - an optional extra, and slow to import
    except ImportError:
        raise UsageError(
            f"--dask takes Dask, which is not installed: pip install '{PACKAGE}[dask]'"
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
    """Raise OSError unless somebody listens there, and ValueError for what is no address: a client of Dask
    would try for long, and complain for longer.
    """
    where = urlsplit(address if "://" in address else f"tcp://{address}")
    if where.scheme not in SCHEMES or not where.hostname or not where.port:
        raise ValueError("that is no address")
    socket.create_connection((where.hostname, where.port), _ANSWER_SECONDS).close()


def _clear(error: BaseException) -> BaseException:
    """What went wrong in a worker, as an error of one line."""
    if isinstance(error, HarnessError) or not isinstance(error, Exception):
        return error
    return EngineError(f"a worker failed: {type(error).__name__}: {error}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Dask logs what it also raises, with a traceback."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
