"""The folders of a sandbox, opened one by one without following symlinks.

A run may have left anything there: a symlink where a folder was, a folder where a file was, modes
that forbid everything. So no path is followed beyond the folders that really exist.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator

from harness.inside.descent import enter
from harness.inside.disk import ALL_ACCESS, open_folder, permit, remove_tree

_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW


class Folders:
    """The folders of a sandbox, entered part by part without following symlinks.

    Only one is open at a time, because a tree may have more folders than a process may open.
    """

    def __init__(self, sandbox: str, owner: tuple[int, int] | None = None) -> None:
        self._root = open_folder(sandbox)
        self._owner = owner
        self._here = os.dup(self._root)
        # The path of the open folder `self._here`.
        self._parts: list[bytes] = []
        # Whether it may be read, and was opened to its owner where a run had closed it.
        self._entered = True

    def find(self, parts: list[bytes]) -> int | None:
        """Return this folder, open until the next call; None if it does not exist."""
        try:
            return self._go(parts, self._enter)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def place(self, parts: list[bytes]) -> int | None:
        """Return this folder to name its entries by, open until the next call; None if it is gone.

        Unlike `find`, it changes no mode. Raises PermissionError if a run closed it to this user.
        """
        try:
            if parts != self._parts:
                self._move(os.dup(self._root), [])
                for part in parts:
                    there = os.open(part, _PLACE, dir_fd=self._here)
                    self._move(there, [*self._parts, part], entered=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not os.access(".", os.X_OK, dir_fd=self._here):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return self._here

    def look(self, parts: list[bytes]) -> os.stat_result | None:
        """Return the status of this path without following symlinks; None if nothing is there."""
        *above, last = parts
        return None if (folder := self.find(above)) is None else entry_status(folder, last)

    def make(self, parts: list[bytes]) -> int:
        """Return this folder for writing, open until the next call.

        Creates what is missing and replaces anything that is not a folder.
        """
        folder = self._go(parts, self._make)
        permit(folder, ALL_ACCESS)
        return folder

    def close(self) -> None:
        """Close the open folder."""
        os.close(self._here)
        os.close(self._root)

    def _go(self, parts: list[bytes], enter: Callable[[bytes], None]) -> int:
        if parts != self._parts or not self._entered:
            self._move(os.dup(self._root), [])
            for part in parts:
                enter(part)
        return self._here

    def _enter(self, part: bytes) -> None:
        self._move(open_folder(part, parent=self._here), [*self._parts, part])

    def _move(self, folder: int, parts: list[bytes], *, entered: bool = True) -> None:
        os.close(self._here)
        self._here, self._parts, self._entered = folder, parts, entered

    def _make(self, part: bytes) -> None:
        try:
            self._enter(part)
        except (FileNotFoundError, NotADirectoryError):
            permit(self._here, ALL_ACCESS)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part, dir_fd=self._here)
            make_folder(self._here, part, self._owner)
            self._enter(part)


def make_folder(parent: int | None, name: bytes, owner: tuple[int, int] | None) -> None:
    """Create a folder and give it to `owner`.

    If something else has taken its place by then, that is not given away.
    """
    os.mkdir(name, 0o755, dir_fd=parent)
    if owner:
        made = enter(name, parent)
        try:
            os.fchown(made, *owner)
        finally:
            os.close(made)


def entry_status(folder: int, name: bytes) -> os.stat_result | None:
    """Return the lstat of `name` in an open folder; None if it is missing."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    return None


def stamp_path(folders: Folders, name: bytes, stamp: int) -> int:
    """Stamp a path and return the stamp that the file system stored.

    A folder that a run closed is opened only if it cannot be done otherwise.
    """
    *parts, last = name.split(b"/")
    try:
        folder = folders.place(parts)
    except PermissionError:
        folder = folders.find(parts)
    if folder is None:
        raise FileNotFoundError(
            errno.ENOENT, "it was removed meanwhile, try again", os.fsdecode(name)
        )
    os.utime(last, ns=(stamp, stamp), dir_fd=folder, follow_symlinks=False)
    return os.stat(last, dir_fd=folder, follow_symlinks=False).st_mtime_ns


def remove_entry(folder: int, name: bytes, *, only_folders: bool = False) -> None:
    """Remove `name` from an open folder if it exists. Raises OSError."""
    status = entry_status(folder, name)
    if status is None:
        return
    is_folder = stat.S_ISDIR(status.st_mode)
    if only_folders and not is_folder:
        return
    permit(folder, ALL_ACCESS)
    if is_folder:
        remove_tree(name, parent=folder)
    else:
        os.unlink(name, dir_fd=folder)


@contextlib.contextmanager
def sandbox_folders(sandbox: str, owner: tuple[int, int] | None = None) -> Iterator[Folders]:
    """Open the folders of a sandbox for the length of a block. Raises OSError."""
    folders = Folders(sandbox, owner)
    try:
        yield folders
    finally:
        folders.close()
