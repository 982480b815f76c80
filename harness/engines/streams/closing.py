"""Ending many things that each take a while to end, at once."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

AT_ONCE = 16


class Closes(Protocol):
    """Has an end that is waited for."""

    def close(self) -> object: ...


def close_all(things: Iterable[Closes]) -> None:
    """Returns when all are closed. Raises what the first of them raised that could not be."""
    waiting = list(things)
    if len(waiting) < 2:
        for each in waiting:
            each.close()
        return
    with ThreadPoolExecutor(
        min(len(waiting), AT_ONCE), thread_name_prefix="harness-closing"
    ) as threads:
        closing = [threads.submit(each.close) for each in waiting]
    for done in closing:
        done.result()
