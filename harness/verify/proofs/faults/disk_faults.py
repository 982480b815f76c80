"""A fault at a change of the disk, in the process that makes it, found by Python's own audit events (PEP 578): what is under
proof knows nothing of it.

Runs in the keeper too: standard library only.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable

TAKING = frozenset({"os.mkdir", "os.link", "os.symlink", "os.rename"})
"""What takes space, as does to open a file that is to be made."""

CHANGES = TAKING | {"os.remove", "os.rmdir", "os.utime", "os.chmod", "os.chown", "os.truncate"}
"""The audit events of what changes a disk, but for opening a file."""

KILLED, FULL, COUNTED = "killed", "full", "counted"
"""What happens at a change: the process is killed just before it; the disk is full from it on; nothing, but `tell` hears of
it.
"""


def install(action: str, number: int, tell: Callable[[], object] = lambda: None) -> None:
    """Let it happen at change `number` of this process from now on, from 1. It cannot be taken back."""
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
