"""Makes the disks that a power failure may leave, in a scratch folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.engines.folders import scratch
from harness.inside.disk import can_exchange, remove_tree
from harness.inside.layout import ACCEPTING
from harness.verify.proofs.power.crash_model import ROOT, Disk
from harness.verify.proofs.power.recorder import OPAQUE_ATTRIBUTE

_MEMORY = Path("/dev/shm")
"""Making and opening a thousand disks here costs almost nothing, however busy the real disk is."""


@contextmanager
def in_memory() -> Iterator[Path]:
    """Make an empty folder in memory, for this user only; if that fails, on the disk.

    Removes what killed processes left here: nobody holds the locks of those folders.
    """
    prefix = f"harness-{os.geteuid()}-outage-"
    with contextlib.suppress(OSError):
        for folder in _MEMORY.glob(f"{prefix}*"):
            if folder.lstat().st_uid == os.geteuid():
                with contextlib.suppress(BlockingIOError), _held(folder):
                    remove_tree(folder)
    with contextlib.ExitStack() as stack:
        try:
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=_MEMORY))
            stack.callback(remove_tree, folder)
            stack.enter_context(_held(folder))
            os.setxattr(folder, OPAQUE_ATTRIBUTE, b"y")
            os.removexattr(folder, OPAQUE_ATTRIBUTE)
            fit = can_exchange(str(folder))
        except OSError:
            fit = False
        yield folder if fit else stack.enter_context(scratch("outage"))


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder. Raises BlockingIOError if another process holds it."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(held)


def make(disk: Disk, place: Path) -> None:
    """Make the content of a disk in a folder that does not exist yet. Raises OSError."""
    made: dict[int, bytes] = {}
    folders: list[tuple[bytes, int]] = []
    # Recorded inode numbers to those made here.
    numbers: dict[int, int] = {}
    deciding: list[bytes] = []

    def fill(path: bytes, folder: int) -> None:
        os.mkdir(path, 0o700)
        folders.append((path, folder))
        numbers[disk.inodes[folder].number] = os.lstat(path).st_ino
        if disk.part(folder, "opaque"):
            os.setxattr(path, OPAQUE_ATTRIBUTE, b"y")
        for name, inode in disk.names.get(folder, {}).items():
            below = os.path.join(path, os.fsencode(name))
            if stat.S_ISDIR(disk.inodes[inode].kind):
                fill(below, inode)
            elif inode in made:
                os.link(made[inode], below, follow_symlinks=False)
            else:
                _make_file(disk, inode, below)
                made[inode] = below
            if name == ACCEPTING:
                deciding.append(below)

    fill(os.fsencode(place), ROOT)
    for path in deciding:
        _renumber(path, numbers)
    for path, inode in reversed(folders):
        os.chmod(path, disk.part(inode, "mode"))
        os.utime(path, ns=(disk.part(inode, "mtime"),) * 2)


def _make_file(disk: Disk, inode: int, path: bytes) -> None:
    kind = disk.inodes[inode].kind
    if stat.S_ISLNK(kind):
        os.symlink(disk.inodes[inode].target or b"?", path)
    elif stat.S_ISREG(kind):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(file, disk.part(inode, "content"))
        os.fchmod(file, disk.part(inode, "mode"))
        os.close(file)
    else:
        os.mknod(path, kind | disk.part(inode, "mode"), disk.inodes[inode].device)
    # Restarting a machine takes longer than anybody waits for the holder of a lock.
    stamp = 0 if path.endswith(b".lock") else disk.part(inode, "mtime")
    os.utime(path, ns=(stamp, stamp), follow_symlinks=False)


def _renumber(path: bytes, numbers: Mapping[int, int]) -> None:
    """Write new inode numbers: a power failure keeps them, but making the disk changed them."""
    with open(path, "r+b") as file:
        try:
            decided = json.loads(file.read())
            decided["staged"] = numbers.get(decided["staged"], 0) if decided["staged"] else None
        except (ValueError, KeyError, TypeError):
            # It is torn.
            return
        file.seek(0)
        file.write(json.dumps(decided).encode())
        file.truncate()
