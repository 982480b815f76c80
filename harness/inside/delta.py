"""The delta: what the player changed since the last test event, worked out from contents."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from harness.inside.disk import open_file

_READ_BYTES = 1 << 18
"""Bytes that are asked for at once; it bounds what a file of any size costs in memory."""


class Stamped(NamedTuple):
    """A file as git names it."""

    mode: int  # git's: 0o100644, 0o100755 or 0o120000
    blob: str  # git's id of the content


@dataclass(frozen=True)
class Delta:
    """The visible files in five, and a part of one of these; each a sorted tuple of names."""

    unchanged: tuple[bytes, ...]
    changed: tuple[bytes, ...]
    new: tuple[bytes, ...]
    deleted: tuple[bytes, ...]
    gone: tuple[bytes, ...] = ()  # not edited, but a run took it away: to be put back
    modes: tuple[
        bytes, ...
    ] = ()  # of the changed, files of which nothing but the permission to execute is another

    @property
    def names(self) -> tuple[bytes, ...]:
        """All that the player has now."""
        return self.unchanged + self.written

    @property
    def written(self) -> tuple[bytes, ...]:
        """Everything that has to be copied in."""
        return self.changed + self.new + self.gone


def delta_between(
    manifest: Mapping[bytes, Stamped], sent: Mapping[bytes, Stamped], there: Collection[bytes]
) -> Delta:
    """The delta of the files of a manifest against those that were sent last.

    `there` are the names of the latter at which the sandbox still holds something of the kind that was sent. What a run
    wrote into such a file is no edit, and stays. A name that was not sent last time is new even where a run made a file of
    that name: from then on it is the player's, to be deleted too.
    """
    unchanged, changed, new, gone = [], [], [], []
    for name, file in manifest.items():
        before = sent.get(name)
        if before is None:
            new.append(name)
        elif before != file:
            changed.append(name)
        elif name in there:
            unchanged.append(name)
        else:
            gone.append(name)
    deleted = sent.keys() - manifest.keys()
    modes = [name for name in changed if _differ_in_mode(manifest[name], sent[name])]
    return Delta(
        *(tuple(sorted(names)) for names in (unchanged, changed, new, deleted, gone, modes))
    )


def _differ_in_mode(one: Stamped, other: Stamped) -> bool:
    return one.blob == other.blob and stat.S_ISREG(one.mode) and stat.S_ISREG(other.mode)


def usable(mode: int) -> int:
    """The permissions without which its owner cannot use what git's mode names."""
    return stat.S_IRUSR | (mode & stat.S_IXUSR)


def same_kind(mode: int, found: os.stat_result) -> bool:
    """Whether what was found is of the kind that git's mode names; a file that its owner may not read is not, nor a program
    that it may not execute: the player could not use it, though root may.
    """
    if stat.S_ISREG(mode):
        return stat.S_ISREG(found.st_mode) and not usable(mode) & ~found.st_mode
    return stat.S_IFMT(mode) == stat.S_IFMT(found.st_mode)


def blob_id(content: bytes) -> str:
    """Git's id of a content: SHA-1 over "blob", its length and itself (git-hash-object(1))."""
    digest = _blob(len(content))
    digest.update(content)
    return digest.hexdigest()


def _blob(size: int) -> hashlib._Hash:
    """What git hashes before a content of so many bytes."""
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def stamped(folder: int, name: bytes) -> Stamped | None:
    """What an open folder holds at `name`, symlinks not followed; None for anything else than a symlink or a file
    that its owner may read, and that nobody writes to. Raises OSError where there is nothing.
    """
    status = os.lstat(name, dir_fd=folder)
    try:
        if stat.S_ISLNK(status.st_mode):
            return Stamped(0o120000, blob_id(os.readlink(name, dir_fd=folder)))
        if not stat.S_ISREG(status.st_mode) or not status.st_mode & stat.S_IRUSR:
            return None  # what a run forbade its own user to read is to be written anew, though root may read it
        digest = _blob(status.st_size)
        if not feed(digest, folder, name, status.st_size):
            return None
    except OSError:
        return None
    return Stamped(0o100755 if status.st_mode & 0o100 else 0o100644, digest.hexdigest())


def feed(digest: hashlib._Hash, folder: int, name: bytes, size: int) -> bool:
    """Hash the file that an open folder holds at `name`, a piece at a time; False, after no more than so many bytes, if its
    size is another. Raises OSError for what is no regular file.
    """
    file = open_file(name, parent=folder)
    try:
        if os.fstat(file).st_size != size:
            return False
        left = size
        while piece := os.read(file, min(left + 1, _READ_BYTES)):
            left -= len(piece)
            if left < 0:
                return False
            digest.update(piece)
        return left == 0
    finally:
        os.close(file)


def read_all(file: int, size: int) -> bytes:
    """All of an open file that had this size: mostly one read, without the cost of a file object. Raises OSError."""
    content = os.read(file, size + 1)
    if len(content) == size:
        return content
    pieces = [content]
    while piece := os.read(file, _READ_BYTES):
        pieces.append(piece)
    return b"".join(pieces)
