"""The delta: what the player changed since the last test event, computed from contents."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.inside.changes import above
from harness.inside.disk import open_file

_READ_BYTES = 1 << 18
"""Bytes to read at once; this bounds the memory that a file of any size costs."""


class Stamped(NamedTuple):
    """Mode and content of a file, as git records them."""

    mode: int
    """Git's mode: 0o100644, 0o100755 or 0o120000; 0o040000 for an empty folder."""
    blob: str
    """Git's id of the content; empty for a folder."""


@dataclass(frozen=True)
class Delta:
    """What the player changed: sorted names of the visible files, by what happened to them."""

    unchanged: tuple[bytes, ...]
    """Not edited, and still in the sandbox."""
    changed: tuple[bytes, ...]
    """Edited."""
    new: tuple[bytes, ...]
    """Not sent last time."""
    deleted: tuple[bytes, ...]
    """Sent last time, but not now."""
    gone: tuple[bytes, ...] = ()
    """Not edited, but removed by a run; to be restored."""
    modes: tuple[bytes, ...] = ()
    """Those of `changed` that only differ in the permission to execute."""
    ages: Mapping[bytes, int] = field(default_factory=dict)
    """The mtimes of unchanged files in the player's folder, in nanoseconds, if they have any."""
    released: tuple[bytes, ...] = ()
    """Sent last time, and left out now though the player still has them.

    They stay, because a run may have made them anew; so does what the record says of them.
    """
    removed: tuple[bytes, ...] = ()
    """Folders that the player removed, with all that runs made in them."""

    @property
    def names(self) -> tuple[bytes, ...]:
        """All names that the player has now."""
        return self.unchanged + self.written

    @property
    def emptied(self) -> list[bytes]:
        """The folders that hold none of the player's files any more, deepest first."""
        kept = {folder for name in self.names for folder in above(name)} | {b".", *self.names}
        return sorted(
            {folder for name in self.deleted for folder in above(name)} - kept, reverse=True
        )

    @property
    def written(self) -> tuple[bytes, ...]:
        """All names that must be copied into the sandbox."""
        return self.changed + self.new + self.gone


def delta_between(
    manifest: Mapping[bytes, Stamped], sent: Mapping[bytes, Stamped], there: Collection[bytes]
) -> Delta:
    """Return the delta between a manifest and what was sent last.

    `there` are the names of `sent` where the sandbox still holds the kind of file that was sent.
    What a run wrote into such a file is not an edit, and stays. A name that was not sent last time
    is new even if a run made a file of that name: from now on it is the player's, who may also
    delete it.
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
        unchanged=_sorted(unchanged),
        changed=_sorted(changed),
        new=_sorted(new),
        deleted=_sorted(deleted),
        gone=_sorted(gone),
        modes=_sorted(modes),
    )


def _sorted(names: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(sorted(names))


def _differ_in_mode(one: Stamped, other: Stamped) -> bool:
    return one.blob == other.blob and stat.S_ISREG(one.mode) and stat.S_ISREG(other.mode)


def usable(mode: int) -> int:
    """Return the permissions that the owner of a file with this git mode needs."""
    return stat.S_IRUSR | (mode & stat.S_IXUSR)


def same_kind(mode: int, status: os.stat_result) -> bool:
    """Return whether a status is of the kind that git's mode says, and usable by its owner.

    A file that its owner may not read, or a program that its owner may not execute, does not count:
    root could use it, but the player could not.
    """
    if stat.S_ISREG(mode):
        return stat.S_ISREG(status.st_mode) and not usable(mode) & ~status.st_mode
    return stat.S_IFMT(mode) == stat.S_IFMT(status.st_mode)


def blob_id(content: bytes) -> str:
    """Return git's id of a content (git-hash-object(1)).

    It is the SHA-1 of "blob", the length and the content.
    """
    digest = _blob(len(content))
    digest.update(content)
    return digest.hexdigest()


def _blob(size: int) -> hashlib._Hash:
    """Return the hash of what git puts before a content of this size."""
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def stamped(folder: int, name: bytes) -> Stamped | None:
    """Return mode and blob of `name` in an open folder, without following symlinks.

    None unless it is a symlink, or a file that its owner may read and that does not change
    meanwhile. Raises OSError if nothing is there.
    """
    status = os.lstat(name, dir_fd=folder)
    try:
        if stat.S_ISLNK(status.st_mode):
            return Stamped(0o120000, blob_id(os.readlink(name, dir_fd=folder)))
        if not stat.S_ISREG(status.st_mode) or not status.st_mode & stat.S_IRUSR:
            # The run's own user cannot read it, even if root can, so it must be written again.
            return None
        digest = _blob(status.st_size)
        if not feed(digest, folder, name, status.st_size):
            return None
    except OSError:
        return None
    return Stamped(0o100755 if status.st_mode & 0o100 else 0o100644, digest.hexdigest())


def feed(digest: hashlib._Hash, folder: int, name: bytes, size: int) -> bool:
    """Hash the file `name` in an open folder, piece by piece; return whether it has this size.

    Reads no more than that. Raises OSError if it is not a regular file.
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
    """Read all of an open file that had this size.

    Usually this takes one read, without the cost of a file object. Raises OSError.
    """
    content = os.read(file, size + 1)
    if len(content) == size:
        return content
    pieces = [content]
    while piece := os.read(file, _READ_BYTES):
        pieces.append(piece)
    return b"".join(pieces)
