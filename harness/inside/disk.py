"""File operations that the standard library lacks, for folders where hostile code has been.

They exchange two paths, open folders and files safely, remove trees of any depth, and force data to
the disk. Where Python raises no audit event (PEP 578), these functions raise their own, so that a
watcher of the disk misses nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys

from harness.inside.descent import Way, descend

ALL_ACCESS = os.R_OK | os.W_OK | os.X_OK
"""The permissions that are needed to change a folder."""

EXCHANGE, SYNC_FILE, SYNC_DISK = "harness.exchange", "harness.sync_file", "harness.sync_disk"
"""Audit events, with their arguments.

EXCHANGE has both paths. SYNC_FILE and SYNC_DISK have the descriptor of what is forced to the disk:
alone, or with everything on its file system.
"""

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_libc = ctypes.CDLL(None, use_errno=True)


CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""Errors of a file system that cannot exchange two paths."""


def exchange(one: str | bytes, other: str | bytes, *, parent: int | None = None) -> None:
    """Swap two paths of one file system in one atomic step. Raises OSError.

    Uses renameat2(2) with RENAME_EXCHANGE, Linux 3.15. `other` is in the open folder `parent` if
    given.
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
    """Return whether the file system of this folder can exchange two paths. Raises OSError."""
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
    """Force an open file, or the names in an open folder, to the disk. Raises OSError."""
    sys.audit(SYNC_FILE, descriptor)
    os.fsync(descriptor)


def sync_folder(folder: str | bytes) -> None:
    """Force the names in a folder to the disk, but not the files. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def sync_disk(descriptor: int) -> None:
    """Force everything on the file system of an open file to the disk. Raises OSError.

    syncfs(2) waits once for a tree of many files, instead of once for each.
    """
    sys.audit(SYNC_DISK, descriptor)
    if _libc.syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def open_folder(
    name: str | bytes, *, parent: int | None = None, need: int = os.R_OK | os.X_OK
) -> int:
    """Open a folder whatever mode a run gave it, but not through a symlink. Raises OSError.

    If the owner lacks one of the permissions in `need`, the owner gets all.
    """
    folder = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        permit(folder, need)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
    finally:
        os.close(folder)


def permit(folder: int, need: int) -> None:
    """Give the owner of an open folder the permissions in `need`. Raises OSError.

    This happens even if the caller is root and needs none, because the next run's user is the
    owner.
    """
    path = f"/proc/self/fd/{folder}"
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if lacks(mode, need):
        os.chmod(path, mode | 0o700)


def lacks(mode: int, need: int = os.R_OK | os.X_OK) -> bool:
    """Return whether this mode denies its owner one of the permissions in `need`."""
    return bool(need << 6 & ~mode)


def permit_all(folder: str | os.PathLike[str]) -> None:
    """Let the owner of a tree look into all of its folders. Raises OSError."""
    for _ in descend(folder, enter=lambda name, parent: open_folder(name, parent=parent)):
        pass


def open_file(name: str | bytes, *, parent: int | None = None) -> int:
    """Open a regular file for reading, and nothing else that hostile code may put in its place.

    No symlink is followed, no named pipe is waited for, and no device is touched. Raises OSError.
    """
    held = hold(name, parent=parent)
    try:
        if not stat.S_ISREG(os.fstat(held).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fsdecode(name))
        return os.open(f"/proc/self/fd/{held}", os.O_RDONLY)
    finally:
        os.close(held)


def hold(name: str | bytes, *, parent: int | None = None) -> int:
    """Return a descriptor that refers to this file even if another takes its place. Raises OSError.

    It cannot be read from.
    """
    return os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=parent)


def give(held: int, owner: tuple[int, int]) -> None:
    """Make a user the owner of a held file. Raises OSError."""
    os.chown(f"/proc/self/fd/{held}", *owner)


def remove_tree(folder: str | bytes | os.PathLike[str], *, parent: int | None = None) -> None:
    """Remove a folder and its contents, whatever their modes and however deep. Raises OSError.

    A missing folder is fine.
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
    """Remove the contents of a folder as `remove_tree` does. Raises OSError."""
    way = Way(open_folder(os.fsencode(folder), need=ALL_ACCESS))
    try:
        _empty(way)
    finally:
        way.close()


def _empty(way: Way) -> None:
    """Remove everything below the top of the way."""
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
    """Remove everything in an open folder but the folders; return their names."""
    with os.scandir(folder) as items:
        entries = [(item.name, item.is_dir(follow_symlinks=False)) for item in items]
    for name, is_folder in entries:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
    return [name for name, is_folder in entries if is_folder]
