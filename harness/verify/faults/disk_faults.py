"""A fault at a change of the disk, in the process that makes the change.

It hooks into Python's own audit events (PEP 578), so the code under proof knows nothing of it.
It also runs inside keepers: standard library only.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable

TAKING = frozenset({"os.mkdir", "os.link", "os.symlink", "os.rename"})
"""Changes that take space; so does opening a file that does not exist yet."""

CHANGES = TAKING | {"os.remove", "os.rmdir", "os.utime", "os.chmod", "os.chown", "os.truncate"}
"""The audit events of all changes of a disk, except for opening a file."""

KILLED, FULL, COUNTED = "killed", "full", "counted"
"""What happens at a change: the process is killed just before it; the disk is full from it on;
or nothing, but `tell` is called.
"""


def install(action: str, number: int, tell: Callable[[], object] = lambda: None) -> None:
    """Arm the action at change `number` (from 1) of this process; it cannot be disarmed."""
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        opens = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
        if not opens and event not in CHANGES:
            return
        seen += 1
        if action == COUNTED:
            tell()
        elif action == KILLED and seen == number:
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == FULL and seen >= number and (opens or event in TAKING):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    sys.addaudithook(hook)
