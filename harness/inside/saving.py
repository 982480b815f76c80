"""Saving visible files into a sandbox, stamped so that make cannot miss an edit.

A run may have left anything in the sandbox: a symlink where a folder was, a folder where a file
was, modes that forbid everything. So no path is followed beyond the folders that really exist.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import FileIO

from harness.inside.atomic_file import Sync
from harness.inside.delta import Delta, feed, same_kind, stamped
from harness.inside.descent import Met, descend, enter
from harness.inside.disk import (
    ALL_ACCESS,
    CANNOT,
    exchange,
    give,
    hold,
    open_folder,
    permit,
    permit_all,
    remove_tree,
)
from harness.inside.errors import KatasError
from harness.inside.layout import PATH_PARTS, split_name
from harness.inside.sent_record import Record, Sent
from harness.inside.stamps import (
    TICK_NS,
    Ahead,
    Moved,
    against_time,
    as_sent,
    file_time,
    in_order,
    is_ahead,
)
from harness.inside.tree import newest

AHEAD_BYTES = 16 << 20
"""Bytes of the names of files ahead of the clock whose stamps are restored; a run may make any number."""


@dataclass(frozen=True)
class SavedFile:
    """One file to be written, or one empty folder to be made."""

    name: bytes
    """Its path in the sandbox."""
    mode: int
    """Git's mode; 0o040000 for an empty folder."""
    blob: str
    """Git's id of the content; empty for a folder."""
    age: int | None
    """The mtime in the player's folder, in nanoseconds; None counts as the newest."""
    content: Iterable[bytes]
    """The content, in pieces of a bounded size."""


class Folders:
    """The folders of a sandbox, entered part by part without following symlinks.

    Only one is open at a time, because a tree may have more folders than a process may open.
    """

    def __init__(self, sandbox: str, owner: tuple[int, int] | None = None) -> None:
        self._root = open_folder(sandbox)
        self._owner = owner
        self._here = os.dup(self._root)
        # The path of the open folder `self._here`.
        self._parts: list[bytes] = []

    def find(self, parts: list[bytes]) -> int | None:
        """Return this folder, open until the next call; None if it does not exist."""
        try:
            return self._go(parts, self._enter)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def look(self, parts: list[bytes]) -> os.stat_result | None:
        """Return the status of this path without following symlinks; None if nothing is there."""
        *above, last = parts
        return None if (folder := self.find(above)) is None else _look(folder, last)

    def make(self, parts: list[bytes]) -> int:
        """Return this folder for writing, open until the next call.

        Creates what is missing and replaces anything that is not a folder.
        """
        folder = self._go(parts, self._make)
        permit(folder, ALL_ACCESS)
        return folder

    def close(self) -> None:
        """Close the open folder."""
        os.close(self._here)
        os.close(self._root)

    def _go(self, parts: list[bytes], enter: Callable[[bytes], None]) -> int:
        if parts != self._parts:
            self._move(os.dup(self._root), [])
            for part in parts:
                enter(part)
        return self._here

    def _enter(self, part: bytes) -> None:
        self._move(open_folder(part, parent=self._here), [*self._parts, part])

    def _move(self, folder: int, parts: list[bytes]) -> None:
        os.close(self._here)
        self._here, self._parts = folder, parts

    def _make(self, part: bytes) -> None:
        try:
            self._enter(part)
        except (FileNotFoundError, NotADirectoryError):
            permit(self._here, ALL_ACCESS)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part, dir_fd=self._here)
            _make_folder(self._here, part, self._owner)
            self._enter(part)


def _make_folder(parent: int | None, name: bytes, owner: tuple[int, int] | None) -> None:
    """Create a folder and give it to `owner`.

    If something else has taken its place by then, that is not given away.
    """
    os.mkdir(name, 0o755, dir_fd=parent)
    if owner:
        made = enter(name, parent)
        try:
            os.fchown(made, *owner)
        finally:
            os.close(made)


def still_there(sandbox: str, sent: Record) -> set[bytes]:
    """Return the names where the sandbox still holds the kind of file that was sent."""
    names = set()
    with sandbox_folders(sandbox) as folders:
        for name, file in sent.items():
            status = folders.look(split_name(name))
            if status is not None and same_kind(file.mode, status):
                names.add(name)
    return names


