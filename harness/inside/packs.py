"""Packs, as git has them (gitformat-pack(5)): many objects in one file, with an index beside it, both of version 2.

An object is written whole, or as what differs from an older one: the middle between what both begin and end with, which of
a tree, a source after an edit or the output of a test is most of the time nearly nothing.
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

TYPES = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
DELTA = 6
"""An entry that tells how far before it is what it differs from."""

HEADER, FANOUT = struct.Struct(">4sLL"), struct.Struct(">256L")
_INDEX = b"\xfftOc\0\0\0\x02"
NAME, NUMBER, FAR = 20, 4, 8
FAR_FLAG = 1 << 31
_MOST = 0xFFFFFF
"""The bytes that one instruction of a delta copies at most."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class _Entry:
    """What an index says of one object."""

    name: bytes
    check: int  # CRC-32 of the entry
    offset: int


def folder_of(history: str) -> str:
    return os.path.join(history, "objects", "pack")


def complete_packs(history: str) -> list[str]:
    """The paths of all packs that have an index, without their endings. Raises OSError."""
    try:
        names = set(os.listdir(folder_of(history)))
    except FileNotFoundError:
        return []
    stems = (name.removesuffix(".idx") for name in sorted(names) if name.endswith(".idx"))
    return [os.path.join(folder_of(history), stem) for stem in stems if f"{stem}.pack" in names]


def holding(history: str, names: Iterable[str]) -> set[str]:
    """Those of these objects that are in packs. Raises OSError."""
    left, found = {bytes.fromhex(name): name for name in names}, set()
    for pack in complete_packs(history):
        if not left:
            break
        for name in list(_in_index(pack, left)):
            found.add(left.pop(name))
    return found


def pack_entries(pack: str) -> list[_Entry]:
    """What an index lists, in the order of the pack. Raises OSError, and ValueError for an index that cannot be read."""
    with open(f"{pack}.idx", "rb") as file:
        data = file.read()
    count = _fanout(data)[255]
    names = len(_INDEX) + FANOUT.size
    checks = names + count * NAME
    offsets = checks + count * NUMBER
    far = offsets + count * NUMBER
    if len(data) < far + 2 * NAME:
        raise ValueError("an index ends too early")
    found = []
    for each in range(count):
        (offset,) = struct.unpack_from(">L", data, offsets + each * NUMBER)
        if offset & FAR_FLAG:
            (offset,) = struct.unpack_from(">Q", data, far + (offset ^ FAR_FLAG) * FAR)
        (check,) = struct.unpack_from(">L", data, checks + each * NUMBER)
        found.append(_Entry(data[names + each * NAME :][:NAME], check, offset))
    return sorted(found, key=lambda each: each.offset)


