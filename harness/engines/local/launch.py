"""Starting a process that inherits less of the caller: no keys of its session, and another control group.

Both belong to a thread, not to a process, and what a thread starts inherits them; so it is started by a thread that exists for
this alone, and neither the caller nor any other of its threads changes.
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
"""The number of the system call, by machine (asm/unistd.h); the C library has no name for it."""

JOIN_SESSION_KEYRING = 1
"""keyctl(2): with no name, a new and empty one, which goes with the last process that has it."""


def launch(start: Callable[[], _T], enter: Callable[[], object] = lambda: None) -> _T:
    """What `start` gives, called by a thread of its own, which has an empty session keyring and has called `enter`."""
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
    thread.join()  # it has left by then whatever it entered
    return started.result()


def leave_keyring() -> bool:
    """Give the calling thread a session keyring of its own. False where it keeps its old one: the kernel has none, the user has
    no room for one more, or the machine is of a kind that is not known here. A filter of system calls refuses the keys then.
    """
    number = KEYCTL.get(platform.machine())
    if number is None:
        return False
    call = ctypes.CDLL(None).syscall
    call.restype = ctypes.c_long
    return bool(call(ctypes.c_long(number), ctypes.c_long(JOIN_SESSION_KEYRING), None) > 0)
