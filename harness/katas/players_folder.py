"""The files of a player's folder, opened so that no swapped folder can mislead.

Whoever owns the folder may swap a folder in it for a symlink at any moment. So each file is opened
by its name in the open folder that it is in, and that one likewise, from the top down.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EISDIR, ELOOP, ENOENT, ENOTDIR, ESTALE

_GONE = (ENOENT, ENOTDIR, ELOOP)
"""Errors of entering a folder that is no longer there; a symlink may be in its place."""


@dataclass(frozen=True)
class PlayersFolder:
    """A folder that its owner may change."""

    path: bytes
    identity: tuple[int, int] | None = None
    """Its device and inode; None if another may take its place."""

    def held(self) -> int:
        """Return a descriptor that names can be looked up in. Raises OSError."""
        try:
            folder = os.open(self.path, os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            if self.identity is None or error.errno not in _GONE:
                raise
            raise self._replaced() from error
        if self.identity not in (None, identity_of(os.fstat(folder))):
            os.close(folder)
            raise self._replaced()
        return folder

    def _replaced(self) -> OSError:
        return OSError(ESTALE, "it was replaced while it was read, try again", self.path)


@dataclass(frozen=True)
class Place:
    """Where the content of a visible file is."""

    folder: PlayersFolder
    name: bytes

    @property
    def path(self) -> str:
        """Its path, for messages."""
        return os.fsdecode(os.path.join(self.folder.path, self.name))


class Reader:
    """Opens the files of players' folders one after another; only one folder is open at a time."""

    def __init__(self) -> None:
        self._here: int | None = None
        # The folder that `_here` is in, and its path there.
        self._at: tuple[PlayersFolder, bytes] | None = None

    @contextmanager
    def found(self, place: Place) -> Iterator[tuple[int, bytes]]:
        """Have the open folder that a file is in, and its name there, for the length of a block.

        Raises OSError, also in the block, with the whole path. It is FileNotFoundError if a folder
        on the way is gone.
        """
        above, _, last = place.name.rpartition(b"/")
        try:
            yield self._enter(place.folder, above), last
        except OSError as error:
            raise OSError(error.errno, error.strerror, place.path) from error

    def close(self) -> None:
        """Close the folder that is open."""
        if self._here is not None:
            os.close(self._here)
        self._here = self._at = None

    def _enter(self, top: PlayersFolder, above: bytes) -> int:
        if self._here is None or self._at != (top, above):
            self.close()
            self._here = top.held()
            for part in above.split(b"/") if above else ():
                self._step(part)
            self._at = top, above
        return self._here

    def _step(self, part: bytes) -> None:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
        try:
            below = os.open(part, flags, dir_fd=self._here)
        except OSError as error:
            if error.errno in _GONE:
                raise FileNotFoundError(ENOENT, os.strerror(ENOENT)) from error
            raise
        if self._here is not None:
            os.close(self._here)
        self._here = below


@contextmanager
def reader() -> Iterator[Reader]:
    """Have a reader for the length of a block."""
    made = Reader()
    try:
        yield made
    finally:
        made.close()


def open_regular(folder: int, name: bytes) -> int:
    """Return a descriptor to read a regular file of an open folder, and nothing else.

    Raises OSError, without waiting for a named pipe.
    """
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(EISDIR, os.strerror(EISDIR))
    return file


def identity_of(status: os.stat_result) -> tuple[int, int]:
    """Return what tells one file from all others of the machine."""
    return status.st_dev, status.st_ino
