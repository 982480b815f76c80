"""Git packs (gitformat-pack(5)): many objects in one file, with an index beside it.

Both files have version 2. An object is written whole, or as a delta against an older one that keeps
their common beginning and end. Between two versions of a tree, of a source after an edit, or of a
test's output, the part in the middle is mostly tiny.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedRandom

from harness.inside.disk import sync_file, sync_folder

_TYPES = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
_DELTA = 6
"""Type of an entry that is a delta; it says how far before it its base is (OFS_DELTA)."""

_HEADER, _FANOUT = struct.Struct(">4sLL"), struct.Struct(">256L")
_INDEX = b"\xfftOc\0\0\0\x02"
NAME, _NUMBER, _FAR = 20, 4, 8
_FAR_FLAG = 1 << 31
_MOST = 0xFFFFFF
"""Bytes that one instruction of a delta can copy."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class _Entry:
    """What an index says about one object."""

    name: bytes
    # CRC-32 of the entry as it is in the pack.
    check: int
    # Where the entry begins in the pack, in bytes.
    offset: int


def folder_of(history: str) -> str:
    """Return the folder of a history's packs."""
    return os.path.join(history, "objects", "pack")


def complete_packs(history: str) -> list[str]:
    """Return the paths of all packs that have an index, without extension. Raises OSError."""
    try:
        names = set(os.listdir(folder_of(history)))
    except FileNotFoundError:
        return []
    stems = (name.removesuffix(".idx") for name in sorted(names) if name.endswith(".idx"))
    return [os.path.join(folder_of(history), stem) for stem in stems if f"{stem}.pack" in names]


def holding(history: str, names: Iterable[str]) -> set[str]:
    """Return which of these objects are in packs. Raises OSError."""
    left, packed = {bytes.fromhex(name): name for name in names}, set()
    for pack in complete_packs(history):
        if not left:
            break
        for name in list(_in_index(pack, left)):
            packed.add(left.pop(name))
    return packed


def pack_entries(pack: str) -> list[_Entry]:
    """Return what an index lists, in the order of the pack.

    Raises OSError, and ValueError for an index that cannot be understood.
    """
    with open(f"{pack}.idx", "rb") as file:
        data = file.read()
    count = _fanout(data)[255]
    names = len(_INDEX) + _FANOUT.size
    checks = names + count * NAME
    offsets = checks + count * _NUMBER
    far = offsets + count * _NUMBER
    if len(data) < far + 2 * NAME:
        raise ValueError("an index ends too early")
    entries = []
    for place in range(count):
        (offset,) = struct.unpack_from(">L", data, offsets + place * _NUMBER)
        if offset & _FAR_FLAG:
            (offset,) = struct.unpack_from(">Q", data, far + (offset ^ _FAR_FLAG) * _FAR)
        (check,) = struct.unpack_from(">L", data, checks + place * _NUMBER)
        entries.append(_Entry(data[names + place * NAME :][:NAME], check, offset))
    return sorted(entries, key=lambda entry: entry.offset)


