"""The owner of a container, volume, folder or process.

Each is labelled with its owner, so that `harness clean` finds what a crash left.
"""

from __future__ import annotations

import functools
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

OWNER_LABEL = "harness.owner"
"""Label with the owner, as `str(Owner)` writes it."""

TEMPORARY = "harness.temporary"
"""Label of a volume that is removed with its owner. Volumes that a user keeps do not have it."""

KATAS = "harness.katas"
"""Label of every data-container: the name of the katas that it holds, all or a part of them."""

_WRITTEN = re.compile(r"([^/\s]+)/([^/\s]+)/(?:(\d+-\d+)/)?(\d{1,10})/(\d{1,20})", re.ASCII)


@dataclass(frozen=True)
class Fate:
    """Whether an owner has ended, as far as this process can tell."""

    gone: bool
    """Whether it has surely ended."""

    doubt: str = ""
    """Why this process cannot tell. Empty: it can. What is in doubt is left alone."""


LIVES, GONE = Fate(gone=False), Fate(gone=True)


@dataclass(frozen=True)
class Owner:
    """One process of one boot of one machine.

    A process id alone is not enough: the kernel reuses it, and each pid namespace has its own.
    """

    host: str
    """The machine's name."""

    boot: str
    """The kernel's id of the boot (/proc/sys/kernel/random/boot_id)."""

    process: int
    """The process id."""

    started: int
    """Clock ticks from the boot to its start (proc(5), field 22 of stat), in its time namespace."""

    namespaces: str = ""
    """The inodes of its pid and time namespaces, "PID-TIME". Old versions wrote none."""

    @classmethod
    def current(cls) -> Owner:
        """Return this process."""
        return _current(os.getpid())

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """Parse what `str(owner)` wrote. Returns None for any other text."""
        match = _WRITTEN.fullmatch(text)
        if not match:
            return None
        host, boot, namespaces, process, started = match.groups()
        return cls(host, boot, int(process), int(started), namespaces or "")

    def __str__(self) -> str:
        inside = f"{self.namespaces}/" if self.namespaces else ""
        return f"{self.host}/{self.boot}/{inside}{self.process}/{self.started}"

    def has_gone(self) -> bool:
        """Return True only if the owner has surely ended."""
        return self.fate().gone

    def fate(self) -> Fate:
        """Return whether the owner has ended, as far as this process can tell.

        It cannot tell for another machine, nor for another pid namespace unless the machine has
        rebooted since.
        """
        here = Owner.current()
        if self.host != here.host:
            return Fate(gone=False, doubt=f"it belongs to another machine, {self.host}")
        if self.boot != here.boot:
            return GONE
        if not self.namespaces:
            if process_started(self.process) == self.started:
                return LIVES
            return Fate(gone=False, doubt="an earlier version of the harness made it")
        if self._pid_namespace() != here._pid_namespace():
            return Fate(
                gone=False, doubt="it belongs to another pid namespace, such as a container's"
            )
        return self._fate_of_the_process(here)

    def _fate_of_the_process(self, here: Owner) -> Fate:
        if not _exists(self.process):
            return GONE
        status = _look(self.process)
        if status is None:
            return Fate(gone=False, doubt="its process cannot be seen from here")
        started, alive = status
        if not alive:
            return GONE
        if self.namespaces != here.namespaces:
            return Fate(gone=False, doubt="it belongs to another time namespace")
        return LIVES if started == self.started else GONE

    def _pid_namespace(self) -> str:
        return self.namespaces.partition("-")[0]


@functools.lru_cache(maxsize=1)
def _current(process: int) -> Owner:
    """Return this process. Its id is the cache's key, because a fork is another owner."""
    status = _parse(Path("/proc/self/stat").read_text(errors="replace"))
    return Owner(
        platform.node(), _boot(), process, status[0], f"{_namespace('pid')}-{_namespace('time')}"
    )


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _namespace(kind: str) -> str:
    """Return the inode of this process's namespace, or 0 if the kernel has none of this kind."""
    try:
        return re.sub(r"\D", "", os.readlink(f"/proc/self/ns/{kind}"))
    except OSError:
        return "0"


def _exists(process: int) -> bool:
    """Ask the kernel, because /proc may hide the living processes of other users."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def process_started(process: int) -> int | None:
    """Return when the process was started; None if it has ended or cannot be seen."""
    status = _look(process)
    return status[0] if status and status[1] else None


def _look(process: int) -> tuple[int, bool] | None:
    """Return when a process was started, and whether it is alive; None if it cannot be seen."""
    if not _proc_is_ours():
        return None
    try:
        return _parse(Path(f"/proc/{process}/stat").read_text(errors="replace"))
    except OSError:
        return None


def _parse(status: str) -> tuple[int, bool]:
    # The program's name, in parentheses, may itself hold spaces and parentheses.
    fields = status.rpartition(")")[2].split()
    # A process that has ended, and that nobody has waited for yet, has one thread left.
    ended = fields[0] in "ZX" and int(fields[17]) <= 1
    return int(fields[19]), not ended


def _proc_is_ours() -> bool:
    """Return whether /proc shows this process's own pid namespace.

    NSpid lists the process's id in each namespace from that of /proc down to its own.
    """
    for line in Path("/proc/self/status").read_text(errors="replace").splitlines():
        if line.startswith("NSpid:"):
            return len(line.split()) == 2
    return os.readlink("/proc/self") == str(os.getpid())  # before Linux 4.1
