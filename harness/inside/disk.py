"""What the standard library lacks for folders that hostile code has been in: exchange two, open one, and remove
one for sure; and what it takes to have something on the disk for sure.

What Python raises no audit event for (PEP 578) raises one here, so that whoever watches a disk misses nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys

from harness.inside.descent import Way, descend

ALL_ACCESS = os.R_OK | os.W_OK | os.X_OK
"""What it takes to change a folder."""

EXCHANGE, SYNC_FILE, SYNC_DISK = "harness.exchange", "harness.sync_file", "harness.sync_disk"
"""Audit events: the paths of two that are exchanged; the descriptor of what is forced to the disk, alone or with all that its
file system holds.
"""

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_libc = ctypes.CDLL(None, use_errno=True)


CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""What a file system says that cannot exchange two paths."""


def exchange(one: str | bytes, other: str | bytes, *, parent: int | None = None) -> None:
    """Swap two paths of one file system in one atomic step: renameat2(2) with RENAME_EXCHANGE, Linux 3.15. `other` is in the
    open folder `parent`, if there is one. Raises OSError.
    """
    sys.audit(EXCHANGE, one, other)
    failed = _libc.renameat2(
        _AT_FDCWD,
        ctypes.c_char_p(os.fsencode(one)),
        _AT_FDCWD if parent is None else parent,
        ctypes.c_char_p(os.fsencode(other)),
        _RENAME_EXCHANGE,
    )
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one, None, other)


def can_exchange(folder: str) -> bool:
    """Whether the file system can exchange two paths, tried in this folder of it. Raises OSError."""
    one, other = (os.path.join(folder, name) for name in ("one", "other"))
    os.mkdir(one)
    try:
        os.mkdir(other)
        try:
            exchange(one, other)
        except OSError as error:
            if error.errno not in CANNOT:
                raise
            return False
        finally:
            os.rmdir(other)
    finally:
        os.rmdir(one)
    return True


def sync_file(descriptor: int) -> None:
    """Have an open file, or the names in an open folder, on the disk for sure. Raises OSError."""
    sys.audit(SYNC_FILE, descriptor)
    os.fsync(descriptor)


def sync_folder(folder: str | bytes) -> None:
    """Have the names in a folder on the disk for sure; what they name need not be. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def sync_disk(descriptor: int) -> None:
    """Have all that the file system of an open file holds on the disk for sure: syncfs(2), which for a tree of many files is
    one wait in place of one for each. Raises OSError.
    """
    sys.audit(SYNC_DISK, descriptor)
    if _libc.syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def open_folder(
    name: str | bytes, *, parent: int | None = None, need: int = os.R_OK | os.X_OK
) -> int:
    """Open a folder whatever mode a run gave it, but not through a symlink: an owner who lacks one of the
    permissions needed gets them all. Raises OSError.
    """
    found = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        permit(found, need)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=found)
    finally:
        os.close(found)


def permit(folder: int, need: int) -> None:
    """See to it that the owner of an open folder has the permissions needed, be the caller root, who needs none: the owner is
    the run's user next time. Raises OSError.
    """
    path = f"/proc/self/fd/{folder}"
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if lacks(mode, need):
        os.chmod(path, mode | 0o700)


def lacks(mode: int, need: int = os.R_OK | os.X_OK) -> bool:
    """Whether a mode withholds one of the permissions needed from the owner."""
    return bool(need << 6 & ~mode)


def permit_all(folder: str | os.PathLike[str]) -> None:
    """See to it that the owner of a tree can look into all of it. Raises OSError."""
    for _ in descend(folder, enter=lambda name, parent: open_folder(name, parent=parent)):
        pass


def open_file(name: str | bytes, *, parent: int | None = None) -> int:
    """Open a regular file to be read, and nothing else that hostile code may put in its place: no symlink is followed, no
    named pipe waited for, no device woken. Raises OSError.
    """
    found = hold(name, parent=parent)
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise OSError(errno.EINVAL, "no regular file", os.fsdecode(name))
        return os.open(f"/proc/self/fd/{found}", os.O_RDONLY)
    finally:
        os.close(found)


def hold(name: str | bytes, *, parent: int | None = None) -> int:
    """A descriptor that only says which file is meant, whatever is put in its place afterwards. Raises OSError."""
    return os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=parent)


def give(held: int, owner: tuple[int, int]) -> None:
    """Make a user the owner of a held file. Raises OSError."""
    os.chown(f"/proc/self/fd/{held}", *owner)


def remove_tree(folder: str | bytes | os.PathLike[str], *, parent: int | None = None) -> None:
    """Remove a folder with all that is in it, whatever modes a run gave it and however deep it goes. A missing
    folder is fine; raises OSError.
    """
    path = os.fsencode(folder)
    try:
        top = open_folder(path, parent=parent, need=ALL_ACCESS)
    except FileNotFoundError:
        return
    way = Way(top)
    try:
        _empty(way)
    finally:
        way.close()
    os.rmdir(path, dir_fd=parent)


def empty_tree(folder: str | bytes | os.PathLike[str]) -> None:
    """Remove all that is in a folder; see `remove_tree`. Raises OSError."""
    way = Way(open_folder(os.fsencode(folder), need=ALL_ACCESS))
    try:
        _empty(way)
    finally:
        way.close()


def _empty(way: Way) -> None:
    """Remove all that is below the top of the way."""
    way.waiting.extend(_unlink_files(way.here))
    while True:
        if way.waiting:
            name = way.waiting.pop()
            way.down(name, open_folder(name, parent=way.here, need=ALL_ACCESS))
            way.waiting.extend(_unlink_files(way.here))
        elif (left := way.up()) is not None:
            os.rmdir(left, dir_fd=way.here)
        else:
            return


def _unlink_files(folder: int) -> list[str]:
    """Unlink all but the folders, which are returned."""
    with os.scandir(folder) as found:
        entries = [(each.name, each.is_dir(follow_symlinks=False)) for each in found]
    for name, is_folder in entries:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
    return [name for name, is_folder in entries if is_folder]