class PackWriter:
    """Writes one pack, which git sees once it is published."""

    def __init__(self, file: BufferedRandom) -> None:
        """Begin a pack in an empty file that is open for reading and writing."""
        self._file = file
        self._entries: dict[bytes, _Entry] = {}
        self._end = file.write(_HEADER.pack(b"PACK", 2, 0))

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: bytes) -> bool:
        return name in self._entries

    def add(self, name: bytes, kind: str, size: int, pieces: Iterable[bytes]) -> None:
        """Add a whole object. Raises OSError.

        Raises ValueError, with nothing added, if the content does not have this name.
        """
        check = hashlib.sha1(f"{kind} {size}\0".encode(), usedforsecurity=False)
        start = self._end

        def checked() -> Iterator[bytes]:
            for piece in pieces:
                check.update(piece)
                yield piece

        try:
            crc, end = self._write(_head(_TYPES[kind], size), checked())
            if check.digest() != name:
                raise ValueError("the content of an object does not match its name")
        except (ValueError, KeyError) as error:
            self._file.truncate(start)
            self._file.seek(start)
            raise ValueError(str(error)) from error
        self._note(name, crc, end)

    def add_delta(self, name: bytes, base: bytes, difference: bytes) -> None:
        """Add an object as a delta against one that was added before. Raises OSError."""
        back = _back(self._end - self._entries[base].offset)
        self._note(name, *self._write(_head(_DELTA, len(difference)) + back, [difference]))

    def copy(self, pack: str) -> None:
        """Copy all entries of another pack unchanged.

        The distances between deltas and their bases stay the same.

        Raises OSError, and ValueError if the pack cannot be understood.
        """
        listed = pack_entries(pack)
        with open(f"{pack}.pack", "rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(_HEADER.size)
            if head != _HEADER.pack(b"PACK", 2, len(listed)):
                raise ValueError("it does not match its index")
            check = _sha1()
            check.update(head)
            left, moved = size - _HEADER.size - NAME, self._end - _HEADER.size
            while left > 0 and (data := file.read(min(left, _CHUNK))):
                check.update(data)
                self._file.write(data)
                left -= len(data)
            if file.read(NAME) != check.digest():
                raise ValueError("its checksum is wrong")
        for entry in listed:
            self._entries[entry.name] = _Entry(entry.name, entry.check, entry.offset + moved)
        self._end += size - _HEADER.size - NAME

    def publish(self, folder: str, index: str) -> str:
        """Finish the pack, force it to the disk and give it its name in this folder.

        `index` is the path of a temporary file for its index. Returns the path without extension.
        Raises OSError.
        """
        file = self._file
        file.seek(0)
        file.write(_HEADER.pack(b"PACK", 2, len(self)))
        file.flush()
        file.seek(0)
        trailer = hashlib.file_digest(file, _sha1).digest()
        file.seek(0, os.SEEK_END)
        file.write(trailer)
        file.flush()
        sync_file(file.fileno())
        data = self._index(trailer)
        with open(index, "wb") as out:
            out.write(data)
            out.flush()
            sync_file(out.fileno())
        stem = os.path.join(folder, f"pack-{trailer.hex()}")
        for path in (index, file.name):
            os.chmod(path, 0o444)
        # Git ignores an index without a pack; a pack without an index would never be cleaned up.
        os.rename(index, f"{stem}.idx")
        os.rename(file.name, f"{stem}.pack")
        sync_folder(folder)
        return stem

    def _write(self, head: bytes, pieces: Iterable[bytes]) -> tuple[int, int]:
        """Write an entry; return its CRC-32 and the offset of the next entry."""
        deflate = zlib.compressobj()
        crc, end = zlib.crc32(head), self._end + self._file.write(head)
        for piece in pieces:
            data = deflate.compress(piece)
            crc, end = zlib.crc32(data, crc), end + self._file.write(data)
        data = deflate.flush()
        return zlib.crc32(data, crc), end + self._file.write(data)

    def _note(self, name: bytes, crc: int, end: int) -> None:
        self._entries[name] = _Entry(name, crc, self._end)
        self._end = end

    def _index(self, trailer: bytes) -> bytes:
        listed = [self._entries[name] for name in sorted(self._entries)]
        counts = [0] * 256
        for entry in listed:
            counts[entry.name[0]] += 1
        sums, total = [], 0
        for count in counts:
            total += count
            sums.append(total)
        near: list[int] = []
        far: list[int] = []
        for entry in listed:
            if entry.offset < _FAR_FLAG:
                near.append(entry.offset)
            else:
                near.append(_FAR_FLAG | len(far))
                far.append(entry.offset)
        data = b"".join(
            [
                _INDEX,
                _FANOUT.pack(*sums),
                *(entry.name for entry in listed),
                struct.pack(f">{len(listed)}L", *(entry.check for entry in listed)),
                struct.pack(f">{len(near)}L", *near),
                struct.pack(f">{len(far)}Q", *far),
                trailer,
            ]
        )
        return data + hashlib.sha1(data, usedforsecurity=False).digest()


def delta_instructions(base: bytes, content: bytes) -> bytes:
    """Return the instructions that make `content` from `base`."""
    most = min(len(base), len(content))
    front = _common(base, content, most)
    back = _common(base[::-1], content[::-1], most - front)
    middle = content[front : len(content) - back]
    return b"".join(
        [
            _length(len(base)),
            _length(len(content)),
            *_copy(0, front),
            *(bytes([len(piece)]) + piece for piece in _cut(middle, 127)),
            *_copy(len(base) - back, back),
        ]
    )


def _common(one: bytes, other: bytes, most: int) -> int:
    """Return how many bytes both begin with, at most `most`.

    This halves the range, because comparing slices takes almost no time.
    """
    least = 0
    while least < most:
        half = (least + most + 1) // 2
        if one[least:half] == other[least:half]:
            least = half
        else:
            most = half - 1
    return least


def _copy(start: int, size: int) -> Iterator[bytes]:
    while size:
        count = min(size, _MOST)
        yield b"\xff" + struct.pack("<L", start) + struct.pack("<L", count)[:3]
        start, size = start + count, size - count


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def _length(number: int) -> bytes:
    """Encode a number, seven bits a byte, lowest bits first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(0x80 | number & 0x7F)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _head(kind: int, size: int) -> bytes:
    """Return the head of an entry: its type, and the size of its content before compression."""
    first = kind << 4 | size & 0xF
    return bytes([first | 0x80]) + _length(size >> 4) if size >> 4 else bytes([first])


def _back(distance: int) -> bytes:
    """Encode a distance, seven bits a byte, highest bits first.

    Each byte but the last has one added (gitformat-pack(5), "offset encoding").
    """
    encoded = [distance & 0x7F]
    while distance := distance >> 7:
        distance -= 1
        encoded.append(0x80 | distance & 0x7F)
    return bytes(reversed(encoded))


def _in_index(pack: str, names: Iterable[bytes]) -> Iterator[bytes]:
    """Yield which of these objects an index lists.

    Yields nothing if the index has another version or was just removed.
    """
    try:
        with (
            open(f"{pack}.idx", "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            sums = _fanout(data)
            begin = len(_INDEX) + _FANOUT.size
            for name in names:
                low, high = (
                    begin + NAME * (sums[first] if first >= 0 else 0)
                    for first in (name[0] - 1, name[0])
                )
                # A match must begin where a name begins, not inside one.
                place = data.find(name, low, high)
                while place >= 0 and (place - begin) % NAME:
                    place = data.find(name, place + 1, high)
                if place >= 0:
                    yield name
    except (FileNotFoundError, ValueError):
        return


def _fanout(data: bytes | mmap.mmap) -> tuple[int, ...]:
    if data[: len(_INDEX)] != _INDEX or len(data) < len(_INDEX) + _FANOUT.size:
        raise ValueError("an index has an unknown version")
    return _FANOUT.unpack_from(data, len(_INDEX))


def _sha1() -> hashlib._Hash:
    return hashlib.sha1(usedforsecurity=False)
