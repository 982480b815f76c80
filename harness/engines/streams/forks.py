"""What a process that was forked may do with what it did not make: nothing.

A fork has a copy of every object, and none of the threads behind them; it shares each connection with the process that it was
forked from, and answers come to whoever reads first. It is told so at once; and nothing that it closes or drops, at its end or
when it leaves a `with` block, ends what is at work for the other.
"""

from __future__ import annotations

import os

from harness.inside.errors import UsageError


class Origin:
    """The process that something was made in."""

    def __init__(self) -> None:
        self._process = os.getpid()

    def is_here(self) -> bool:
        """False in a fork of it."""
        return os.getpid() == self._process

    def require(self, what: str) -> None:
        """Raises UsageError in a fork of it."""
        if not self.is_here():
            raise UsageError(
                f"this {what} was opened by process {self._process}, of which this one is a fork: open another one after the fork"
            )
