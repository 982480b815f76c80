"""Loose objects of a history, each in a file of its own (gitformat-loose, gitrepository-layout(5)).

Contents are compressed with zlib by the caller.
"""

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

_FANOUT, _REST = re.compile(r"[0-9a-f]{2}"), re.compile(r"[0-9a-f]{38}")


def path_of(history: str, name: str) -> str:
    """Return the path of a loose object."""
    return os.path.join(history, "objects", name[:2], name[2:])


def write_object(history: str, name: str, content: bytes) -> None:
    """Write an object unless it exists. Raises OSError."""
    path = path_of(history, name)
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        atomic_file.write(path, content, os.path.join(history, "objects", "tmp_obj_harness"))


def stage(history: str, name: str, content: bytes, folder: str) -> bool:
    """Write an object to another folder of the same file system, for `place_object` to move.

    Returns False if the history already has it. An object that a power failure tore must not get
    its name, because it would be taken for whole. Raises OSError.
    """
    if os.path.exists(path_of(history, name)):
        return False
    os.makedirs(folder, exist_ok=True)
    with open(_staged(folder, name), "wb") as file:
        file.write(content)
    return True


def place_object(history: str, name: str, folder: str) -> None:
    """Move a staged object into the history unless it is there. Raises OSError."""
    if os.path.exists(_staged(folder, name)):
        path = path_of(history, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.rename(_staged(folder, name), path)


def _staged(folder: str, name: str) -> str:
    return os.path.join(folder, f"object-{name}")


def missing(history: str, names: Iterable[str]) -> set[str]:
    """Return which of these objects the history does not hold.

    An object that is being packed at this moment may count as missing; it is merely written again.
    """
    left = {name for name in names if not os.path.exists(path_of(history, name))}
    return left - packs.holding(history, left) if left else left


def loose(history: str) -> set[str]:
    """Return the names of all loose objects. Raises OSError."""
    names: set[str] = set()
    folder = os.path.join(history, "objects")
    for first in filter(_FANOUT.fullmatch, os.listdir(folder)):
        names.update(
            first + rest
            for rest in os.listdir(os.path.join(folder, first))
            if _REST.fullmatch(rest)
        )
    return names


def weigh(history: str) -> int:
    """Return the size of all files of a history, in bytes."""
    return sum(status.st_size for status in _statuses(history))


def blocks(history: str) -> int:
    """Return the disk space that a history takes, folders included, in bytes."""
    return sum(STAT_BLOCK * status.st_blocks for status in _statuses(history, folders=True))


def _statuses(history: str, *, folders: bool = False) -> Iterator[os.stat_result]:
    """Yield the lstat of everything in a history, even while it is being packed.

    Raises OSError if there is no history.
    """
    os.lstat(history)
    for here, below, names in os.walk(history):
        for name in (*names, *(below if folders else ())):
            with contextlib.suppress(FileNotFoundError):
                yield os.lstat(os.path.join(here, name))


def remove_objects(history: str, names: Iterable[str]) -> None:
    """Remove these loose objects, which are packed, and folders that become empty.

    Raises OSError.
    """
    folders = set()
    for name in names:
        path = path_of(history, name)
        folders.add(os.path.dirname(path))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    for folder in folders:
        # The folder may still hold other objects.
        with contextlib.suppress(OSError):
            os.rmdir(folder)


@contextlib.contextmanager
def opened(history: str, name: str) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """Open an object: its type, its size, and its content in pieces.

    Raises OSError, and ValueError if it is damaged.
    """
    with open(path_of(history, name), "rb") as file:
        pieces = _inflated(file)
        first = next(pieces, b"")
        head, end, rest = first.partition(b"\0")
        kind, _, size = head.partition(b" ")
        if not end or not size.isdigit():
            raise ValueError(f"{name} is not an object")
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