def stamp_of(sandbox: str, name: bytes, mode: int) -> int | None:
    """Return the mtime at this name, in nanoseconds; None if no file of this git mode is there."""
    with sandbox_folders(sandbox) as folders:
        status = folders.look(split_name(name))
    return status.st_mtime_ns if status is not None and same_kind(mode, status) else None


def survey(sandbox: str, names: Iterable[bytes]) -> dict[bytes, Sent]:
    """Return what the sandbox holds at these names, as if the player had sent it.

    Names where there is no file are left out.
    """
    record = {}
    with sandbox_folders(sandbox) as folders:
        for name in names:
            *parts, last = split_name(name)
            folder = folders.find(parts)
            if folder is not None:
                # An OSError means that nothing is there.
                with contextlib.suppress(OSError):
                    stamp = os.stat(last, dir_fd=folder, follow_symlinks=False).st_mtime_ns
                    if file := stamped(folder, last):
                        record[name] = Sent(file.mode, file.blob, stamp)
    return record


def digests(sandbox: str, sizes: Mapping[bytes, int]) -> dict[bytes, str]:
    """Return the BLAKE2b of each file, as b2sum prints it.

    Files that cannot be read, or whose size is not the one given, are left out; so no more is read
    than the caller expects.
    """
    by_name = {}
    with sandbox_folders(sandbox) as folders:
        for name, size in sizes.items():
            *parts, last = split_name(name)
            folder = folders.find(parts)
            if folder is None:
                continue
            with contextlib.suppress(OSError):
                digest = hashlib.new("blake2b")
                if feed(digest, folder, last, size):
                    by_name[name] = digest.hexdigest()
    return by_name


@dataclass(frozen=True)
class Saved:
    """What `save` did to a sandbox."""

    sent: dict[bytes, Sent]
    """The files that were written, as the record of what the player sent should list them."""
    ahead: Ahead
    """Stamps that were moved back to the clock."""


def save(
    sandbox: str,
    incoming: str,
    files: Iterable[SavedFile],
    delta: Delta,
    owner: tuple[int, int] | None,
    *,
    sent: Record,
    latest: int | None = None,
    sync: Sync | None = None,
) -> Saved:
    """Write and delete what the player changed since `sent`.

    `files` are those that `delta` writes. `latest` is the newest stamp in the sandbox, if the
    caller knows it. `sync` forces each written file to the disk before it replaces another.

    Each file is written in the folder `incoming`, on the same file system, and renamed, so a crash
    leaves each file old or new. A file that did not change since `sent` was removed by a run, and
    gets its old stamp back. All others are edits: see `harness.inside.stamps`. Raises OSError, and
    KatasError if the file system cannot store such a stamp.
    """
    first = not sent and not _holds_anything(sandbox)
    ahead: Ahead = {}
    edits: dict[bytes, int | None] = {}
    made: set[bytes] = set()  # those edits that replace what a run made
    written: dict[bytes, Sent] = {}
    if latest is None:
        latest = 0 if first else _newest(sandbox)
    touched = _delete(sandbox, delta, sent)
    with sandbox_folders(sandbox, owner) as folders:
        for number, file in enumerate(files):
            *parts, last = split_name(file.name)
            folder = folders.make(parts)
            before = sent.get(file.name)
            if (
                before
                and before.blob == file.blob
                and _set_mode(folder, last, before.mode, file.mode)
            ):
                written[file.name] = Sent(file.mode, file.blob, before.stamp, age=file.age)
                continue
            if was_made(_look(folder, last), before):
                made.add(file.name)
            stamp = before.stamp if before and same_content(before, file) else None
            _put(
                folder, last, os.path.join(incoming, str(number)), file, owner, before, stamp, sync
            )
            touched.update(tuple(parts[:count]) for count in range(len(parts) + 1))
            if stamp is not None:
                _stamp(folders, file.name, stamp)
                written[file.name] = Sent(file.mode, file.blob, stamp, age=file.age)
            else:
                edits[file.name] = file.age
                written[file.name] = Sent(file.mode, file.blob, 0, age=file.age)
        against = against_time(edits, made, sent, delta.ages)
        for name, stamp in against.older.items():
            del edits[name]
            written[name] = written[name]._replace(stamp=_stamp(folders, name, stamp))
        for name, age in against.newer.items():
            edits[name] = age
            written[name] = sent[name]._replace(age=age)
        if edits and not first and is_ahead(latest):
            ahead, latest = bring_to_clock(sandbox, edits)
        for path in touched:
            if (folder_or_none := folders.find(list(path))) is not None and not first:
                latest = max(latest, os.fstat(folder_or_none).st_mtime_ns)
        given = stamp_all(partial(_stamp, folders), edits, latest, first=first)
        written |= {name: written[name]._replace(stamp=stamp) for name, stamp in given.items()}
    return Saved(written, ahead)


