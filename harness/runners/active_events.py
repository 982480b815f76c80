"""The active test events of a runner. Closing the runner ends them and waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from harness.inside.errors import HarnessError, UsageError

PAUSE_SECONDS = 0.05
"""Seconds between two attempts to end them; at the first, one may be starting."""


class _Entry:
    """One active test event."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.end: Callable[[], object] = _nothing
        """Ends it. Another thread may call this at any time."""


class ActiveEvents:
    """Several threads may use it."""

    def __init__(self, name: str) -> None:
        """`name` is the runner's."""
        self._name = name
        self._entries: set[_Entry] = set()
        self._changed = threading.Condition()
        self._closed = False

    @contextmanager
    def event(self) -> Iterator[_Entry]:
        """Count the block as an active test event. Raises UsageError once closed."""
        entry = _Entry()
        with self._changed:
            if self._closed:
                raise UsageError(
                    f"this {self._name} is closed, and its temporary katas are gone; "
                    "open another one"
                )
            self._entries.add(entry)
        try:
            yield entry
        finally:
            with self._changed:
                self._entries.remove(entry)
                self._changed.notify_all()

    def check(self) -> None:
        """Raise UsageError if the runner was closed, for a test event that this ended."""
        if self._closed:
            raise UsageError(
                f"this {self._name} was closed during a test event, which was not accepted; "
                "wait for it before you close"
            )

    def close(self, interrupt: Callable[[], object]) -> None:
        """End all test events, wait for them, and allow no more.

        `interrupt` ends what they all wait for. A test event may itself call this from `on_output`;
        it is ended, but not waited for.
        """
        own = threading.get_ident()
        with self._changed:
            self._closed = True
            while self._entries:
                ends = [interrupt, *(entry.end for entry in self._entries)]
                self._changed.release()
                try:
                    for end in ends:
                        with suppress(HarnessError):
                            end()
                finally:
                    self._changed.acquire()
                if all(entry.thread == own for entry in self._entries):
                    return
                self._changed.wait(PAUSE_SECONDS)


def _nothing() -> None:
    """Nothing to end yet."""
