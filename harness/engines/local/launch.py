"""Start a process that does not inherit the session's keys, and that enters a control group.

A thread has its own session keyring and control group, and processes that it starts inherit them.
So a new thread changes both and starts the process; no other thread is affected.
"""

from __future__ import annotations

import ctypes
import platform
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_T = TypeVar("_T")

KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219}
"""The number of keyctl(2) for each machine (asm/unistd.h); the C library has no function for it."""

JOIN_SESSION_KEYRING = 1
"""The operation of keyctl(2) that joins a new, empty keyring, if it gets no name."""


def launch(start: Callable[[], _T], enter: Callable[[], object] = lambda: None) -> _T:
    """Return what `start` returns in a new thread with an empty keyring that has called `enter`."""
    started: Future[_T] = Future()

    def work() -> None:
        try:
            leave_keyring()
            enter()
            started.set_result(start())
        except BaseException as error:
            started.set_exception(error)

    thread = threading.Thread(target=work, name="harness-launch")
    thread.start()
    thread.join()  # the thread has left the control group by then
    return started.result()


def leave_keyring() -> bool:
    """Give the calling thread an empty session keyring. Returns False if it keeps the old one.

    That happens if the kernel has no keyrings, the user's quota is used up, or KEYCTL lacks the
    machine. Then only the filter of system calls keeps a run from the keys.
    """
    number = KEYCTL.get(platform.machine())
    if number is None:
        return False
    call = ctypes.CDLL(None).syscall
    call.restype = ctypes.c_long
    return bool(call(ctypes.c_long(number), ctypes.c_long(JOIN_SESSION_KEYRING), None) > 0)
