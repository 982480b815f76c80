"""The processes of this machine, as a proof finds them from outside of a run."""

from __future__ import annotations

import contextlib
import os
import secrets


def marker() -> str:
    """Return a number of seconds that no other process sleeps for."""
    return f"{1000 + secrets.randbelow(9000)}.{secrets.randbelow(10**9):09d}"


def alive(*marks: str) -> bool:
    """Tell whether a process on this machine sleeps for one of `marks`.

    An engine on another machine hides its processes.
    """
    wanted = {mark.encode() for mark in marks}
    for process in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{process}/cmdline", "rb") as words:
            if not wanted.isdisjoint(words.read().split(b"\0")):
                return True
    return False
