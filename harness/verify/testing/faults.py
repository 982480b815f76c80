"""Faults: what can go wrong between the harness and the other end of a stream, as values.

Each wraps a stream of any engine. FakeEngine.inject takes them; `Sandbox.wrap(fault.wrap)` breaks a
sandbox of a real engine:

    sandbox = engine.open(spec)
    sandbox.wrap(CutOutput(at=512).wrap)
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias

from harness.engines.guest.protocol import Request
from harness.engines.streams import Stream
from harness.inside.errors import EngineError, StreamCut
from harness.inside.keeper import CALL

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
        return _CutOutput(stream, self.at)

    def __str__(self) -> str:
        return f"cut after byte {self.at} of what it sends"


@dataclass(frozen=True)
class CutInput:
    """The other end dies after receiving `at` bytes."""

    at: int
    """Bytes, from 0."""

    def wrap(self, stream: Stream) -> Stream:
        return _CutInput(stream, self.at)

    def __str__(self) -> str:
        return f"cut after byte {self.at} of what it is sent"


@dataclass(frozen=True)
class KillAt:
    """The other end is killed by a request, before it reads it."""

    request: int
    """The number of the request, from 1."""

    def wrap(self, stream: Stream) -> Stream:
        return _KillAt(stream, self.request)

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


class _Broken(ABC):
    """A stream that breaks once, and stays broken."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._dead = False

    @abstractmethod
    def write(self, data: bytes, deadline: float) -> None: ...

    def close_write(self) -> None:
        self._stream.close_write()

    def read(self, deadline: float) -> tuple[int, bytes]:
        return (0, b"") if self._dead else self._stream.read(deadline)

    def kill(self) -> None:
        self._stream.kill()

    def close(self) -> None:
        self._stream.close()

    def _die(self) -> None:
        if not self._dead:
            self._dead = True
            self._stream.kill()


class _CutOutput(_Broken):
    def __init__(self, stream: Stream, at: int) -> None:
        super().__init__(stream)
        self._left = at

    def write(self, data: bytes, deadline: float) -> None:
        if self._dead:
            raise StreamCut("the other end of the stream has gone")
        self._stream.write(data, deadline)

    def read(self, deadline: float) -> tuple[int, bytes]:
        if not self._left:
            self._die()
        source, data = super().read(deadline)
        if source == 1:
            data = data[: self._left]
            self._left -= len(data)
        return source, data


class _CutInput(_Broken):
    def __init__(self, stream: Stream, at: int) -> None:
        super().__init__(stream)
        self._left = at

    def write(self, data: bytes, deadline: float) -> None:
        if len(data) > self._left:
            if self._left and not self._dead:
                self._stream.write(data[: self._left], deadline)
            self._left = 0
            self._die()
            raise StreamCut("the other end of the stream has gone")
        self._left -= len(data)
        self._stream.write(data, deadline)


class _KillAt(_Broken):
    def __init__(self, stream: Stream, request: int) -> None:
        super().__init__(stream)
        self._left = request

    def write(self, data: bytes, deadline: float) -> None:
        if data.startswith(_REQUESTS) or _CALL in data[:64]:
            self._left -= 1
            if not self._left:
                self._die()
        if self._dead:
            raise StreamCut("the other end of the stream has gone")
        self._stream.write(data, deadline)
