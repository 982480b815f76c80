"""Forks: a forked process may not use engines, runners and streams of the process it came from.

A fork has a copy of each object, but not the threads behind it. It shares each connection, so
either process may read the other's answers. So using an object in a fork raises an error, and
closing it there does nothing to the original process.
"""

from __future__ import annotations

import os

from harness.inside.errors import UsageError


class Origin:
    """The process that created an object."""

    def __init__(self) -> None:
        self._process = os.getpid()

    def is_here(self) -> bool:
        """Return whether this process is the origin, and not a fork of it."""
        return os.getpid() == self._process

    def require(self, what: str) -> None:
        """Raise UsageError in a fork. `what` names the object."""
        if not self.is_here():
            raise UsageError(
                f"this {what} was opened by process {self._process}, and this process is a fork of "
                "it; open another one after the fork"
            )
