"""A stream that breaks where a watcher says so, and stays broken."""

from __future__ import annotations

from typing import Protocol

from harness.engines.streams import Stream
from harness.inside.errors import StreamCut
from harness.verify.faults.wrapped import WrappedStream

TO, FROM = "to", "from"
"""The ways of a stream: to a container, and from it."""


class Watcher(Protocol):
    """Says when the fault strikes, and whom."""

    def passing(self, way: str, source: int, data: bytes) -> int | None:
        """Return how many of these bytes pass before the fault strikes. None: it does not.

        `source` is 1 for stdout and 2 for stderr, and 0 on the way to the container.
        """

    def strike(self, stream: BreakableStream) -> None:
        """Let the fault happen; the stream that was watched may be another than its victim's."""

    def closed(self, stream: BreakableStream) -> None:
        """Note that this stream was closed."""


class BreakableStream(WrappedStream):
    """A stream whose bytes are watched, and that can be cut."""

    def __init__(self, stream: Stream, watcher: Watcher) -> None:
        """Stand before `stream`."""
        super().__init__(stream)
        self._watcher = watcher
        self._is_cut = False

    def write(self, data: bytes, deadline: float) -> None:
        self._check()
        passing = self._watcher.passing(TO, 0, data)
        if passing is None:
            self.behind.write(data, deadline)
            return
        if passing:
            self.behind.write(data[:passing], deadline)
        self._watcher.strike(self)
        self._check()
        if data[passing:]:
            self.behind.write(data[passing:], deadline)

    def read(self, deadline: float) -> tuple[int, bytes]:
        if self._is_cut:
            return 0, b""
        source, data = self.behind.read(deadline)
        if self._is_cut:
            return 0, b""
        passing = self._watcher.passing(FROM, source, data) if source else None
        if passing is None:
            return source, data
        self._watcher.strike(self)
        if not self._is_cut:
            return source, data
        return (source, data[:passing]) if passing else (0, b"")

    def cut(self) -> None:
        """Let nothing more pass in either direction; the other side sees the end of its input."""
        self._is_cut = True
        self.behind.close_write()

    def kill(self) -> None:
        self.behind.kill()
        # What was under way when the container died does not arrive.
        self._is_cut = True

    def close(self) -> None:
        self._watcher.closed(self)
        self.behind.close()

    def _check(self) -> None:
        if self._is_cut:
            raise StreamCut("the other end of the stream has gone")
