"""Saving visible files into a sandbox: writing, replacing and deleting what the player changed.

A crash leaves each file old or new. How folders are opened is in `sandbox_folders`, and how edits
get their stamps in `stamping`.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from io import FileIO

from harness.inside.atomic_file import Sync
from harness.inside.delta import Delta, same_kind
from harness.inside.disk import ALL_ACCESS, CANNOT, exchange, open_folder, permit_all, remove_tree
from harness.inside.layout import split_name
from harness.inside.sandbox_folders import (
    Folders,
    entry_status,
    make_folder,
    remove_entry,
    sandbox_folders,
    stamp_path,
)
from harness.inside.sent_record import Record, Sent
from harness.inside.stamping import bring_to_clock, stamp_all
from harness.inside.stamps import Ahead, against_time, is_ahead
from harness.inside.tree import newest


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
    # The stamps of what a run made, by the name of the edit that replaces it.
    made: dict[bytes, int] = {}
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
            found = entry_status(folder, last)
            if found and was_made(found, before):
                made[file.name] = found.st_mtime_ns
            stamp = before.stamp if before and same_content(before, file) else None
            _put(
                folder, last, os.path.join(incoming, str(number)), file, owner, before, stamp, sync
            )
            touched.update(tuple(parts[:count]) for count in range(len(parts) + 1))
            if stamp is not None:
                stamp_path(folders, file.name, stamp)
                written[file.name] = Sent(file.mode, file.blob, stamp, age=file.age)
            else:
                edits[file.name] = file.age
                written[file.name] = Sent(file.mode, file.blob, 0, age=file.age)
        against = against_time(edits, made, sent, delta.ages)
        for name, stamp in against.older.items():
            del edits[name]
            written[name] = written[name]._replace(stamp=stamp_path(folders, name, stamp))
        for name, age in against.newer.items():
            edits[name] = age
            written[name] = sent[name]._replace(age=age)
        if edits and not first and is_ahead(latest):
            ahead, latest = bring_to_clock(sandbox, edits)
        for path in touched:
            if (folder_or_none := folders.find(list(path))) is not None and not first:
                latest = max(latest, os.fstat(folder_or_none).st_mtime_ns)
        given = stamp_all(partial(stamp_path, folders), edits, latest, first=first)
        written |= {name: written[name]._replace(stamp=stamp) for name, stamp in given.items()}
    return Saved(written, ahead)


def was_made(found: os.stat_result, before: Sent | None) -> bool:
    """Return whether a run made this file, and the player does not send it.

    What the player sends is a source, whatever a run made of it: no edit of it may be missed.
    """
    return (before is None or before.left_out) and stat.S_ISREG(found.st_mode)


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
    status = entry_status(folder, name)
    there = status is not None and stat.S_ISDIR(status.st_mode)
    if stat.S_ISDIR(file.mode):
        if there:
            return
        make_folder(None, os.fsencode(temporary), owner)
    else:
        write_file(temporary, file, owner, mode=permissions(status, before, file.mode), sync=sync)
    if stamp is not None:
        os.utime(temporary, ns=(stamp, stamp), follow_symlinks=False)
    if status and stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(file.mode):
        # An edit of a file is not one of its folder, which may be a target or a prerequisite.
        before_ns = os.fstat(folder).st_mtime_ns
        os.rename(temporary, name, dst_dir_fd=folder)
        os.utime(folder, ns=(before_ns, before_ns))
    elif status is None or there == stat.S_ISDIR(file.mode):
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
    """Delete what the player deleted; return the parts of each folder that this changed."""
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
    """Remove folders that the player removed, or emptied if no run made something in them."""
    for path in delta.emptied:
        *parts, last = path.split(b"/")
        if (folder := folders.find(parts)) is None:
            continue
        if path in delta.removed:
            remove_entry(folder, last, only_folders=True)
        else:
            with contextlib.suppress(OSError):
                os.rmdir(last, dir_fd=folder)


def _holds_anything(sandbox: str) -> bool:
    folder = open_folder(sandbox)
    try:
        with os.scandir(folder) as entries:
            return any(True for _ in entries)
    finally:
        os.close(folder)


def _newest(sandbox: str) -> int:
    try:
        return newest(sandbox)
    except PermissionError:
        # A run may have forbidden its own user to look; make would still see the files.
        permit_all(sandbox)
        return newest(sandbox)


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