def was_made(found: os.stat_result | None, before: Sent | None) -> bool:
    """Return whether a run made this file, or rewrote it since it was sent."""
    if found is None or not stat.S_ISREG(found.st_mode):
        return False
    return before is None or found.st_mtime_ns != before.stamp


def same_content(before: Sent, file: SavedFile) -> bool:
    """Return whether the content is unchanged; the permission to execute may differ."""
    return before.blob == file.blob and stat.S_IFMT(before.mode) == stat.S_IFMT(file.mode)


def _put(
    folder: int,
    name: bytes,
    temporary: str,
    file: SavedFile,
    owner: tuple[int, int] | None,
    before: Sent | None,
    stamp: int | None,
    sync: Sync | None,
) -> None:
    """Put a file, or an empty folder, in the place of whatever is there.

    A file that already has a `stamp` gets it before it is moved there; otherwise a crash could turn
    a file that is merely put back into an edit.
    """
    status = _look(folder, name)
    there = status is not None and stat.S_ISDIR(status.st_mode)
    if stat.S_ISDIR(file.mode):
        if there:
            return
        _make_folder(None, os.fsencode(temporary), owner)
    else:
        write_file(temporary, file, owner, mode=permissions(status, before, file.mode), sync=sync)
    if stamp is not None:
        os.utime(temporary, ns=(stamp, stamp), follow_symlinks=False)
    if status is None or there == stat.S_ISDIR(file.mode):
        os.rename(temporary, name, dst_dir_fd=folder)
    else:
        _swap(temporary, folder, name, was_folder=there)


def _swap(temporary: str, folder: int, name: bytes, *, was_folder: bool) -> None:
    """Replace a folder by a file, or the reverse, in one step if the file system can."""
    if was_folder:
        # A folder that forbids writing cannot be moved.
        os.close(open_folder(name, parent=folder, need=ALL_ACCESS))
    try:
        exchange(temporary, name, parent=folder)
    except OSError as error:
        if error.errno not in CANNOT:
            raise
        remove_entry(folder, name)
        os.rename(temporary, name, dst_dir_fd=folder)
        return
    if was_folder:
        remove_tree(temporary)
    else:
        os.unlink(temporary)


def _set_mode(folder: int, name: bytes, before: int, mode: int) -> bool:
    """Change the permission to execute in place, as chmod does; return whether that was enough.

    The content then stays as the run left it. Returns False if something else was edited, or if the
    file is gone.
    """
    if before == mode or not (stat.S_ISREG(before) and stat.S_ISREG(mode)):
        return False
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return False
    try:
        status = os.fstat(file)
        if not same_kind(before & ~0o111, status):
            return False
        os.fchmod(file, executable(status, mode))
    finally:
        os.close(file)
    return True


def executable(status: os.stat_result, mode: int) -> int:
    """Return the permissions of this status, with or without execution as git's mode says."""
    now = stat.S_IMODE(status.st_mode)
    return now | 0o111 if mode & 0o100 else now & ~0o111


def permissions(status: os.stat_result | None, before: Sent | None, mode: int) -> int:
    """Return the permissions for a file that replaces whatever has this status.

    Permissions are kept if it is a file that its owner can read and write; the player's change to
    the permission to execute is applied to them.
    """
    kept = 0o644
    if status and stat.S_ISREG(status.st_mode) and status.st_mode & 0o600 == 0o600:
        kept = status.st_mode & 0o777
    if mode & 0o100:
        return kept | 0o111
    return kept & ~0o111 if before and before.mode & 0o100 else kept


def _remove_sent(folder: int, name: bytes, sent: Sent | None) -> None:
    """Remove what the player deleted.

    A folder that was sent empty stays if a run has put something into it.
    """
    if sent and stat.S_ISDIR(sent.mode):
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=folder)
        return
    remove_entry(folder, name)


