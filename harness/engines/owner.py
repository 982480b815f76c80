"""Who a container, volume, folder or process belongs to: the label by which `harness clean` finds what a
crash left.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

LABEL = "harness.owner"
TEMPORARY = "harness.temporary"
"""Label of a volume that goes with its owner; katas that a user keeps do not carry it."""

KATAS = "harness.katas"
"""Label of every data-container: the name of the katas that it holds all or a part of."""


@dataclass(frozen=True)
class Owner:
    """One process of one boot of one machine: a process id alone is used again sooner or later."""

    host: str
    boot: str
    process: int
    started: int  # clock ticks since that boot (proc(5), field 22 of stat)

    @classmethod
    def current(cls) -> Owner:
        return cls(platform.node(), _boot(), os.getpid(), _started(os.getpid()) or 0)

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """The owner that `str(owner)` wrote; None when somebody else wrote it."""
        parts = text.split("/")
        if len(parts) != 4 or not (parts[2].isdigit() and parts[3].isdigit()):
            return None
        return cls(parts[0], parts[1], int(parts[2]), int(parts[3]))

    def __str__(self) -> str:
        return f"{self.host}/{self.boot}/{self.process}/{self.started}"

    def has_gone(self) -> bool:
        """True only when this machine can tell that the process has ended; another machine's never have."""
        if self.host != platform.node():
            return False
        return self.boot != _boot() or _started(self.process) != self.started


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _started(process: int) -> int | None:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    # The program's name, in parentheses, may itself hold spaces and parentheses.
    return int(status.rpartition(")")[2].split()[19])
