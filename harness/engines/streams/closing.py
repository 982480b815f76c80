"""Close many things at once that are each slow to close."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

AT_ONCE = 16
"""How many are closed at the same time, at most."""


class Closes(Protocol):
    """Can be closed."""

    def close(self) -> object:
        """Close it, and wait until it is closed."""


def close_all(things: Iterable[Closes]) -> None:
    """Close all, and return when they are closed. Raises the error of the first that failed."""
    waiting = list(things)
    if len(waiting) < 2:
        for thing in waiting:
            thing.close()
        return
    with ThreadPoolExecutor(
        min(len(waiting), AT_ONCE), thread_name_prefix="harness-closing"
    ) as threads:
        closing = [threads.submit(thing.close) for thing in waiting]
    for done in closing:
        done.result()