def _delete(sandbox: str, delta: Delta, sent: Record) -> set[tuple[bytes, ...]]:
    """Delete what the player deleted; return the folders that it was in, as parts of their paths."""
    touched: set[tuple[bytes, ...]] = set()
    with sandbox_folders(sandbox) as folders:
        for name in delta.deleted:
            *parts, last = split_name(name)
            if (folder := folders.find(parts)) is not None:
                _remove_sent(folder, last, sent.get(name))
                touched.add(tuple(parts))
        _remove_emptied(folders, delta)
    return touched


def _remove_emptied(folders: Folders, delta: Delta) -> None:
    """Remove folders that the player removed, and those that the player emptied if no run made
    something in them.
    """
    for path in delta.emptied:
        *parts, last = path.split(b"/")
        if (folder := folders.find(parts)) is None:
            continue
        if path in delta.removed:
            remove_entry(folder, last, only_folders=True)
        else:
            with contextlib.suppress(OSError):
                os.rmdir(last, dir_fd=folder)


Stamp = Callable[[bytes, int], int]
"""Stamps a path of the sandbox; returns the stamp that the file system stored."""


def stamp_all(
    stamp: Stamp, edits: Mapping[bytes, int | None], latest: int, *, first: bool
) -> dict[bytes, int]:
    """Stamp the edits later than `latest`, in the order of their ages.

    The files of a `first` test event keep their ages as stamps. Raises OSError, and KatasError if
    the file system cannot store such a stamp.
    """
    if first:
        return {name: stamp(name, age) for name, age in as_sent(edits, file_time()).items()}
    # Some file systems store whole seconds, or every other second.
    for coarse in (0, 10**9, 2 * 10**9):
        given = {name: stamp(name, age) for name, age in in_order(edits, latest + coarse).items()}
        if all(stored > latest for stored in given.values()):
            return given
    raise KatasError("the file system of the katas cannot stamp an edit later than the other files")


def _holds_anything(sandbox: str) -> bool:
    folder = open_folder(sandbox)
    try:
        with os.scandir(folder) as entries:
            return any(True for _ in entries)
    finally:
        os.close(folder)


