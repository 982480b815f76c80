"""A walk through a tree where hostile code is at work, which no swapped folder can mislead.

Each folder is opened by its name in the open folder above it, and never through a symlink; so no
path is put together and looked up again. However deep the tree is, the walk needs no more
descriptors and no longer paths than in a shallow one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

WINDOW = 8
"""How many of the lowest folders on the way down stay open.

Those above are opened again through `..` on the way back up, as fts(3) does.
"""


LONGEST = 4096 - 4
"""Bytes of the longest path that tar can unpack.

Linux accepts 4096 at once, and tar adds a few before and after it.
"""

DEEPEST = 1 << 15
"""Bytes of the longest path that is packed: tar keeps all folders on the way down in memory."""

HOLES = 1 << 30
"""Bytes of holes that are packed of one tree.

A run makes holes for free, but in an archive each is a block of zeros. A gigabyte of them takes
some ten seconds, during which the kata's test events wait.
"""

STAT_BLOCK = 512
"""Bytes of a block as stat(2) counts them."""

_FEW = 14
"""This many folders above a file never make its path too long: each name has at most 255 bytes."""


class Met(NamedTuple):
    """One entry of a tree, valid until the next one is asked for."""

    parent: int
    """Descriptor of the folder that it is in; for the tree's top folder, that folder itself."""
    name: str
    """Its name in that folder."""
    status: os.stat_result
    """Its lstat."""
    above: Sequence[str]
    """The names of the folders on the way to that folder."""

    @property
    def path(self) -> bytes:
        """Its path as snapshots name it.

        It is put together only on demand, because all paths of a deep tree are long together.
        """
        return os.fsencode("/".join([*self.above, self.name]))

    def is_deeper(self, most: int) -> bool:
        """Return whether its path is longer than `most` bytes, which must be LONGEST or more."""
        return len(self.above) > _FEW and len(self.path) > most


@dataclass(slots=True)
class _Level:
    """A folder on the way down."""

    # Its descriptor; None if it was closed to keep descriptors few.
    folder: int | None
    identity: tuple[int, int]
    waiting: list[str] = field(default_factory=list)


class Way:
    """The way from the top of a tree down to one folder; the last few folders on it are open."""

    def __init__(self, top: int) -> None:
        """Take over the descriptor of the top folder."""
        # The names of the folders below the top.
        self.names: list[str] = []
        self._levels = [_level(top)]

    @property
    def here(self) -> int:
        """The descriptor of the folder that the way leads to, open until the next step."""
        folder = self._levels[-1].folder
        assert folder is not None
        return folder

    @property
    def waiting(self) -> list[str]:
        """The names of folders in it that are still to be entered."""
        return self._levels[-1].waiting

    def down(self, name: str, folder: int) -> None:
        """Step down into a folder of this name, whose descriptor this takes over."""
        self._levels.append(_level(folder))
        self.names.append(name)
        if len(self._levels) > WINDOW:
            _close(self._levels[-1 - WINDOW])

    def up(self) -> str | None:
        """Step up; return the name of the folder that was left, or None if it was the top.

        Raises OSError.
        """
        if len(self._levels) > 1 and self._levels[-2].folder is None:
            above = self._levels[-2]
            again = _level(enter("..", self.here))
            above.folder = again.folder
            if again.identity != above.identity:
                raise OSError(errno.ESTALE, "a folder was moved while the tree was being read")
        _close(self._levels.pop())
        return self.names.pop() if self._levels else None

    def close(self) -> None:
        """Close all folders on the way."""
        for level in self._levels:
            _close(level)


def enter(name: str | bytes, parent: int | None) -> int:
    """Open a folder that the caller may look into, but not through a symlink. Raises OSError."""
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


def descend(
    folder: str | bytes | os.PathLike[str],
    *,
    enter: Callable[[str | bytes, int | None], int] = enter,
) -> Iterator[Met]:
    """Yield every entry of the tree, the tree itself first and parents before children.

    Symlinks are not followed, and entries that disappear meanwhile are skipped. `enter` opens a
    folder. Raises OSError.
    """
    way = Way(enter(os.fsencode(folder), None))
    try:
        yield Met(way.here, ".", os.fstat(way.here), ())
        yield from _scan(way)
        while True:
            if not way.waiting:
                if way.up() is None:
                    return
                continue
            name = way.waiting.pop()
            try:
                below = enter(name, way.here)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    # It is gone, or something else is in its place.
                    continue
                raise
            way.down(name, below)
            yield from _scan(way)
    finally:
        way.close()


def goes_deeper(folder: str | bytes | os.PathLike[str], most: int) -> bool:
    """Return whether the tree has a path of more than `most` bytes, LONGEST or more.

    Raises OSError.
    """
    return any(met.is_deeper(most) for met in descend(folder))


def outgrows(folder: str | bytes | os.PathLike[str], deepest: int, holes: int) -> str:
    """Return what in the tree does not fit into a portable archive; empty if all does.

    A path may have `deepest` bytes, LONGEST or more. The files together may have `holes` bytes that
    take no disk space, because an archive holds them as zeros. Raises OSError.
    """
    left, linked = holes, set()
    for met in descend(folder):
        if met.is_deeper(deepest):
            return f"folders with paths of more than {deepest} bytes"
        if not stat.S_ISREG(met.status.st_mode) or met.status.st_ino in linked:
            continue
        if met.status.st_nlink > 1:
            linked.add(met.status.st_ino)
        left -= max(0, met.status.st_size - met.status.st_blocks * STAT_BLOCK)
        if left < 0:
            return f"files with holes of more than {holes} bytes"
    return ""


def _scan(way: Way) -> Iterator[Met]:
    with os.scandir(way.here) as items:
        for item in items:
            try:
                status = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(status.st_mode):
                way.waiting.append(item.name)
            yield Met(way.here, item.name, status, way.names)


def _level(folder: int) -> _Level:
    status = os.fstat(folder)
    return _Level(folder, (status.st_dev, status.st_ino))


def _close(level: _Level) -> None:
    if level.folder is not None:
        os.close(level.folder)
        level.folder = None
