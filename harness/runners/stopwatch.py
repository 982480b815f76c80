"""The stopwatch of a test event: it times each step, and stops while the harness observes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.runners.run import Phase


@dataclass
class PipedBytes:
    """What a step that pipes fills in."""

    bytes_in: int = 0
    """Bytes piped into the run-container."""

    bytes_out: int = 0
    """Bytes piped out of it."""


@dataclass
class Stopwatch:
    """Times the steps of one test event from the press of the button."""

    started: int = field(default_factory=time.monotonic_ns)
    """When the button was pressed, in monotonic nanoseconds."""

    phases: list[Phase] = field(default_factory=list)
    """The steps so far."""

    unseen: int = 0
    """Nanoseconds spent on observation, which do not count."""

    @contextmanager
    def phase(self, kind: str, step: str) -> Iterator[PipedBytes]:
        """Time the block as one step."""
        piped = PipedBytes()
        started = time.monotonic_ns()
        yield piped
        self.phases.append(
            Phase(kind, step, time.monotonic_ns() - started, piped.bytes_in, piped.bytes_out)
        )

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave the block's time out of the count."""
        started = time.monotonic_ns()
        yield
        self.unseen += time.monotonic_ns() - started

    def elapsed(self) -> int:
        """Return the nanoseconds since the press that count."""
        return time.monotonic_ns() - self.started - self.unseen
