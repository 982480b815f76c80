"""Contents of files as they were at one moment, in bounded memory: what is hashed is what is sent and what is committed,
whatever happens in the player's folder meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field

MEMORY = 64 << 20
"""Bytes that are held in memory; what comes after them goes to a file that nobody else sees."""

PIECE = 1 << 20
"""Bytes that are read and passed on at once."""


class Spool:
    """Contents one after the other in an unlinked file, made with the first of them."""

    def __init__(self) -> None:
        self.memory = MEMORY  # bytes that may still be held there
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
            if piece.strip(b"\0"):  # the zeros of a sparse file take no room here either
                _write(self._file, piece, part.start + part.size)
            digest.update(piece)
            part = Part(self, self._file, part.start, part.size + len(piece))
        self._end += part.size
        os.truncate(self._file, self._end)
        if part.size != size:  # it got shorter meanwhile, and its length is hashed first
            digest = _blob(part.size)
            for piece in part.pieces():
                digest.update(piece)
        return Part(self, self._file, part.start, part.size, digest.hexdigest())


@dataclass(frozen=True)
class Part:
    """One content in a spool."""

    spool: Spool = field(repr=False)  # which keeps the file open
    file: int
    start: int
    size: int
    blob: str = ""  # git's id

    def pieces(self) -> Iterator[bytes]:
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
    """Git's id of a blob of this size begins so (git-hash-object(1))."""
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
