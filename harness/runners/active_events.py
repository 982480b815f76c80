"""The test events of a runner that are under way: whoever closes the runner ends them, and waits for their end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from harness.inside.errors import HarnessError, UsageError

PAUSE_SECONDS = 0.05
"""Between two tries to end what was only being started at the first."""


class _Entry:
    """One test event."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.end: Callable[[], object] = lambda: (
            None
        )  # may be called at any time, by another thread


class ActiveEvents:
    """For several threads."""

    def __init__(self, name: str) -> None:
        """The name of the runner."""
        self._name = name
        self._entries: set[_Entry] = set()
        self._changed = threading.Condition()
        self._closed = False

    @contextmanager
    def event(self) -> Iterator[_Entry]:
        """One test event more. Raises UsageError once closed."""
        entry = _Entry()
        with self._changed:
            if self._closed:
                raise UsageError(
                    f"this {self._name} is closed, and its temporary katas are gone; open another one"
                )
            self._entries.add(entry)
        try:
            yield entry
        finally:
            with self._changed:
                self._entries.remove(entry)
                self._changed.notify_all()

    def check(self) -> None:
        """Raises UsageError for a test event that was ended because the runner was closed."""
        if self._closed:
            raise UsageError(
                f"this {self._name} was closed while a test event was under way, which was not accepted; wait for it before"
            )

    def close(self, interrupt: Callable[[], object]) -> None:
        """End all, and take no more. `interrupt` ends what they all wait for. One that itself calls this, when it hands out its
        output, is ended and not waited for.
        """
        own = threading.get_ident()
        with self._changed:
            self._closed = True
            while self._entries:
                ends = [interrupt, *(each.end for each in self._entries)]
                self._changed.release()
                try:
                    for end in ends:
                        with suppress(HarnessError):
                            end()
                finally:
                    self._changed.acquire()
                if all(each.thread == own for each in self._entries):
                    return
                self._changed.wait(PAUSE_SECONDS)
