"""Locks on folders of the katas, with a limit on how long to wait.

A folder is its own lock: no file is left behind, and the lock ends with the process that holds it.
A stopped process keeps its lock, so everyone waits only until a deadline, in monotonic seconds.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator

from harness.inside.errors import Busy
from harness.inside.layout import HISTORY

READ_SECONDS = 60.0
"""How long a reader waits for a test event in progress: the limit of a player's patience."""

STEP_SECONDS = 10.0
"""How long to wait for a step that takes milliseconds."""

_POLL_SECONDS = 0.001, 0.02
"""Seconds between two attempts: at first, and at most."""


@contextlib.contextmanager
def locked(folder: str, deadline: float | None = None) -> Iterator[None]:
    """Lock a kata's or an avatar's folder for the length of a block.

    The default deadline is READ_SECONDS from now. Raises Busy after the deadline, and OSError.
    """
    began = time.monotonic()
    deadline = began + READ_SECONDS if deadline is None else deadline
    pause, longest = _POLL_SECONDS
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise _busy(folder, lock, time.monotonic() - began) from None
                time.sleep(min(pause, left))
                pause = min(2 * pause, longest)
        if not os.path.samestat(os.fstat(lock), os.stat(folder)):
            raise FileNotFoundError(errno.ENOENT, "it was removed meanwhile, try again", folder)
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def still(avatar: str, deadline: float | None = None) -> Iterator[None]:
    """Lock an avatar completely: no test event, and no packing of its history.

    Raises as `locked`.
    """
    with packing(avatar, deadline), locked(avatar, deadline):
        yield


@contextlib.contextmanager
def packing(avatar: str, deadline: float | None = None) -> Iterator[None]:
    """Lock the packing of the avatar's history; test events may go on. Raises as `locked`.

    A caller that needs both locks takes this one first.
    """
    with contextlib.ExitStack() as stack:
        objects = os.path.join(avatar, HISTORY, "objects")
        if os.path.isdir(objects):
            stack.enter_context(locked(objects, deadline))
        yield


def _busy(folder: str, lock: int, waited: float) -> Busy:
    holders = (
        ", ".join(_holders(os.fstat(lock).st_ino)) or "a process that cannot be seen from here"
    )
    return Busy(
        f"{folder} was still in use after {waited:.3g} seconds, by {holders}: "
        "a test event in progress, or a harness or keeper that was stopped; "
        "try again, continue it (kill -CONT) or end it"
    )


def _holders(inode: int) -> Iterator[str]:
    """Yield the processes that hold a lock on this inode, as proc(5) lists them."""
    with contextlib.suppress(OSError, ValueError), open("/proc/locks") as locks:
        for line in locks:
            fields = line.split()
            if (
                fields[1] == "FLOCK"
                and fields[5].rpartition(":")[2] == str(inode)
                and int(fields[4]) > 0
            ):
                yield _process(int(fields[4]))


def _process(number: int) -> str:
    try:
        with open(f"/proc/{number}/stat") as file:
            name, _, rest = file.read().partition("(")[2].rpartition(")")
    except OSError:
        return f"process {number}"
    stopped = ", which is stopped" if rest.split()[0] in ("T", "t") else ""
    return f"process {number} ({name}{stopped})"
