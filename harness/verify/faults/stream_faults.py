"""Faults: what can go wrong between the harness and the other end of a stream, as values.

Each wraps a stream of any engine. FakeEngine.inject takes them, and so does FaultyEngine, in front
of any other engine; `Sandbox.wrap(fault.wrap)` breaks one sandbox:

    sandbox = engine.open(spec)
    sandbox.wrap(CutOutput(at=512).wrap)
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from harness.engines.guest.protocol import Request
from harness.engines.streams import Stream
from harness.inside.errors import EngineError
from harness.inside.keeper import CALL
from harness.verify.faults.breakable import FROM, TO, BreakableStream

_REQUESTS = tuple(request.beginning for request in Request)
"""The beginnings of all requests to a run-container; each is written in one piece."""

_CALL = json.dumps({CALL: ""}).encode().partition(b":")[0]
"""Part of every request to a keeper."""


@dataclass(frozen=True)
class CutOutput:
    """The other end dies after sending `at` bytes of stdout; what it sends later never arrives."""

    at: int
    """Bytes of stdout, from 0."""

    def wrap(self, stream: Stream) -> Stream:
        return BreakableStream(stream, _Byte(FROM, self.at))

    def __str__(self) -> str:
        return f"cut after byte {self.at} of what it sends"


@dataclass(frozen=True)
class CutInput:
    """The other end dies after receiving `at` bytes."""

    at: int
    """Bytes, from 0."""

    def wrap(self, stream: Stream) -> Stream:
        return BreakableStream(stream, _Byte(TO, self.at))

    def __str__(self) -> str:
        return f"cut after byte {self.at} of what it is sent"


@dataclass(frozen=True)
class KillAt:
    """The other end is killed by a request, before it reads it."""

    request: int
    """The number of the request, from 1."""

    def wrap(self, stream: Stream) -> Stream:
        return BreakableStream(stream, _Asked(TO, self.request))

    def __str__(self) -> str:
        return f"killed at request {self.request}"


@dataclass(frozen=True)
class Refuse:
    """The engine refuses to start the other end."""

    reason: str = "the engine refused"
    """The message of the EngineError."""

    def wrap(self, stream: Stream) -> Stream:
        stream.kill()
        stream.close()
        raise EngineError(self.reason)

    def __str__(self) -> str:
        return "refused"


StreamFault: TypeAlias = CutOutput | CutInput | KillAt | Refuse


@dataclass
class _Byte:
    """Watches for byte number `at` of one way, and kills the other end there."""

    way: str
    left: int

    def passing(self, way: str, source: int, data: bytes) -> int | None:
        if way != self.way or source == 2:
            return None
        before, self.left = self.left, self.left - len(data)
        return before if 0 <= before < len(data) else None

    def strike(self, stream: BreakableStream) -> None:
        stream.kill()

    def closed(self, stream: BreakableStream) -> None:
        """Do nothing: it watches one stream alone."""


@dataclass
class _Asked(_Byte):
    """Watches for a request; `left` counts down to it."""

    def passing(self, way: str, source: int, data: bytes) -> int | None:
        if way != TO or not (data.startswith(_REQUESTS) or _CALL in data[:64]):
            return None
        self.left -= 1
        return None if self.left else 0


class FaultQueue:
    """Faults that wait for the next run-containers and keepers to be opened."""

    def __init__(self) -> None:
        """Begin with none."""
        self._waiting: dict[bool, deque[StreamFault]] = {False: deque(), True: deque()}

    def inject(self, *faults: StreamFault, keeper: bool = False) -> None:
        """Add faults for the next run-containers, or keepers: one each, in order."""
        self._waiting[keeper].extend(faults)

    def broken(self, stream: Stream, *, keeper: bool = False) -> Stream:
        """Return the stream of a run-container, or keeper, with the fault that it was to have."""
        waiting = self._waiting[keeper]
        return waiting.popleft().wrap(stream) if waiting else stream
