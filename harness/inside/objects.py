"""The objects of a history that are files of their own (gitformat-loose, gitrepository-layout(5))."""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import IO

from harness.inside import atomic_file, packs
from harness.inside.descent import STAT_BLOCK

_CHUNK = 1 << 18

FANOUT, REST = re.compile(r"[0-9a-f]{2}"), re.compile(r"[0-9a-f]{38}")


def path_of(history: str, name: str) -> str:
    return os.path.join(history, "objects", name[:2], name[2:])


def write_object(history: str, name: str, content: bytes) -> None:
    """Write one, already compressed, unless it is there. Raises OSError."""
    path = path_of(history, name)
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        atomic_file.write(path, content, os.path.join(history, "objects", "tmp_obj_harness"))


def stage(history: str, name: str, content: bytes, folder: str) -> bool:
    """Write one, already compressed, into another folder of the same file system, whence `place` takes it; False where it is
    there. An object that a failure of the power tore must not have its name: it would be taken for what it is not. Raises
    OSError.
    """
    if os.path.exists(path_of(history, name)):
        return False
    os.makedirs(folder, exist_ok=True)
    with open(_staged(folder, name), "wb") as file:
        file.write(content)
    return True


def place_object(history: str, name: str, folder: str) -> None:
    """Give one that was staged its place, unless it has it. Raises OSError."""
    if os.path.exists(_staged(folder, name)):
        path = path_of(history, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.rename(_staged(folder, name), path)


def _staged(folder: str, name: str) -> str:
    return os.path.join(folder, f"object-{name}")


def missing(history: str, names: Iterable[str]) -> set[str]:
    """Those of the objects that the history does not hold; one that is packed in this very moment is merely written again."""
    left = {name for name in names if not os.path.exists(path_of(history, name))}
    return left - packs.holding(history, left) if left else left


def loose(history: str) -> set[str]:
    """All of them. Raises OSError."""
    found: set[str] = set()
    folder = os.path.join(history, "objects")
    for first in filter(FANOUT.fullmatch, os.listdir(folder)):
        found.update(
            first + rest for rest in os.listdir(os.path.join(folder, first)) if REST.fullmatch(rest)
        )
    return found


def weigh(history: str) -> int:
    """The bytes of all files of a history."""
    return sum(status.st_size for status in _statuses(history))


def blocks(history: str) -> int:
    """What a history takes of the disk, in bytes, its folders included."""
    return sum(STAT_BLOCK * status.st_blocks for status in _statuses(history, folders=True))


def _statuses(history: str, *, folders: bool = False) -> Iterator[os.stat_result]:
    """Of all that is there, while it may be packed. Raises OSError where there is no history."""
    os.lstat(history)
    for here, below, names in os.walk(history):
        for name in (*names, *(below if folders else ())):
            with contextlib.suppress(FileNotFoundError):
                yield os.lstat(os.path.join(here, name))


def remove_objects(history: str, names: Iterable[str]) -> None:
    """Remove these, which are packed, and the folders that get empty. Raises OSError."""
    folders = set()
    for name in names:
        path = path_of(history, name)
        folders.add(os.path.dirname(path))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    for folder in folders:
        with contextlib.suppress(OSError):  # something else is in it
            os.rmdir(folder)


@contextlib.contextmanager
def opened(history: str, name: str) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """Type, size and content, which comes in pieces. Raises OSError, and ValueError for what is no object."""
    with open(path_of(history, name), "rb") as file:
        pieces = _inflated(file)
        first = next(pieces, b"")
        head, end, rest = first.partition(b"\0")
        kind, _, size = head.partition(b" ")
        if not end or not size.isdigit():
            raise ValueError(f"{name} is no object")
        yield kind.decode("ascii"), int(size), _after(rest, pieces)


def _after(rest: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield rest
    yield from pieces


def _inflated(file: IO[bytes]) -> Iterator[bytes]:
    inflate = zlib.decompressobj()
    try:
        while data := file.read(_CHUNK):
            yield inflate.decompress(data)
        yield inflate.flush()
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not inflate.eof:
        raise ValueError("it ends too early")
