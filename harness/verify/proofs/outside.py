"""What a proof sees from outside of a run: the processes of this machine, and what takes a while."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Example = TypeVar("_Example")

PATIENCE = 20.0
"""Seconds that an engine may take to remove what has ended."""


def eventually(true: Callable[[], object]) -> bool:
    """Whether it becomes true while one can wait; engines remove containers, and kernels processes, some time after their
    end.
    """
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def at_once(examples: Sequence[_Example], check: Callable[[_Example], object]) -> None:
    """Check these side by side, each in a thread; raises what the first of them raised, when all have ended."""
    with ThreadPoolExecutor(len(examples)) as pool:
        for each in [pool.submit(check, example) for example in examples]:
            each.result()


def marker() -> str:
    """A number of seconds that nobody else sleeps."""
    return f"{1000 + secrets.randbelow(9000)}.{secrets.randbelow(10**9):09d}"


def alive(*marks: str) -> bool:
    """Whether a process on this machine sleeps so long. An engine on another machine hides its processes."""
    wanted = {mark.encode() for mark in marks}
    for process in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{process}/cmdline", "rb") as words:
            if not wanted.isdisjoint(words.read().split(b"\0")):
                return True
    return False
