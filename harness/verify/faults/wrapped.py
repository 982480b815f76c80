"""An engine and a stream that stand in front of others, and do what those do.

Whoever listens to an engine, or breaks it, changes only what it is about.
"""

from __future__ import annotations

from typing import Any

from harness.engines import Engine, Sandbox, SandboxSpec
from harness.engines.streams import Stream


class WrappedEngine:
    """Does what the engine behind it does; a subclass can put its own streams before the others."""

    def __init__(self, engine: Engine) -> None:
        self.unwrapped = engine
        """The engine behind it."""

    def __getattr__(self, name: str) -> Any:
        if name == "unwrapped":  # not there yet, as in a copy that is being made
            raise AttributeError(name)
        return getattr(self.unwrapped, name)

    def open(self, spec: SandboxSpec) -> Sandbox:
        sandbox = self.unwrapped.open(spec)
        sandbox.wrap(self.wrap_run)
        return sandbox

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        return self.wrap_keeper(self.unwrapped.open_keeper(volume, program))

    def wrap_run(self, stream: Stream) -> Stream:
        """Return what stands before the stream to a run-container."""
        return stream

    def wrap_keeper(self, stream: Stream) -> Stream:
        """Return what stands before the stream to a keeper."""
        return stream


class WrappedStream:
    """Does what the stream behind it does."""

    def __init__(self, stream: Stream) -> None:
        self.behind = stream
        """The stream behind it."""

    @property
    def unwrapped(self) -> Stream:
        """The stream behind all that stand before it."""
        return self.behind.unwrapped if isinstance(self.behind, WrappedStream) else self.behind

    def write(self, data: bytes, deadline: float) -> None:
        self.behind.write(data, deadline)

    def close_write(self) -> None:
        self.behind.close_write()

    def read(self, deadline: float) -> tuple[int, bytes]:
        return self.behind.read(deadline)

    def kill(self) -> None:
        self.behind.kill()

    def close(self) -> None:
        self.behind.close()
