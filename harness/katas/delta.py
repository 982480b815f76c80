"""The delta: what of the visible files changed since the last test event, worked out from contents.

Runs in the keeper too: standard library only.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

READ_BYTES = 1 << 18
"""Bytes asked for at once, of a file that is being written to."""


class Stamped(NamedTuple):
    """A file as git names it."""

    mode: int  # git's: 0o100644, 0o100755 or 0o120000
    blob: str  # git's id of the content


@dataclass(frozen=True)
class Delta:
    """The visible files in four; each a sorted tuple of names."""

    unchanged: tuple[bytes, ...]
    changed: tuple[bytes, ...]
    new: tuple[bytes, ...]
    deleted: tuple[bytes, ...]

    @property
    def written(self) -> tuple[bytes, ...]:
        """Everything that has to be copied in."""
        return self.changed + self.new


def work_out(
    sent: Mapping[bytes, Stamped], kept: Mapping[bytes, Stamped | None], before: Iterable[bytes]
) -> Delta:
    """The delta of the files sent against the sandbox.

    `kept` is what the sandbox holds at the names sent (None where it holds something else than a file),
    `before` the names that were visible at the last test event. A name that was not is written even over a
    run's product of the same content: from then on it is the player's, to be deleted too.
    """
    unchanged, changed, new = [], [], []
    known = set(before)
    for name, file in sent.items():
        there = kept.get(name)
        if name in known and there and there.blob == file.blob and _as_wanted(there.mode, file.mode):
            unchanged.append(name)
        elif name in known or there:
            changed.append(name)
        else:
            new.append(name)
    deleted = known - sent.keys()
    return Delta(*(tuple(sorted(names)) for names in (unchanged, changed, new, deleted)))


def _as_wanted(mode: int, wanted: int) -> bool:
    """A program must be executable; that a run made something else executable too is no edit."""
    return stat.S_IFMT(mode) == stat.S_IFMT(wanted) and not wanted & 0o100 & ~mode


def blob_id(content: bytes) -> str:
    """Git's id of a content: SHA-1 over "blob", its length and itself (git-hash-object(1))."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def stamped(folder: int, name: bytes) -> Stamped | None:
    """What an open folder holds at `name`, symlinks not followed; None for anything else than a symlink or a file
    that its owner may read. Raises OSError where there is nothing.
    """
    status = os.lstat(name, dir_fd=folder)
    try:
        if stat.S_ISLNK(status.st_mode):
            return Stamped(0o120000, blob_id(os.readlink(name, dir_fd=folder)))
        if not stat.S_ISREG(status.st_mode) or not status.st_mode & stat.S_IRUSR:
            return (
                None  # what a run forbade its own user to read is to be written anew, though root may read it
            )
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    try:
        return Stamped(0o100755 if status.st_mode & 0o100 else 0o100644, blob_id(_read(file, status.st_size)))
    finally:
        os.close(file)


def _read(file: int, size: int) -> bytes:
    """All of a file that had this size: mostly one read, without the cost of a file object."""
    content = os.read(file, size + 1)
    if len(content) == size:
        return content
    pieces = [content]
    while piece := os.read(file, READ_BYTES):
        pieces.append(piece)
    return b"".join(pieces)
