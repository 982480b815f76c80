"""An engine that injects faults, in front of another engine.

It counts the bytes of its streams, and can cut a stream or kill its container at any byte, or at
once. A keeper can be killed, or find its disk full, at any change that it makes to its disk.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import cast

from harness.engines import Engine
from harness.engines.streams import Removable, Stream
from harness.verify.faults.breakable import BreakableStream
from harness.verify.faults.course import Course
from harness.verify.faults.disk_faults import COUNTED, FULL
from harness.verify.faults.keeper_programs import spoil
from harness.verify.faults.stream_faults import FaultQueue, StreamFault
from harness.verify.faults.timed_fault import (
    CUT,
    HARNESS,
    KEEPER,
    REMOVED,
    RUN,
    STOPPED,
    TimedFault,
)
from harness.verify.faults.wrapped import WrappedEngine, WrappedStream

STOPPED_SECONDS = 0.3
"""How long a process is stopped before it is ended; nobody may take a stopped process for dead."""


class FaultyEngine(WrappedEngine):
    """Does what the engine behind it does, except for the faults that are armed or injected."""

    def __init__(self, engine: Engine) -> None:
        """Stand before `engine`; nothing is armed."""
        super().__init__(engine)
        self._queue = FaultQueue()
        self._fault: TimedFault | None = None
        self._counting = False
        self._course = Course()
        self._streams: dict[str, list[BreakableStream]] = {RUN: [], KEEPER: []}

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        fault = self._fault
        stream = super().open_keeper(volume, self._spoiled(program, fault))
        if fault and fault.victim == KEEPER and not fault.place and self._fault is not fault:
            # A head start asked for this keeper; the test event with the fault ended meanwhile.
            _end(self._streams[KEEPER][-1:])
        return stream

    def wrap_run(self, stream: Stream) -> Stream:
        return self._watch(RUN, self._queue.broken(stream))

    def wrap_keeper(self, stream: Stream) -> Stream:
        if self._counting:
            stream = _Counted(stream, self._changed)
        return self._watch(KEEPER, self._queue.broken(stream, keeper=True))

    def inject(self, *faults: StreamFault, keeper: bool = False) -> None:
        """Break the next run-containers, or keepers, that are opened: one fault each, in order."""
        self._queue.inject(*faults, keeper=keeper)

    @contextmanager
    def armed(self, fault: TimedFault) -> Iterator[None]:
        """Arm the fault for the test event in this block."""
        renew = fault.victim == KEEPER and not fault.place
        if renew:
            self.end_keepers()
        self._fault, self._course = fault, Course()
        try:
            yield
        finally:
            self._fault = None
            if fault.action == FULL:
                self.end_keepers()

    @contextmanager
    def recording(self) -> Iterator[Course]:
        """Record the course of the test event in this block."""
        self.end_keepers()
        self._counting, self._course = True, Course()
        try:
            yield self._course
        finally:
            self._counting = False
            self.end_keepers()

    def strike(self, victim: str, action: str, *, last: bool = False) -> None:
        """Let a fault happen now, to all run-containers or keepers, or to the `last` one alone.

        `action` is KILLED, CUT, STOPPED or REMOVED; the latter only if the engine says `removable`.
        """
        for stream in self._streams[victim][-1 if last else 0 :]:
            if action in (STOPPED, REMOVED) and self.removable:
                container = cast(Removable, stream.unwrapped)
                (container.remove if action == REMOVED else container.stop)()
            elif action == CUT:
                stream.cut()
            else:
                if action == STOPPED:
                    _stop(stream.unwrapped)
                stream.kill()

    def end_keepers(self) -> None:
        """End all keepers; whoever uses one notices at the next request and opens another."""
        _end(self._streams[KEEPER])

    def pass_by(self, stream: str, way: str, size: int) -> int | None:
        """Count `size` bytes about to pass; return how many pass before the fault, or None."""
        # Another stream may trigger it meanwhile.
        fault = self._fault
        if not (fault or self._counting):
            return None
        before = self._course.pass_by(stream, way, size)
        place = fault.place if fault else None
        if (
            place
            and (place.stream, place.way) == (stream, way)
            and before <= place.byte <= before + size
        ):
            return place.byte - before
        return None

    def trigger(self) -> None:
        """Trigger the armed fault, once."""
        fault, self._fault = self._fault, None
        if fault is None:
            return
        if fault.victim == HARNESS:
            os.kill(os.getpid(), signal.SIGKILL)
        self.strike(fault.victim, fault.action)

    def forget(self, stream: BreakableStream) -> None:
        """Drop a closed stream."""
        for streams in self._streams.values():
            if stream in streams:
                streams.remove(stream)

    def _watch(self, name: str, stream: Stream) -> BreakableStream:
        watched = BreakableStream(stream, _Watching(self, name))
        self._streams[name].append(watched)
        self._course.open(name)
        return watched

    def _changed(self, times: int) -> None:
        self._course.changes += times

    def _spoiled(self, program: bytes, fault: TimedFault | None) -> bytes:
        if self._counting:
            return spoil(program, f"install({COUNTED!r}, 0, lambda: os.write(2, b'.'))")
        if fault and fault.victim == KEEPER and not fault.place:
            return spoil(program, f"install({fault.action!r}, {fault.change})")
        return program


@dataclass(frozen=True)
class _Watching:
    """Watches one stream for a FaultyEngine."""

    engine: FaultyEngine
    name: str

    def passing(self, way: str, source: int, data: bytes) -> int | None:
        return self.engine.pass_by(self.name, way, len(data))

    def strike(self, stream: BreakableStream) -> None:
        self.engine.trigger()

    def closed(self, stream: BreakableStream) -> None:
        self.engine.forget(stream)


class _Counted(WrappedStream):
    """A stream to a keeper that tells each change of its disk by a dot on stderr."""

    def __init__(self, stream: Stream, count: Callable[[int], None]) -> None:
        super().__init__(stream)
        self._count = count

    def read(self, deadline: float) -> tuple[int, bytes]:
        while True:
            source, data = self.behind.read(deadline)
            if source != 2:
                return source, data
            self._count(data.count(b"."))


def _end(streams: list[BreakableStream]) -> None:
    for stream in list(streams):
        stream.cut()
        stream.kill()


def _stop(stream: Stream) -> None:
    """Stop a process on this machine for a while."""
    process: subprocess.Popen[bytes] | None = getattr(stream, "process", None)
    if process and process.poll() is None:
        stopped = threading.Event()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGSTOP)
        stopped.wait(STOPPED_SECONDS)
