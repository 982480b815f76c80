"""A tree as a value: the snapshot of a folder, and the difference of two.

Stamps are integers, nanoseconds since 1970: Python's floats cannot tell two stamps less than 238 ns apart.
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

    kind: str  # one of KINDS' letters
    mode: int  # permission bits, set-id and sticky bits included
    size: int  # bytes; 0 unless a regular file
    mtime_ns: int  # nanoseconds since 1970, may be negative
    target: bytes = b""  # of a symlink
    digest: str = ""  # SHA-256 of the content; empty unless asked for
    link: bytes = b""  # of several hard links in this tree, the first in order of path; else empty


Snapshot: TypeAlias = Mapping[bytes, Entry]
"""Path relative to the tree (b"." is the tree itself) to entry."""


@dataclass(frozen=True)
class Difference:
    """What turned one snapshot into another; each a sorted tuple of paths."""

    added: tuple[bytes, ...]
    removed: tuple[bytes, ...]
    changed: tuple[bytes, ...]  # anything of the entry differs

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def snapshot(folder: str | os.PathLike[str], *, contents: bool = False) -> dict[bytes, Entry]:
    """The tree below `folder`, itself as b"."; with `contents`, a SHA-256 of every regular file.

    Raises OSError where the caller may not look.
    """
    return entries(
        ((met.path, met.parent, met.name, met.status) for met in descend(folder)), contents=contents
    )


def entries(
    walked: Iterable[tuple[bytes, int | None, str | bytes, os.stat_result]],
    *,
    contents: bool = False,
) -> dict[bytes, Entry]:
    """The snapshot of what is at these paths of a tree, each with the folder, the name there and the status of what it really
    is. Raises OSError.
    """
    found: dict[bytes, Entry] = {}
    linked: dict[tuple[int, int], list[bytes]] = {}
    for path, parent, name, status in walked:
        kind = KINDS[stat.S_IFMT(status.st_mode)]
        if status.st_nlink > 1 and kind != "d":
            linked.setdefault((status.st_dev, status.st_ino), []).append(path)
        found[path] = Entry(
            kind=kind,
            mode=stat.S_IMODE(status.st_mode),
            size=status.st_size if kind == "f" else 0,
            mtime_ns=status.st_mtime_ns,
            target=os.readlink(os.fsencode(name), dir_fd=parent) if kind == "l" else b"",
            digest=_digest(name, parent) if contents and kind == "f" else "",
        )
    for paths in linked.values():
        first = min(paths)
        for path in paths if len(paths) > 1 else ():  # the others are hidden, or elsewhere
            found[path] = replace(found[path], link=first)
    return dict(sorted(found.items()))


def walk(folder: str | bytes | os.PathLike[str]) -> Iterator[tuple[bytes, os.stat_result]]:
    """Everything in the tree as snapshots name it, parents before children; symlinks are not followed. Raises
    OSError.
    """
    return ((met.path, met.status) for met in descend(folder))


def newest(folder: str | os.PathLike[str]) -> int:
    """The latest mtime of anything in the tree, the folder itself included, in nanoseconds."""
    return max(met.status.st_mtime_ns for met in descend(folder))


def parse_find(output: bytes) -> dict[bytes, Entry]:
    r"""The snapshot that `find . -printf '%y %m %s %T@ %P\0'` printed: exact, but without contents."""
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
    """What was added, removed and changed; two snapshots taken with different options differ everywhere."""
    return Difference(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(
            sorted(path for path in before.keys() & after.keys() if before[path] != after[path])
        ),
    )


def parse_stamp(printed: bytes) -> int:
    """Nanoseconds from what find prints: whole seconds rounded down, then what is to be added to them. Half a
    second before 1970 is -1.5 to it.
    """
    seconds, _, fraction = printed.partition(b".")
    return int(seconds) * 10**9 + int(fraction[:9].ljust(9, b"0"))


def _digest(name: str | bytes, parent: int | None) -> str:
    with open(open_file(name, parent=parent), "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
