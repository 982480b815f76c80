"""Saving visible files into a sandbox, stamped so that make cannot miss an edit.

A run may have left anything in the sandbox: a symlink where a folder was, a folder where a file was, modes
that forbid everything. No path is followed further than the folders that are really there.

Runs in the keeper too: standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from harness.disk import ALL, open_folder, permit, permit_all, remove_tree
from harness.errors import KatasError
from harness.katas.delta import Stamped, stamped
from harness.katas.layout import split_name
from harness.tree import newest, walk

REALTIME_COARSE = 5
"""The clock that the kernel stamps files from (linux/time.h); Python does not name it."""

TICK_NS = 20_000_000
"""The kernel stamps files from a clock that moves every 4 ms, up to 10 on slow kernels; twice that is waited
for.
"""


@dataclass(frozen=True)
class SavedFile:
    """One file to be written."""

    name: bytes
    mode: int  # git's
    content: bytes


class Folders:
    """The folders of a sandbox, entered part by part without following symlinks.

    Only one is open at a time: a tree may well have more folders than a process may open.
    """

    def __init__(self, sandbox: str, owner: tuple[int, int] | None = None) -> None:
        self._root = open_folder(sandbox)
        self._owner = owner
        self._here = os.dup(self._root)
        self._parts: list[bytes] = []  # the way to here

    def find(self, parts: list[bytes]) -> int | None:
        """The folder, open until the next is asked for; None where there is no such folder."""
        try:
            return self._go(parts, self._enter)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def make(self, parts: list[bytes]) -> int:
        """The folder to write in, made where it is missing and in the place of whatever else is there."""
        folder = self._go(parts, self._make)
        permit(folder, ALL)
        return folder

    def close(self) -> None:
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
            permit(self._here, ALL)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part, dir_fd=self._here)
            os.mkdir(part, 0o755, dir_fd=self._here)
            if self._owner:
                os.chown(part, *self._owner, dir_fd=self._here, follow_symlinks=False)
            self._enter(part)


def file_time() -> int:
    """Now, in nanoseconds since 1970, as the kernel would stamp a file: a few milliseconds behind other clocks."""
    return time.clock_gettime_ns(REALTIME_COARSE)


def look(sandbox: str, names: Iterable[bytes]) -> dict[bytes, Stamped | None]:
    """What the sandbox holds at these names; nothing for a name where there is nothing."""
    found: dict[bytes, Stamped | None] = {}
    with folders_of(sandbox) as folders:
        for name in names:
            *parts, last = split_name(name)
            folder = folders.find(parts)
            if folder is not None:
                with contextlib.suppress(OSError):  # nothing there
                    found[name] = stamped(folder, last)
    return found


def digests(sandbox: str, names: Iterable[bytes]) -> dict[bytes, str]:
    """The BLAKE2b of these files, as b2sum prints it; none for what cannot be read."""
    found = {}
    with folders_of(sandbox) as folders:
        for name in names:
            *parts, last = split_name(name)
            with contextlib.suppress(OSError):
                file = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folders.find(parts))
                with open(file, "rb", buffering=0) as content:
                    found[name] = hashlib.file_digest(content, "blake2b").hexdigest()
    return found


def save(
    sandbox: str,
    incoming: str,
    files: Iterable[SavedFile],
    deleted: Iterable[bytes],
    owner: tuple[int, int] | None,
    latest: int | None = None,
) -> int:
    """Write and delete visible files; returns the stamp that the written ones carry, in nanoseconds. `latest` is
    that of the whole sandbox, for a caller who knows it.

    Each file is written in the folder `incoming`, of the same file system, and renamed: a crash leaves each
    file old or new. The stamp is later than everything that was in the sandbox; and unless something there is
    from the future it is no later than now by the clock that stamps files, so that what a run then makes is
    not older than it. Raises OSError, and KatasError where the file system cannot hold such a stamp.
    """
    if latest is None:
        latest = _newest(sandbox)
    stamp = next_stamp(latest)
    written, touched = [], set()
    with folders_of(sandbox, owner) as folders:
        for name in deleted:
            *parts, last = split_name(name)
            folder = folders.find(parts)
            if folder is not None:
                remove(folder, last)
                touched.add(tuple(parts))
    with folders_of(sandbox, owner) as folders:
        for number, file in enumerate(files):
            *parts, last = split_name(file.name)
            folder = folders.make(parts)
            temporary = os.path.join(incoming, str(number))
            write_file(temporary, file, owner, mode=_kept_mode(folder, last))
            os.utime(temporary, ns=(stamp, stamp), follow_symlinks=False)
            remove(folder, last, only_folders=True)
            os.rename(temporary, last, dst_dir_fd=folder)
            written.append(file.name)
            touched.update(tuple(parts[:count]) for count in range(len(parts) + 1))
        if written:
            for each in touched:
                if (folder := folders.find(list(each))) is not None:
                    latest = max(latest, os.fstat(folder).st_mtime_ns)
            stamp = _stamp_last(sandbox, folders, written, latest)
    return stamp


def hand_over(sandbox: str, owner: tuple[int, int]) -> None:
    """Make a user the owner of the whole sandbox: the uid on the host that a volume mount depends on. Raises
    OSError.
    """
    root = os.fsencode(sandbox)
    for path, _ in walk(root):
        os.chown(os.path.join(root, path), *owner, follow_symlinks=False)


def _newest(sandbox: str) -> int:
    try:
        return newest(sandbox)
    except PermissionError:  # a run that forbids its own user to look cannot hide from make what is there
        permit_all(sandbox)
        return newest(sandbox)


def _stamp_last(sandbox: str, folders: Folders, written: list[bytes], latest: int) -> int:
    """Stamp the written files once more, since saving them touched their folders: later than `latest`, which
    is that of these folders and of all that was in the sandbox before.
    """
    for attempt in range(2):
        stamp = next_stamp(latest)
        if all(_stamp(folders, name, stamp) > latest for name in written):
            return stamp
        if attempt == 0:
            # Something carries the last stamp that the file system can hold. That edits are seen outranks
            # that stamp.
            latest = bring_back(sandbox)
    raise KatasError("the sandbox holds files from the future that cannot be stamped; remove them")


def _stamp(folders: Folders, name: bytes, stamp: int) -> int:
    """Returns what the file system made of the stamp."""
    *parts, last = split_name(name)
    folder = folders.find(parts)
    os.utime(last, ns=(stamp, stamp), dir_fd=folder, follow_symlinks=False)
    return os.stat(last, dir_fd=folder, follow_symlinks=False).st_mtime_ns


def next_stamp(latest: int) -> int:
    """A stamp later than `latest`: now, if need be after the clock's next tick; else the next nanosecond."""
    deadline = time.monotonic_ns() + TICK_NS
    while (now := file_time()) <= latest:
        if latest - now > TICK_NS or time.monotonic_ns() > deadline:
            return latest + 1  # from a clock that runs ahead
        time.sleep(0.0005)
    return now


