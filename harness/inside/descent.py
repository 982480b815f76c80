"""A walk through a tree that hostile code has been in, or is in: by descriptors, which no swap for a symlink can lead astray.

Each folder is opened by its name in the folder above it, which is open, and through no symlink; so a name in a path that is
put together is never looked up twice. It costs no more descriptors and no longer paths than a shallow tree, however deep
this one goes.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

WINDOW = 8
"""So many folders on the way down stay open; those above are opened again, through `..`, on the way back up, as fts(3) does."""


LONGEST = 4096 - 4
"""Bytes of the longest path that tar unpacks: Linux takes no longer one at once, and tar puts a few before and behind it."""

DEEPEST = 1 << 15
"""Bytes of the longest path that is packed: tar keeps all on the way down in memory, and one for each folder."""

HOLES = 1 << 30
"""Bytes of holes that are packed of one tree. A run makes as many as it likes for nothing; in an archive each is a zero, and a
gigabyte of them takes some ten seconds, in which the kata's presses wait.
"""

STAT_BLOCK = 512
"""Bytes of a block as stat(2) counts them."""

FEW = 14
"""So many folders above a file never make a path that is too long: each name has at most 255 bytes."""


class Met(NamedTuple):
    """One entry of a tree; good until the next one is asked for."""

    parent: int  # the open folder that it is in; of the tree's own folder, that itself
    name: str  # in that folder
    status: os.stat_result
    above: Sequence[str]  # the way to that folder

    @property
    def path(self) -> bytes:
        """As snapshots name it; put together only here, since the paths of a deep nest are long together."""
        return os.fsencode("/".join([*self.above, self.name]))

    def is_deeper(self, most: int) -> bool:
        """Whether its path is longer than so many bytes, LONGEST or more."""
        return len(self.above) > FEW and len(self.path) > most


@dataclass(slots=True)
class _Level:
    """A folder on the way down."""

    folder: int | None  # None: closed to keep descriptors few
    identity: tuple[int, int]
    waiting: list[str] = field(default_factory=list)


class Way:
    """The way from the top of a tree down to one folder of it, of which the last few are open."""

    def __init__(self, top: int) -> None:
        """Takes over the open folder."""
        self.names: list[str] = []  # below the top
        self._levels = [_level(top)]

    @property
    def here(self) -> int:
        """The folder that it leads to, open until the next step."""
        folder = self._levels[-1].folder
        assert folder is not None
        return folder

    @property
    def waiting(self) -> list[str]:
        """The folders in it that are still to be entered."""
        return self._levels[-1].waiting

    def down(self, name: str, folder: int) -> None:
        """Into a folder of this name, which was opened."""
        self._levels.append(_level(folder))
        self.names.append(name)
        if len(self._levels) > WINDOW:
            _close(self._levels[-1 - WINDOW])

    def up(self) -> str | None:
        """Back up; returns the name of the folder that was left, or None if it was the top. Raises OSError."""
        if len(self._levels) > 1 and self._levels[-2].folder is None:
            above = self._levels[-2]
            again = _level(enter("..", self.here))
            above.folder = again.folder
            if again.identity != above.identity:
                raise OSError(errno.ESTALE, "a folder was moved while the tree was looked through")
        _close(self._levels.pop())
        return self.names.pop() if self._levels else None

    def close(self) -> None:
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
    """Everything in the tree, itself first, parents before children; symlinks are not followed, and what goes meanwhile is
    passed over. `enter` opens a folder. Raises OSError.
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
                    continue  # it is gone, or something else took its place
                raise
            way.down(name, below)
            yield from _scan(way)
    finally:
        way.close()


def goes_deeper(folder: str | bytes | os.PathLike[str], most: int) -> bool:
    """Whether a path in the tree is longer than so many bytes, LONGEST or more. Raises OSError."""
    return any(met.is_deeper(most) for met in descend(folder))


def outgrows(folder: str | bytes | os.PathLike[str], deepest: int, holes: int) -> str:
    """What of the tree fits in no archive that every tar can read; empty if all does. A path may have `deepest` bytes, LONGEST or
    more, and the files together `holes` bytes that are on no disk: an archive holds them as zeros. Raises OSError.
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
    with os.scandir(way.here) as found:
        for item in found:
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
