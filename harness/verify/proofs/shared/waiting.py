"""Waiting: for what becomes true after a while, and for checks that run side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Example = TypeVar("_Example")

PATIENCE = 20.0
"""Seconds that an engine may take to remove what has ended."""


def eventually(true: Callable[[], object]) -> bool:
    """Wait until `true()` is true; return False if it is not within `PATIENCE`.

    Engines remove containers, and kernels remove processes, some time after they end.
    """
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def at_once(examples: Sequence[_Example], check: Callable[[_Example], object]) -> None:
    """Check the examples side by side, each in a thread.

    Raises what the first failing check raised, once all have ended.
    """
    with ThreadPoolExecutor(len(examples)) as pool:
        for future in [pool.submit(check, example) for example in examples]:
            future.result()
