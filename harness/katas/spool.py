"""Contents of files as they were at one moment, in bounded memory.

What is hashed is then what is sent and committed, whatever happens in the player's folder.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field

MEMORY = 64 << 20
"""Bytes that are held in memory; the rest goes to an unlinked file that nobody else can open."""

PIECE = 1 << 20
"""Bytes that are read and passed on at once."""


class Spool:
    """Contents, one after another, in an unlinked file that is made with the first of them."""

    def __init__(self) -> None:
        # Bytes that may still be held in memory.
        self.memory = MEMORY
        self._file: int | None = None
        self._end = 0

    def take(self, file: int, size: int) -> Part:
        """Copy up to `size` bytes of an open file, and hash them. Raises OSError."""
        if self._file is None:
            with tempfile.TemporaryFile() as made:
                self._file = os.dup(made.fileno())
            weakref.finalize(self, os.close, self._file)
        part = Part(self, self._file, self._end, 0)
        digest = _blob(size)
        while part.size < size and (piece := os.read(file, min(PIECE, size - part.size))):
            # A sparse file stays sparse.
            if piece.strip(b"\0"):
                _write(self._file, piece, part.start + part.size)
            digest.update(piece)
            part = Part(self, self._file, part.start, part.size + len(piece))
        self._end += part.size
        os.truncate(self._file, self._end)
        if part.size != size:
            # The file has become shorter, and git hashes the length before the content.
            digest = _blob(part.size)
            for piece in part.pieces():
                digest.update(piece)
        return Part(self, self._file, part.start, part.size, digest.hexdigest())


@dataclass(frozen=True)
class Part:
    """One content in a spool."""

    spool: Spool = field(repr=False)
    """The spool, which keeps the file open."""
    file: int
    """Descriptor of the spool's file."""
    start: int
    """Where the content begins in that file, in bytes."""
    size: int
    """Size of the content, in bytes."""
    blob: str = ""
    """Git's id of the content."""

    def pieces(self) -> Iterator[bytes]:
        """Yield the content in pieces of at most 1 MiB."""
        place, end = self.start, self.start + self.size
        while place < end:
            piece = os.pread(self.file, min(PIECE, end - place), place)
            yield piece
            place += len(piece)


def _write(file: int, piece: bytes, place: int) -> None:
    rest = memoryview(piece)
    while rest:
        count = os.pwrite(file, rest, place)
        rest, place = rest[count:], place + count


def _blob(size: int) -> hashlib._Hash:
    """Return the hash of what git puts before a content of this size (git-hash-object(1))."""
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
