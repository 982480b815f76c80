"""Who a container, volume, folder or process belongs to: the label by which `harness clean` finds what a
crash left.
"""

from __future__ import annotations

import functools
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

OWNER_LABEL = "harness.owner"
TEMPORARY = "harness.temporary"
"""Label of a volume that goes with its owner; katas that a user keeps do not carry it."""

KATAS = "harness.katas"
"""Label of every data-container: the name of the katas that it holds all or a part of."""

_WRITTEN = re.compile(r"([^/\s]+)/([^/\s]+)/(?:(\d+-\d+)/)?(\d{1,10})/(\d{1,20})", re.ASCII)


@dataclass(frozen=True)
class Fate:
    """What this process can tell of an owner. What is in doubt is left alone."""

    gone: bool
    doubt: str = ""  # why it cannot be told whether the owner lives; empty if it can


LIVES, GONE = Fate(gone=False), Fate(gone=True)


@dataclass(frozen=True)
class Owner:
    """One process of one boot of one machine: a process id alone is used again sooner or later, and means another process in
    each pid namespace.
    """

    host: str
    boot: str
    process: int
    started: int  # clock ticks since that boot (proc(5), field 22 of stat), as its time namespace counts them
    namespaces: str = ""  # of process ids and of time, by their inodes; earlier versions wrote none

    @classmethod
    def current(cls) -> Owner:
        return _current(os.getpid())

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """The owner that `str(owner)` wrote; None when somebody else wrote it."""
        found = _WRITTEN.fullmatch(text)
        if not found:
            return None
        host, boot, namespaces, process, started = found.groups()
        return cls(host, boot, int(process), int(started), namespaces or "")

    def __str__(self) -> str:
        inside = f"{self.namespaces}/" if self.namespaces else ""
        return f"{self.host}/{self.boot}/{inside}{self.process}/{self.started}"

    def has_gone(self) -> bool:
        """True only when this process can tell that the owner has ended."""
        return self.fate().gone

    def fate(self) -> Fate:
        """Whether the owner has ended, as far as this process can tell: never of another machine, nor of another pid
        namespace, unless the machine was started anew since.
        """
        here = Owner.current()
        if self.host != here.host:
            return Fate(gone=False, doubt=f"it belongs to another machine, {self.host}")
        if self.boot != here.boot:
            return GONE
        if not self.namespaces:
            if _started(self.process) == self.started:
                return LIVES
            return Fate(gone=False, doubt="an earlier version of the harness made it")
        if self._pid_namespace() != here._pid_namespace():
            return Fate(gone=False, doubt="it belongs to another pid namespace, say a container's")
        return self._fate_of_the_process(here)

    def _fate_of_the_process(self, here: Owner) -> Fate:
        if not _exists(self.process):
            return GONE
        found = _look(self.process)
        if found is None:
            return Fate(gone=False, doubt="its process cannot be looked at from here")
        started, alive = found
        if not alive:
            return GONE
        if self.namespaces != here.namespaces:
            return Fate(gone=False, doubt="it belongs to another time namespace")
        return LIVES if started == self.started else GONE

    def _pid_namespace(self) -> str:
        return self.namespaces.partition("-")[0]


@functools.lru_cache(maxsize=1)
def _current(process: int) -> Owner:
    """This process, whose id is the key: a fork of it is another."""
    status = _parse(Path("/proc/self/stat").read_text(errors="replace"))
    return Owner(
        platform.node(), _boot(), process, status[0], f"{_namespace('pid')}-{_namespace('time')}"
    )


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _namespace(kind: str) -> str:
    """Its inode: no two that exist at a time share one. 0 where the kernel has none of this kind."""
    try:
        return re.sub(r"\D", "", os.readlink(f"/proc/self/ns/{kind}"))
    except OSError:
        return "0"


def _exists(process: int) -> bool:
    """Asked of the kernel itself: where /proc hides the processes of others, one that lives is not there."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _started(process: int) -> int | None:
    """None also of one that has ended, or cannot be seen."""
    found = _look(process)
    return found[0] if found and found[1] else None


def _look(process: int) -> tuple[int, bool] | None:
    """When a process of this pid namespace was started, and whether it has not ended; None where it cannot be seen."""
    if not _proc_is_ours():
        return None
    try:
        return _parse(Path(f"/proc/{process}/stat").read_text(errors="replace"))
    except OSError:
        return None


def _parse(status: str) -> tuple[int, bool]:
    # The program's name, in parentheses, may itself hold spaces and parentheses.
    fields = status.rpartition(")")[2].split()
    # Of a process that has ended and that nobody has waited for, one thread is left.
    ended = fields[0] in "ZX" and int(fields[17]) <= 1
    return int(fields[19]), not ended


def _proc_is_ours() -> bool:
    """Whether /proc shows the pid namespace that this process is in: it has one number there, and not one for each
    namespace on the way down to its own.
    """
    for line in Path("/proc/self/status").read_text(errors="replace").splitlines():
        if line.startswith("NSpid:"):
            return len(line.split()) == 2
    return os.readlink("/proc/self") == str(os.getpid())  # before Linux 4.1
