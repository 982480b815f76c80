"""Messages and streams between the harness and a keeper, over any two-way stream of bytes.

A message is a big-endian length of four bytes and that many bytes of JSON. A stream is a sequence
of pieces of the same form, ended by a length of 0, or by CUT if the sender cannot finish it. In
JSON, bytes of file names that are not UTF-8 travel as lone surrogates.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from harness.inside.errors import StreamCut

_LENGTH = struct.Struct(">L")
_CUT = 0xFFFFFFFF
LARGE = 1 << 16
"""Size in bytes from which copying a piece costs more than sending its length separately."""


class CutShort(Exception):
    """The source of a stream failed, and the other end knows, so the conversation can go on.

    The cause says why.
    """


class Channel:
    """One end of the conversation; not safe for several threads at once."""

    def __init__(
        self,
        read: Callable[[int], bytes],
        write: Callable[[bytes], object],
        *,
        read_some: Callable[[int], bytes] | None = None,
    ) -> None:
        """Take the functions that read and write the stream.

        `read(n)` returns exactly n bytes, or fewer at the end. `read_some(n)` returns between 1 and
        n bytes as they arrive, or none at the end.
        """
        self._read, self._write = read, write
        self._read_some = read_some or read

    def send(self, message: object) -> None:
        """Send one message."""
        data = json.dumps(message).encode()
        self._write(_LENGTH.pack(len(data)) + data)

    def receive(self) -> Any:
        """Return the next message; None at the end of the stream.

        Raises StreamCut inside a message.
        """
        header = self._read(_LENGTH.size)
        if not header:
            return None
        return json.loads(self._exactly(self._length(header)))

    def send_piece(self, data: bytes) -> None:
        """Send one piece of a stream."""
        if len(data) > LARGE:
            self._write(_LENGTH.pack(len(data)))
            self._write(data)
        elif data:
            # An empty piece would end the stream.
            self._write(_LENGTH.pack(len(data)) + data)

    def end_pieces(self, *, cut: bool = False) -> None:
        """End a stream; `cut` says that it is not whole."""
        self._write(_LENGTH.pack(_CUT if cut else 0))

    def send_pieces(self, pieces: Iterable[bytes]) -> None:
        """Send a whole stream.

        If `pieces` raises an Exception, the other end is informed and CutShort is raised from it.
        Anything else, such as KeyboardInterrupt, may strike in the middle of a piece; then the
        other end can no longer understand what follows.
        """
        making = iter(pieces)
        while True:
            try:
                piece = next(making, None)
            except Exception as error:
                self.end_pieces(cut=True)
                raise CutShort from error
            if piece is None:
                break
            self.send_piece(piece)
        self.end_pieces()

    def receive_pieces(self, *, whole: bool = True) -> Iterator[bytes]:
        """Yield the pieces of a stream, which the caller must read to its end.

        If not `whole`, yield bytes as they arrive, however the sender divided them. Raises
        StreamCut if the sender could not finish the stream.
        """
        while left := self._length(self._read(_LENGTH.size)):
            if left == _CUT:
                raise StreamCut("the sender could not finish the stream")
            while left:
                piece = self._exactly(left) if whole else self._whole(self._read_some(left), 1)
                yield piece
                left -= len(piece)

    def _exactly(self, size: int) -> bytes:
        return self._whole(self._read(size), size)

    def _whole(self, data: bytes, size: int) -> bytes:
        if len(data) < size:
            raise StreamCut("the keeper's stream was cut")
        return data

    def _length(self, header: bytes) -> int:
        length: int = _LENGTH.unpack(self._whole(header, _LENGTH.size))[0]
        return length