def bring_back(sandbox: str) -> int:
    """Stamp with now what is from the future; returns that stamp. Raises OSError."""
    now = file_time()
    root = os.fsencode(sandbox)
    for path, status in walk(root):
        if status.st_mtime_ns > now:
            os.utime(os.path.join(root, path), ns=(now, now), follow_symlinks=False)
    return now


def write_file(path: str, file: SavedFile, owner: tuple[int, int] | None, *, mode: int | None) -> None:
    """Write a file, or make a symlink; `mode` is that of the file that it replaces, if it is to be kept. Raises OSError."""
    if stat.S_ISLNK(file.mode):
        os.symlink(file.content, os.fsencode(path))
    else:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as out:
            out.write(file.content)
            out.flush()
            os.fchmod(out.fileno(), (mode or 0o644) | (0o111 if file.mode & 0o100 else 0))
    if owner:
        os.chown(path, *owner, follow_symlinks=False)


def _kept_mode(folder: int, name: bytes) -> int | None:
    """The permissions of the file that is replaced, if it is one that its owner can read and write."""
    with contextlib.suppress(OSError):
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISREG(mode) and mode & 0o600 == 0o600:
            return stat.S_IMODE(mode) & 0o777
    return None


def remove(folder: int, name: bytes, *, only_folders: bool = False) -> None:
    """Remove what an open folder holds at `name`, if anything. Raises OSError."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    is_folder = stat.S_ISDIR(mode)
    if only_folders and not is_folder:
        return
    permit(folder, ALL)
    if is_folder:
        remove_tree(name, parent=folder)
    else:
        os.unlink(name, dir_fd=folder)


@contextlib.contextmanager
def folders_of(sandbox: str, owner: tuple[int, int] | None = None) -> Iterator[Folders]:
    """Its folders, let go of at the end of the block. Raises OSError."""
    folders = Folders(sandbox, owner)
    try:
        yield folders
    finally:
        folders.close()