def _look(folder: int, name: bytes) -> os.stat_result | None:
    """Return the lstat of `name` in an open folder; None if it is missing."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    return None


def hand_over(sandbox: str, owner: tuple[int, int]) -> None:
    """Make a user the owner of the whole sandbox, as a volume mount needs it. Raises OSError.

    The user may be at work in the sandbox meanwhile, through a team mate's run. Whoever owns a
    folder can put something else into it, so folders are handed over after their contents, and the
    sandbox last. A file that has names outside the sandbox may belong to somebody's history, and
    keeps its owner.
    """
    names: Counter[tuple[int, int]] = Counter()
    for met in descend(sandbox):
        if not stat.S_ISDIR(met.status.st_mode):
            _give(met, owner, folders=False, names=names)
    for met in descend(sandbox):
        if stat.S_ISDIR(met.status.st_mode) and met.path != b".":
            _give(met, owner, folders=True, names=names)
    top = enter(sandbox, None)
    try:
        os.chown(top, *owner)
    finally:
        os.close(top)


def _give(
    met: Met, owner: tuple[int, int], *, folders: bool, names: Counter[tuple[int, int]]
) -> None:
    """Hand over one entry; a file with several names only when the last of them is met.

    An entry that has become something else meanwhile keeps its owner.
    """
    if (met.status.st_uid, met.status.st_gid) == owner:
        return
    try:
        held = hold(met.name, parent=met.parent)
    except FileNotFoundError:
        return
    try:
        status = os.fstat(held)
        file = (status.st_dev, status.st_ino)
        names[file] += 1
        if stat.S_ISDIR(status.st_mode) == folders and (folders or names[file] == status.st_nlink):
            give(held, owner)
    finally:
        os.close(held)


def _newest(sandbox: str) -> int:
    try:
        return newest(sandbox)
    except PermissionError:
        # A run may have forbidden its own user to look; make would still see the files.
        permit_all(sandbox)
        return newest(sandbox)


def _stamp(folders: Folders, name: bytes, stamp: int) -> int:
    """Stamp a path and return the stamp that the file system stored."""
    *parts, last = name.split(b"/")
    if (folder := folders.find(parts)) is None:
        raise FileNotFoundError(
            errno.ENOENT, "it was removed meanwhile, try again", os.fsdecode(name)
        )
    os.utime(last, ns=(stamp, stamp), dir_fd=folder, follow_symlinks=False)
    return os.stat(last, dir_fd=folder, follow_symlinks=False).st_mtime_ns


def bring_to_clock(sandbox: str, edited: Container[bytes]) -> tuple[Ahead, int]:
    """Move stamps that are ahead of the clock back to it, keeping their order. Raises OSError.

    Returns what was moved, and the newest stamp afterwards; both leave out what was `edited`.
    Without this, an edit would be stamped in the future too, and ninja would loop: it rebuilds its
    own manifest until that is the newest.
    """
    now, latest, left = file_time(), 0, AHEAD_BYTES
    ages: dict[bytes, int | None] = {}
    for met in descend(sandbox):
        ahead = met.status.st_mtime_ns - now > TICK_NS
        # No build goes this deep, and paths this long cannot be looked up again.
        if len(met.above) >= PATH_PARTS:
            if ahead:
                _stamp_here(met, now)
            latest = max(latest, now if ahead else met.status.st_mtime_ns)
        elif (path := met.path) not in edited:
            if not ahead:
                latest = max(latest, met.status.st_mtime_ns)
            elif (left := left - len(path)) >= 0:
                ages[path] = met.status.st_mtime_ns
            else:
                _stamp_here(met, now)
                latest = max(latest, now)
    with sandbox_folders(sandbox) as folders:
        return stamp_back(partial(_stamp, folders), ages, latest)


def _stamp_here(met: Met, stamp: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.utime(met.name, ns=(stamp, stamp), dir_fd=met.parent, follow_symlinks=False)


def stamp_back(stamp: Stamp, ages: Mapping[bytes, int | None], latest: int) -> tuple[Ahead, int]:
    """Move these stamps back to the clock; all others are at most `latest`. Raises OSError."""
    given = {
        path: stamp(path, age) for path, age in sorted(in_order(ages, latest).items(), reverse=True)
    }
    return {path: Moved(given[path], age) for path, age in ages.items() if age}, max(
        [latest, *given.values()]
    )


def put_ahead_again(sandbox: str, ahead: Ahead) -> None:
    """Restore the stamps that `bring_to_clock` moved. Raises OSError.

    What the run has changed since is left alone.
    """
    with sandbox_folders(sandbox) as folders:
        for path, moved in ahead.items():
            status = folders.look(path.split(b"/"))
            if status is not None and status.st_mtime_ns == moved.to:
                _stamp(folders, path, moved.back)


def write_file(
    path: str,
    file: SavedFile,
    owner: tuple[int, int] | None,
    *,
    mode: int,
    sync: Sync | None = None,
) -> None:
    """Write a file with these permissions, or make a symlink. Raises OSError."""
    if stat.S_ISLNK(file.mode):
        os.symlink(b"".join(file.content), os.fsencode(path))
    else:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb", buffering=0) as out:
            for piece in file.content:
                _write(out, piece)
            # The file may end in a hole.
            out.truncate()
            os.fchmod(out.fileno(), mode)
            if sync:
                sync(out.fileno())
    if owner:
        os.chown(path, *owner, follow_symlinks=False)


def _write(out: FileIO, piece: bytes) -> None:
    """Write a whole piece; skip over one that is all zeros, which leaves a hole."""
    if not piece.strip(b"\0"):
        out.seek(len(piece), os.SEEK_CUR)
        return
    rest = memoryview(piece)
    while rest:
        rest = rest[out.write(rest) :]


def remove_entry(folder: int, name: bytes, *, only_folders: bool = False) -> None:
    """Remove `name` from an open folder if it exists. Raises OSError."""
    status = _look(folder, name)
    if status is None:
        return
    is_folder = stat.S_ISDIR(status.st_mode)
    if only_folders and not is_folder:
        return
    permit(folder, ALL_ACCESS)
    if is_folder:
        remove_tree(name, parent=folder)
    else:
        os.unlink(name, dir_fd=folder)


@contextlib.contextmanager
def sandbox_folders(sandbox: str, owner: tuple[int, int] | None = None) -> Iterator[Folders]:
    """Open the folders of a sandbox for the length of a block. Raises OSError."""
    folders = Folders(sandbox, owner)
    try:
        yield folders
    finally:
        folders.close()
