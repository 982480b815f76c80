"""What a run changed in a tree, told from two listings of it: what came, went, or is another.

A listing has the inode and the time of its last change (ctime) of everything, which nobody but the kernel sets. What has
both as before at the same path is as before: children of a renamed folder are at another path, whatever their ctime. Two
listings tell that only if the clock that the kernel stamps files from moved on between the last change before the first of
them and the next change after it, and if the file system stamps what is written through a shared memory mapping: ext4, xfs
and btrfs do, tmpfs does not once a page was read. There a file that was read without a change of its ctime is a suspect
until its content was compared.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from harness.inside.errors import StreamCut
from harness.inside.tree import parse_stamp

STAMPS_MAPPINGS = frozenset({"ext2/ext3", "xfs", "btrfs"})
STAMPS_READS = frozenset({"tmpfs"})
"""File systems, as `stat -f -c %T` names them: those that stamp what is written through a mapping, and those that do not
but stamp the read before it. (ext4 has the number of ext2.)
"""

FILE, FOLDER, SOCKET = b"f", b"d", b"s"


@dataclass(frozen=True)
class Listing:
    """A tree, path to record and path to last access; both as find printed them."""

    records: Mapping[bytes, bytes]
    reads: Mapping[bytes, bytes]

    def kind(self, path: bytes) -> bytes:
        """The letter that find prints; empty where there is nothing."""
        return self.records.get(path, b"")[:1]

    def has_names(self, path: bytes) -> bool:
        """Whether it is a file of several names."""
        return path in self.records and bool(_inode(self.records[path]))

    def size(self, path: bytes) -> int:
        """The length of what is there, holes included, in bytes."""
        return int(self.records[path].split(b" ")[2])

    def mode(self, path: bytes) -> int:
        """The permissions of what is there."""
        return int(self.records[path].split(b" ")[1], 8)

    def stamp(self, path: bytes) -> int:
        """The mtime of what is there, in nanoseconds."""
        return parse_stamp(self.records[path].split(b" ")[3])

    def newest(self) -> int:
        """The latest mtime of all, in nanoseconds."""
        return max(parse_stamp(record.split(b" ")[3]) for record in self.records.values())


class Folder(NamedTuple):
    """A folder that is to be there."""

    path: bytes
    mode: int
    mtime_ns: int


@dataclass(frozen=True)
class Changes:
    """What has to be done to a tree to make it another one."""

    gone: tuple[bytes, ...]  # to be removed with all that is below
    brought: tuple[bytes, ...]  # whatever is no folder: to be put in place
    folders: tuple[
        Folder, ...
    ]  # parents first: all that are new or another, or are on the way to the rest


def parse_listing(output: bytes) -> Listing:
    r"""What `find -printf '%A@ %y %m %s %T@ %C@ %i %n/%P\0'` printed. Raises StreamCut for anything else."""
    records, reads = {}, {}
    for line in output.split(b"\0")[:-1]:
        head, slash, path = line.partition(b"/")
        read, space, record = head.partition(b" ")
        if not slash or not space:
            raise StreamCut(f"{line!r} is no entry of a listing")
        records[path or b"."] = record
        reads[path or b"."] = read
    return Listing(records, reads)


def can_tell(file_system: str, marks: Listing, listing: Listing) -> bool:
    """Whether what changes after this listing can be told from it.

    `marks` holds two files that the sandbox's guest made: `mark` before the listing, which it read after a tick of the
    clock, and `moved` after that.
    """
    if b"." not in listing.records or marks.records.keys() != {b"mark", b"moved"}:
        return False
    latest = max(_changed(record) for record in listing.records.values())
    if _changed(marks.records[b"moved"]) <= latest:
        return False
    if file_system in STAMPS_MAPPINGS:
        return True
    return file_system in STAMPS_READS and parse_stamp(marks.reads[b"mark"]) > _changed(
        marks.records[b"mark"]
    )


def suspects(before: Listing, after: Listing) -> tuple[bytes, ...]:
    """Files that were read in between, or may have been, and may have been written through a mapping."""
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
    """What turned the tree of `before` into that of `after`; `sent` are paths that were put there meanwhile, in the tree
    that is to be changed too, and `also` those that are known to be others.
    """
    there = {path: record for path, record in after.records.items() if record[:1] != SOCKET}
    sent = {*sent, *_all_above(sent)}
    gone = {path for path in (*before.records, *sent) if path not in there}
    brought = set(also)
    folders: set[bytes] = set()
    for path, record in there.items():
        if before.records.get(path) != record:
            (folders if record[:1] == FOLDER else brought).add(path)
    # A name that is new may be another one of a file whose old name tells nothing: its folder was renamed.
    linked = {_inode(there[path]) for path in brought & there.keys()} - {b""}
    if linked:
        brought |= {path for path, record in there.items() if _inode(record) in linked}
    folders |= {path for path in sent if there.get(path, b"")[:1] == FOLDER}
    for each in _all_above((*gone, *brought, *folders)):
        if there.get(each, b"")[:1] == FOLDER:
            folders.add(each)
    # What is in a folder that goes, or that something else takes the place of, goes with it.
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
    """The folders that a path of a tree is in, the tree itself last."""
    while path != b".":
        path = _above(path)
        yield path


def _above(path: bytes) -> bytes:
    """The folder that it is in."""
    return os.path.dirname(path) or b"."


def _all_above(paths: Iterable[bytes]) -> set[bytes]:
    """The folders that these are in; each is met once, however deep they are nested."""
    found: set[bytes] = set()
    for path in paths:
        for each in above(path):
            if each in found:
                break
            found.add(each)
    return found


def _place(path: bytes) -> tuple[int, bytes]:
    return (0, b"") if path == b"." else (1 + path.count(b"/"), path)


def _inode(record: bytes) -> bytes:
    """Of a file that has several names; empty for all else."""
    kind, *_, inode, names = record.split(b" ")
    return b"" if kind == FOLDER or names == b"1" else inode


def _changed(record: bytes) -> int:
    return parse_stamp(record.split(b" ")[4])


def _read_unseen(read: bytes, record: bytes) -> bool:
    """Whether a read would have left no trace: with relatime, one after which nothing changed is the last to be
    stamped.
    """
    fields = record.split(b" ")
    return parse_stamp(read) > max(parse_stamp(fields[3]), parse_stamp(fields[4]))
