"""An engine that injects one fault into a test event.

It stands in front of another engine and counts the bytes of its streams. It can cut a stream or
kill its container at any byte. A keeper can be killed, or find its disk full, at any change that
it makes to its disk.
"""

from __future__ import annotations

import io
import os
import re
import signal
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from harness.engines import Engine, Sandbox, SandboxSpec
from harness.engines.streams import Stream
from harness.inside.errors import StreamCut, UsageError
from harness.verify.proofs.faults.disk_faults import COUNTED, FULL, KILLED

RUN, KEEPER, HARNESS = "run-container", "keeper", "harness"
TO, FROM = "to", "from"
CUT = "cut off"

_WORDS = re.compile(
    rf"the (?P<victim>{RUN}|{KEEPER}|{HARNESS}) is (?P<action>{KILLED}|{CUT}|{FULL}) "
    rf"(?:at byte (?P<byte>\d+) (?P<way>{TO}|{FROM}) the (?P<stream>{RUN}|{KEEPER})"
    rf"|at change (?P<change>\d+) of its disk)"
)


@dataclass(frozen=True)
class StreamPlace:
    """A byte of what goes to a container, or comes from it, in one test event."""

    # RUN or KEEPER.
    stream: str
    # TO or FROM.
    way: str
    # Counted from the start of the test event.
    byte: int


@dataclass(frozen=True)
class TimedFault:
    """One fault: its victim, what happens, and when.

    The fault comes after `place`, or before change number `change` (from 1) of the victim's disk.
    """

    # RUN, KEEPER or HARNESS.
    victim: str
    # KILLED, CUT or FULL.
    action: str
    place: StreamPlace | None = None
    change: int = 0

    def __str__(self) -> str:
        when = (
            f"byte {self.place.byte} {self.place.way} the {self.place.stream}" if self.place else ""
        )
        return (
            f"the {self.victim} is {self.action} at {when or f'change {self.change} of its disk'}"
        )

    @classmethod
    def parse(cls, words: str) -> TimedFault:
        """Return the fault that `str(fault)` wrote. Raises UsageError for any other text."""
        found = _WORDS.fullmatch(words)
        if not found:
            raise UsageError(f"{words!r} is not a fault: copy the token whole")
        if found["change"]:
            return cls(found["victim"], found["action"], change=int(found["change"]))
        return cls(
            found["victim"],
            found["action"],
            StreamPlace(found["stream"], found["way"], int(found["byte"])),
        )


@dataclass
class Turn:
    """What one side sends until the other side answers."""

    stream: str
    way: str
    # Bytes of this stream and way before the turn, and at its end.
    start: int
    end: int


@dataclass
class Course:
    """What was observed of one test event."""

    turns: list[Turn] = field(default_factory=list)
    # Stream to the number of turns before it was opened.
    opened: dict[str, int] = field(default_factory=dict)
    # Changes of the keeper's disk.
    changes: int = 0
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def open(self, stream: str) -> None:
        self.opened.setdefault(stream, len(self.turns))

    def pass_by(self, stream: str, way: str, size: int) -> int:
        """Count `size` bytes; return how many came before them."""
        before = self._counts.get((stream, way), 0)
        self._counts[stream, way] = before + size
        last = self.turns[-1] if self.turns else None
        if last and (last.stream, last.way) == (stream, way):
            last.end += size
        else:
            self.turns.append(Turn(stream, way, before, before + size))
        return before


