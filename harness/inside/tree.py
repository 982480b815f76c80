"""A tree as a value: the snapshot of a folder, and the difference of two snapshots.

Stamps are integers, nanoseconds since 1970: as floats, two stamps less than 238 ns apart would be
equal.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from harness.inside.descent import descend
from harness.inside.disk import open_file

KINDS = {
    stat.S_IFREG: "f",
    stat.S_IFDIR: "d",
    stat.S_IFLNK: "l",
    stat.S_IFIFO: "p",
    stat.S_IFSOCK: "s",
    stat.S_IFCHR: "c",
    stat.S_IFBLK: "b",
}
"""File type to the letter that `find -printf %y` prints."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a tree, with everything that must survive a round trip."""

    kind: str
    """One of the letters in KINDS."""
    mode: int
    """Permission bits, including the set-id and sticky bits."""
    size: int
    """Size in bytes; 0 unless it is a regular file."""
    mtime_ns: int
    """The mtime in nanoseconds since 1970; may be negative."""
    target: bytes = b""
    """Where a symlink points to; empty otherwise."""
    digest: str = ""
    """SHA-256 of the content; empty unless asked for."""
    link: bytes = b""
    """The first path, in order, of an entry with several names in this tree; else empty."""


Snapshot: TypeAlias = Mapping[bytes, Entry]
"""Entries by their path relative to the tree; b"." is the tree itself."""


@dataclass(frozen=True)
class Difference:
    """What turned one snapshot into another, as sorted paths."""

    added: tuple[bytes, ...]
    """Only in the second snapshot."""
    removed: tuple[bytes, ...]
    """Only in the first snapshot."""
    changed: tuple[bytes, ...]
    """In both, with any difference."""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def snapshot(folder: str | os.PathLike[str], *, contents: bool = False) -> dict[bytes, Entry]:
    """Return the tree below `folder`, which is b"." itself; with `contents`, with SHA-256 digests.

    Raises OSError if the caller may not look.
    """
    return entries(
        ((met.path, met.parent, met.name, met.status) for met in descend(folder)), contents=contents
    )


def entries(
    walked: Iterable[tuple[bytes, int | None, str | bytes, os.stat_result]],
    *,
    contents: bool = False,
) -> dict[bytes, Entry]:
    """Return the snapshot of these paths of a tree. Raises OSError.

    Each path comes with a folder's descriptor, the name there and the lstat of the real entry.
    """
    by_path: dict[bytes, Entry] = {}
    linked: dict[tuple[int, int], list[bytes]] = {}
    for path, parent, name, status in walked:
        kind = KINDS[stat.S_IFMT(status.st_mode)]
        if status.st_nlink > 1 and kind != "d":
            linked.setdefault((status.st_dev, status.st_ino), []).append(path)
        by_path[path] = Entry(
            kind=kind,
            mode=stat.S_IMODE(status.st_mode),
            size=status.st_size if kind == "f" else 0,
            mtime_ns=status.st_mtime_ns,
            target=os.readlink(os.fsencode(name), dir_fd=parent) if kind == "l" else b"",
            digest=_digest(name, parent) if contents and kind == "f" else "",
        )
    for paths in linked.values():
        first = min(paths)
        # With one path, the other names are hidden, or outside the tree.
        for path in paths if len(paths) > 1 else ():
            by_path[path] = replace(by_path[path], link=first)
    return dict(sorted(by_path.items()))


def walk(folder: str | bytes | os.PathLike[str]) -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield each path of the tree, named as in snapshots, with its lstat. Raises OSError.

    Parents come before children; symlinks are not followed.
    """
    return ((met.path, met.status) for met in descend(folder))


def newest(folder: str | os.PathLike[str]) -> int:
    """Return the newest mtime in the tree, the folder itself included, in nanoseconds."""
    return max(met.status.st_mtime_ns for met in descend(folder))


FIND_FORMAT = r"%y %m %s %T@ %P\0"
"""What `find . -printf` prints an entry by, so that `parse_find` can read it."""


def parse_find(output: bytes) -> dict[bytes, Entry]:
    """Return the snapshot that find printed by FIND_FORMAT, without contents."""
    entries = {}
    for line in output.split(b"\0")[:-1]:
        kind, mode, size, mtime, path = line.split(b" ", 4)
        entries[path or b"."] = Entry(
            kind=kind.decode(),
            mode=int(mode, 8),
            size=int(size) if kind == b"f" else 0,
            mtime_ns=parse_stamp(mtime),
        )
    return entries


def difference(before: Snapshot, after: Snapshot) -> Difference:
    """Return what was added, removed and changed.

    Two snapshots that were taken with different options differ everywhere.
    """
    return Difference(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(
            sorted(path for path in before.keys() & after.keys() if before[path] != after[path])
        ),
    )


def parse_stamp(printed: bytes) -> int:
    """Return the nanoseconds that find printed.

    find rounds seconds down and adds the fraction: half a second before 1970 is -1.5.
    """
    seconds, _, fraction = printed.partition(b".")
    return int(seconds) * 10**9 + int(fraction[:9].ljust(9, b"0"))


def _digest(name: str | bytes, parent: int | None) -> str:
    with open(open_file(name, parent=parent), "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
