"""What a run changed in a tree, found by comparing two listings of it.

A listing has the inode and the time of the last change (ctime) of every entry; only the kernel sets
these. If both are the same at the same path, the entry has not changed. Children of a renamed
folder are at another path, whatever their ctime.

Two conditions must hold. First, the clock that the kernel stamps files with must have moved on
between the last change before the first listing and the first change after it. Second, the file
system must stamp a file that is written through a shared memory mapping: ext4, xfs and btrfs do,
but tmpfs does not once a page was read. On tmpfs, a file that was read while its ctime stayed the
same is a suspect until its content has been compared.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from harness.inside.errors import StreamCut
from harness.inside.tree import parse_stamp

STAMPS_MAPPINGS = frozenset({"ext2/ext3", "xfs", "btrfs"})
"""File systems that stamp a file when it is written through a mapping.

The names are those of `stat -f -c %T`, which knows ext4 by the number of ext2.
"""
STAMPS_READS = frozenset({"tmpfs"})
"""File systems that do not, but stamp the read before it."""

FILE, FOLDER, SOCKET = b"f", b"d", b"s"


@dataclass(frozen=True)
class Listing:
    """A tree as find printed it: a record and the last access time for each path."""

    records: Mapping[bytes, bytes]
    """Everything that find printed of the entry except the access time."""
    reads: Mapping[bytes, bytes]
    """The last access time (atime)."""

    def kind(self, path: bytes) -> bytes:
        """Return the letter that find prints for the kind of entry; empty if there is none."""
        return self.records.get(path, b"")[:1]

    def has_names(self, path: bytes) -> bool:
        """Return whether this is a file with several names."""
        return path in self.records and bool(_inode(self.records[path]))

    def size(self, path: bytes) -> int:
        """Return the length of the entry in bytes, holes included."""
        return int(self.records[path].split(b" ")[2])

    def mode(self, path: bytes) -> int:
        """Return the permissions of the entry."""
        return int(self.records[path].split(b" ")[1], 8)

    def stamp(self, path: bytes) -> int:
        """Return the mtime of the entry, in nanoseconds."""
        return parse_stamp(self.records[path].split(b" ")[3])

    def newest(self) -> int:
        """Return the newest mtime in the listing, in nanoseconds."""
        return max(parse_stamp(record.split(b" ")[3]) for record in self.records.values())


class Folder(NamedTuple):
    """A folder that must exist after the changes."""

    path: bytes
    """Its path in the tree."""
    mode: int
    """Its permissions."""
    mtime_ns: int
    """Its mtime, in nanoseconds."""


@dataclass(frozen=True)
class Changes:
    """What must be done to turn one tree into another."""

    gone: tuple[bytes, ...]
    """Paths to remove, with everything below them."""
    brought: tuple[bytes, ...]
    """Paths of new or changed entries that are not folders."""
    folders: tuple[Folder, ...]
    """New or changed folders, and all folders above a change; parents first."""


LISTING_FORMAT = r"%A@ %y %m %s %T@ %C@ %i %n/%P\0"
"""What `find . -printf` prints an entry by, so that `parse_listing` can read it."""

MARK_FORMAT = LISTING_FORMAT.replace("%P", "%f")
"""What it prints a mark by."""

FIRST_MARK, SECOND_MARK = b"mark", b"moved"
"""The names of the marks: a file that is read a few ticks of the clock after it was made, and one
that is made then.
"""


def parse_listing(output: bytes) -> Listing:
    """Parse what find printed by LISTING_FORMAT.

    Raises StreamCut if it is incomplete.
    """
    records, reads = {}, {}
    for line in output.split(b"\0")[:-1]:
        head, slash, path = line.partition(b"/")
        read, space, record = head.partition(b" ")
        if not slash or not space:
            raise StreamCut(f"{line!r} is not an entry of a listing")
        records[path or b"."] = record
        reads[path or b"."] = read
    return Listing(records, reads)


def can_tell(file_system: str, marks: Listing, listing: Listing) -> bool:
    """Return whether changes after this listing can be found by comparing another one with it.

    `marks` lists two files that the sandbox's guest made: `mark` before the listing, which it read
    after a tick of the clock, and `moved` after the listing.
    """
    if b"." not in listing.records or marks.records.keys() != {FIRST_MARK, SECOND_MARK}:
        return False
    latest = max(_changed(record) for record in listing.records.values())
    if _changed(marks.records[SECOND_MARK]) <= latest:
        return False
    if file_system in STAMPS_MAPPINGS:
        return True
    return file_system in STAMPS_READS and parse_stamp(marks.reads[FIRST_MARK]) > _changed(
        marks.records[FIRST_MARK]
    )


def suspects(before: Listing, after: Listing) -> tuple[bytes, ...]:
    """Return files that may have been read, and so may have been written through a mapping."""
    return tuple(
        path
        for path, record in after.records.items()
        if record[:1] == FILE
        and before.records.get(path) == record
        and (after.reads[path] != before.reads[path] or _read_unseen(before.reads[path], record))
    )


def changes_between(
    before: Listing, sent: Collection[bytes], after: Listing, also: Collection[bytes] = ()
) -> Changes:
    """Return what turned the tree of `before` into that of `after`.

    `sent` are paths that were put into both trees in between; `also` are paths that are known to
    have changed.
    """
    there = {path: record for path, record in after.records.items() if record[:1] != SOCKET}
    sent = {*sent, *_all_above(sent)}
    gone = {path for path in (*before.records, *sent) if path not in there}
    brought = set(also)
    folders: set[bytes] = set()
    for path, record in there.items():
        if before.records.get(path) != record:
            (folders if record[:1] == FOLDER else brought).add(path)
    # A new name may belong to a file whose old name is also new, because its folder was renamed.
    linked = {_inode(there[path]) for path in brought & there.keys()} - {b""}
    if linked:
        brought |= {path for path, record in there.items() if _inode(record) in linked}
    folders |= {path for path in sent if there.get(path, b"")[:1] == FOLDER}
    for path in _all_above((*gone, *brought, *folders)):
        if there.get(path, b"")[:1] == FOLDER:
            folders.add(path)
    # The contents of a folder that is removed or replaced need not be removed one by one.
    covering = gone | brought
    return Changes(
        gone=tuple(sorted(path for path in gone if path == b"." or _above(path) not in covering)),
        brought=tuple(sorted(brought)),
        folders=tuple(
            Folder(path, after.mode(path), after.stamp(path))
            for path in sorted(folders, key=_place)
        ),
    )


def above(path: bytes) -> Iterator[bytes]:
    """Yield the folders above a path, from the nearest to the tree itself."""
    while path != b".":
        path = _above(path)
        yield path


def _above(path: bytes) -> bytes:
    """Return the folder that a path is in."""
    return os.path.dirname(path) or b"."


def _all_above(paths: Iterable[bytes]) -> set[bytes]:
    """Return the folders above these paths; visits each folder once, however deep they are."""
    folders: set[bytes] = set()
    for path in paths:
        for folder in above(path):
            if folder in folders:
                break
            folders.add(folder)
    return folders


def _place(path: bytes) -> tuple[int, bytes]:
    return (0, b"") if path == b"." else (1 + path.count(b"/"), path)


def _inode(record: bytes) -> bytes:
    """Return the inode of a file that has several names; empty for all else."""
    kind, *_, inode, names = record.split(b" ")
    return b"" if kind == FOLDER or names == b"1" else inode


def _changed(record: bytes) -> int:
    return parse_stamp(record.split(b" ")[4])


def _read_unseen(read: bytes, record: bytes) -> bool:
    """Return whether another read would not have changed the access time.

    With relatime, the access time is updated only if it is not later than both mtime and ctime.
    """
    fields = record.split(b" ")
    return parse_stamp(read) > max(parse_stamp(fields[3]), parse_stamp(fields[4]))