class PackWriter:
    """Writes one pack; `publish` is what makes it one."""

    def __init__(self, file: BufferedRandom) -> None:
        """`file` is an empty one, to be written and read."""
        self._file = file
        self._entries: dict[bytes, _Entry] = {}
        self._end = file.write(HEADER.pack(b"PACK", 2, 0))

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: bytes) -> bool:
        return name in self._entries

    def add(self, name: bytes, kind: str, size: int, pieces: Iterable[bytes]) -> None:
        """An object as it is. Raises OSError, and ValueError, with nothing added, for one that is not what its name says."""
        check = hashlib.sha1(f"{kind} {size}\0".encode(), usedforsecurity=False)
        start = self._end

        def checked() -> Iterator[bytes]:
            for piece in pieces:
                check.update(piece)
                yield piece

        try:
            crc, end = self._write(_head(TYPES[kind], size), checked())
            if check.digest() != name:
                raise ValueError("an object is not what its name says")
        except (ValueError, KeyError) as error:
            self._file.truncate(start)
            self._file.seek(start)
            raise ValueError(str(error)) from error
        self._note(name, crc, end)

    def add_delta(self, name: bytes, base: bytes, difference: bytes) -> None:
        """An object as it differs from one that was added. Raises OSError."""
        back = _back(self._end - self._entries[base].offset)
        self._note(name, *self._write(_head(DELTA, len(difference)) + back, [difference]))

    def copy(self, pack: str) -> None:
        """All objects of another pack, as they are: what they differ from comes along, as far before them. Raises OSError,
        and ValueError where the pack cannot be understood.
        """
        listed = pack_entries(pack)
        with open(f"{pack}.pack", "rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(HEADER.size)
            if head != HEADER.pack(b"PACK", 2, len(listed)):
                raise ValueError("it does not go with its index")
            check = _sha1()
            check.update(head)
            left, moved = size - HEADER.size - NAME, self._end - HEADER.size
            while left > 0 and (data := file.read(min(left, _CHUNK))):
                check.update(data)
                self._file.write(data)
                left -= len(data)
            if file.read(NAME) != check.digest():
                raise ValueError("it is not what it was when it was written")
        for each in listed:
            self._entries[each.name] = _Entry(each.name, each.check, each.offset + moved)
        self._end += size - HEADER.size - NAME

    def publish(self, folder: str, index: str) -> str:
        """Finish the pack, on the disk for sure, under the name that it gets in this folder; `index` is that of a file for
        its index in the making. Returns its path, without its ending. Raises OSError.
        """
        file = self._file
        file.seek(0)
        file.write(HEADER.pack(b"PACK", 2, len(self)))
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
        for each in (index, file.name):
            os.chmod(each, 0o444)
        # An index without a pack is nothing to git; a pack without an index would be something that is left.
        os.rename(index, f"{stem}.idx")
        os.rename(file.name, f"{stem}.pack")
        sync_folder(folder)
        return stem

    def _write(self, head: bytes, pieces: Iterable[bytes]) -> tuple[int, int]:
        """Returns the CRC-32, and where the next entry begins."""
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
        for each in listed:
            counts[each.name[0]] += 1
        sums, total = [], 0
        for count in counts:
            total += count
            sums.append(total)
        near: list[int] = []
        far: list[int] = []
        for each in listed:
            if each.offset < FAR_FLAG:
                near.append(each.offset)
            else:
                near.append(FAR_FLAG | len(far))
                far.append(each.offset)
        data = b"".join(
            [
                _INDEX,
                FANOUT.pack(*sums),
                *(each.name for each in listed),
                struct.pack(f">{len(listed)}L", *(each.check for each in listed)),
                struct.pack(f">{len(near)}L", *near),
                struct.pack(f">{len(far)}Q", *far),
                trailer,
            ]
        )
        return data + hashlib.sha1(data, usedforsecurity=False).digest()


def delta_instructions(base: bytes, content: bytes) -> bytes:
    """The instructions that make `content` of `base`."""
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
    """How many bytes both begin with, at most so many; by halves, since comparing slices takes next to no time."""
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
    """Seven bits a byte, the lowest first."""
    found = bytearray()
    while number > 0x7F:
        found.append(0x80 | number & 0x7F)
        number >>= 7
    found.append(number)
    return bytes(found)


def _head(kind: int, size: int) -> bytes:
    """Of an entry: its type, and how many bytes its content has before it is compressed."""
    first = kind << 4 | size & 0xF
    return bytes([first | 0x80]) + _length(size >> 4) if size >> 4 else bytes([first])


def _back(distance: int) -> bytes:
    """Seven bits a byte, the highest first, with one added for each but the last."""
    found = [distance & 0x7F]
    while distance := distance >> 7:
        distance -= 1
        found.append(0x80 | distance & 0x7F)
    return bytes(reversed(found))


def _in_index(pack: str, names: Iterable[bytes]) -> Iterator[bytes]:
    """Those that an index lists; none where it is of another version, or has just been removed."""
    try:
        with (
            open(f"{pack}.idx", "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            sums = _fanout(data)
            begin = len(_INDEX) + FANOUT.size
            for name in names:
                low, high = (
                    begin + NAME * (sums[each] if each >= 0 else 0)
                    for each in (name[0] - 1, name[0])
                )
                found = data.find(name, low, high)
                while found >= 0 and (found - begin) % NAME:
                    found = data.find(name, found + 1, high)
                if found >= 0:
                    yield name
    except (FileNotFoundError, ValueError):
        return


def _fanout(data: bytes | mmap.mmap) -> tuple[int, ...]:
    if data[: len(_INDEX)] != _INDEX or len(data) < len(_INDEX) + FANOUT.size:
        raise ValueError("an index is of another version")
    return FANOUT.unpack_from(data, len(_INDEX))


def _sha1() -> hashlib._Hash:
    return hashlib.sha1(usedforsecurity=False)