class FaultyEngine:
    """Does what the engine behind it does, except for the one fault that is armed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._fault: TimedFault | None = None
        self._counting = False
        self._course = Course()
        self._streams: dict[str, list[_Watched]] = {RUN: [], KEEPER: []}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def open(self, spec: SandboxSpec) -> Sandbox:
        sandbox = self._engine.open(spec)
        sandbox.wrap(lambda stream: self._watch(RUN, stream))
        return sandbox

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        fault = self._fault
        stream = self._watch(
            KEEPER, self._engine.open_keeper(volume, self._spoiled(program, fault))
        )
        if fault and fault.victim == KEEPER and not fault.place and self._fault is not fault:
            # A head start asked for this keeper; the test event with the fault ended meanwhile.
            stream.cut()
            stream.kill()
        return stream

    @contextmanager
    def armed(self, fault: TimedFault) -> Iterator[None]:
        """Arm the fault for the test event in this block."""
        renew = fault.victim == KEEPER and not fault.place
        if renew:
            self._end_keepers()
        self._fault, self._course = fault, Course()
        try:
            yield
        finally:
            self._fault = None
            if fault.action == FULL:
                self._end_keepers()

    @contextmanager
    def recording(self) -> Iterator[Course]:
        """Record the course of the test event in this block."""
        self._end_keepers()
        self._counting, self._course = True, Course()
        try:
            yield self._course
        finally:
            self._counting = False
            self._end_keepers()

    def pass_by(self, stream: str, way: str, size: int) -> int | None:
        """Count `size` bytes about to pass; return how many pass before the fault, or None."""
        before = self._course.pass_by(stream, way, size)
        # Another stream may trigger it meanwhile.
        fault = self._fault
        place = fault.place if fault else None
        if (
            place
            and (place.stream, place.way) == (stream, way)
            and before <= place.byte <= before + size
        ):
            return place.byte - before
        return None

    def strike(self) -> None:
        """Trigger the fault, once."""
        fault, self._fault = self._fault, None
        if fault is None:
            return
        if fault.victim == HARNESS:
            os.kill(os.getpid(), signal.SIGKILL)
        for stream in list(self._streams[fault.victim]):
            if fault.action == CUT:
                stream.cut()
            else:
                stream.kill()

    def changed(self, times: int) -> None:
        """Count changes that a keeper reports of its disk."""
        self._course.changes += times

    @property
    def counting(self) -> bool:
        """Whether keepers report the changes of their disk."""
        return self._counting

    def forget(self, stream: _Watched) -> None:
        """Drop a closed stream."""
        for streams in self._streams.values():
            if stream in streams:
                streams.remove(stream)

    def _watch(self, name: str, stream: Stream) -> _Watched:
        watched = _Watched(name, stream, self)
        self._streams[name].append(watched)
        self._course.open(name)
        return watched

    def _end_keepers(self) -> None:
        """End all keepers; whoever uses one notices at the next request and opens another."""
        for stream in list(self._streams[KEEPER]):
            stream.cut()
            stream.kill()

    def _spoiled(self, program: bytes, fault: TimedFault | None) -> bytes:
        if self._counting:
            call = f"install({COUNTED!r}, 0, lambda: os.write(2, b'.'))"
        elif fault and fault.victim == KEEPER and not fault.place:
            call = f"install({fault.action!r}, {fault.change})"
        else:
            return program
        return spoil(program, call)


def spoil(program: bytes, call: str) -> bytes:
    """Return a keeper's program that first makes this call of `disk_faults`."""
    return beginning_with(program, source_of("faults/disk_faults.py"), call.encode())


def source_of(module: str) -> bytes:
    """Return the source of a module below harness.verify.proofs, to run where it is missing."""
    return resources.files("harness.verify.proofs").joinpath(module).read_bytes()


def beginning_with(program: bytes, *first: bytes) -> bytes:
    """Return a keeper's program that first runs these pieces of Python."""
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(program)) as old,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, b"\n".join([*first, content]) if name == "__main__.py" else content)
    return made.getvalue()


class _Watched:
    """A stream that counts its bytes, and can be cut."""

    def __init__(self, name: str, stream: Stream, engine: FaultyEngine) -> None:
        self._name, self._stream, self._engine = name, stream, engine
        self._is_cut = False

    def write(self, data: bytes, deadline: float) -> None:
        self._check()
        passing = self._engine.pass_by(self._name, TO, len(data))
        if passing is None:
            self._stream.write(data, deadline)
            return
        if passing:
            self._stream.write(data[:passing], deadline)
        self._engine.strike()
        self._check()
        if data[passing:]:
            self._stream.write(data[passing:], deadline)

    def read(self, deadline: float) -> tuple[int, bytes]:
        while not self._is_cut:
            source, data = self._stream.read(deadline)
            if source == 2 and self._name == KEEPER and self._engine.counting:
                self._engine.changed(data.count(b"."))
                continue
            passing = self._engine.pass_by(self._name, FROM, len(data)) if source else None
            if passing is None:
                return source, data
            self._engine.strike()
            if not self._is_cut:
                return source, data
            if passing:
                return source, data[:passing]
        return 0, b""

    def close_write(self) -> None:
        self._stream.close_write()

    def cut(self) -> None:
        """Let nothing more pass in either direction; the other side sees the end of its input."""
        self._is_cut = True
        self._stream.close_write()

    def kill(self) -> None:
        self._stream.kill()
        # What was under way when the container died does not arrive.
        self._is_cut = True

    def close(self) -> None:
        self._engine.forget(self)
        self._stream.close()

    def _check(self) -> None:
        if self._is_cut:
            raise StreamCut("the other end of the stream has gone")
