"""Saving visible files into a sandbox, stamped so that make cannot miss an edit.

A run may have left anything in the sandbox: a symlink where a folder was, a folder where a file was, modes
that forbid everything. No path is followed further than the folders that are really there.

Runs in the keeper too: standard library only.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.disk import remove_tree
from harness.errors import KatasError
from harness.katas.delta import Stamped, stamped
from harness.katas.layout import split_name
from harness.tree import newest

REALTIME_COARSE = 5
"""The clock that the kernel stamps files from (linux/time.h); Python does not name it."""

TICK_NS = 20_000_000
"""The kernel stamps files from a clock that moves every 4 ms, up to 10 on slow kernels; twice that is waited
for.
"""

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass(frozen=True)
class SavedFile:
    """One file to be written."""

    name: bytes
    mode: int  # git's
    content: bytes


class Folders:
    """The folders of a sandbox, opened part by part without following symlinks, each once."""

    def __init__(self, sandbox: str, owner: tuple[int, int] | None = None) -> None:
        self._root = os.open(sandbox, FOLDER_FLAGS)
        self._owner = owner
        self._open: dict[tuple[bytes, ...], int] = {(): self._root}

    def find(self, parts: Sequence[bytes]) -> int | None:
        """The folder, or None where there is no such folder."""
        return self._descend(tuple(parts), self._only_look)

    def make(self, parts: Sequence[bytes]) -> int:
        """The folder, made where it is missing and in the place of whatever else is there."""
        folder = self._descend(tuple(parts), self._make)
        assert folder is not None
        return folder

    def close(self) -> None:
        for each in self._open.values():
            os.close(each)

    def _descend(self, parts: tuple[bytes, ...], missing: object) -> int | None:
        if parts in self._open:
            return self._open[parts]
        assert callable(missing)
        parent = self._descend(parts[:-1], missing)
        if parent is None:
            return None
        try:
            folder = os.open(parts[-1], FOLDER_FLAGS, dir_fd=parent)
        except PermissionError:
            os.chmod(
                parts[-1], 0o700, dir_fd=parent
            )  # a folder of ours: only symlinks and files fail otherwise
            folder = os.open(parts[-1], FOLDER_FLAGS, dir_fd=parent)
        except OSError:
            if not missing(parent, parts[-1]):
                return None
            folder = os.open(parts[-1], FOLDER_FLAGS, dir_fd=parent)
        self._open[parts] = folder
        return folder

    def _only_look(self, parent: int, name: bytes) -> bool:
        return False

    def _make(self, parent: int, name: bytes) -> bool:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=parent)
        os.mkdir(name, 0o755, dir_fd=parent)
        if self._owner:
            os.chown(name, *self._owner, dir_fd=parent, follow_symlinks=False)
        return True


def look(sandbox: str, names: Iterable[bytes]) -> dict[bytes, Stamped | None]:
    """What the sandbox holds at these names; nothing for a name where there is nothing."""
    found: dict[bytes, Stamped | None] = {}
    with _folders(sandbox) as folders:
        for name in names:
            *parts, last = split_name(name)
            folder = folders.find(parts)
            if folder is not None and _exists(folder, last):
                found[name] = stamped(folder, last)
    return found


def save(
    sandbox: str,
    incoming: str,
    files: Iterable[SavedFile],
    deleted: Iterable[bytes],
    owner: tuple[int, int] | None,
) -> int:
    """Write and delete visible files; returns the stamp that the written ones carry, in nanoseconds.

    Each file is written in the folder `incoming`, of the same file system, and renamed: a crash leaves each
    file old or new. The stamp is later than everything else in the sandbox, and no later than now by the
    clock that stamps files, so that what a run then makes is not older than it. Raises OSError.
    """
    stamp = _next_stamp(newest(sandbox))
    written: dict[bytes, tuple[int, bytes]] = {}
    with _folders(sandbox, owner) as folders:
        for name in deleted:
            *parts, last = split_name(name)
            folder = folders.find(parts)
            if folder is not None:
                _remove(folder, last)
        for number, file in enumerate(files):
            *parts, last = split_name(file.name)
            folder = folders.make(parts)
            temporary = os.path.join(incoming, str(number))
            _write(temporary, file, owner, mode=_kept_mode(folder, last))
            os.utime(temporary, ns=(stamp, stamp), follow_symlinks=False)
            _remove(folder, last, only_folders=True)
            os.rename(temporary, last, dst_dir_fd=folder)
            written[file.name] = (folder, last)
        if written:
            stamp = _stamp_last(sandbox, written.keys(), list(written.values()))
    return stamp


def hand_over(sandbox: str, owner: tuple[int, int]) -> None:
    """Make a user the owner of the whole sandbox: the uid on the host that a volume mount depends on. Raises
    OSError.
    """
    for folder, folders, names in os.walk(os.fsencode(sandbox)):
        for name in (b"", *folders, *names):
            os.chown(os.path.join(folder, name), *owner, follow_symlinks=False)


def _stamp_last(sandbox: str, names: Collection[bytes], written: list[tuple[int, bytes]]) -> int:
    """Stamp the written files once more: saving them touched their folders."""
    latest = newest(sandbox, leaving_out=names)
    for attempt in range(2):
        stamp = _next_stamp(latest)
        for folder, name in written:
            os.utime(name, ns=(stamp, stamp), dir_fd=folder, follow_symlinks=False)
        folder, name = written[0]
        if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime_ns > latest:
            return stamp
        if attempt == 0:
            # Something carries the last stamp that the file system can hold. That edits are seen outranks
            # that stamp.
            latest = _bring_back(sandbox)
    raise KatasError("the sandbox holds files from the future that cannot be stamped; remove them")


def _next_stamp(latest: int) -> int:
    """A stamp later than `latest`: now, if need be after the clock's next tick; else the next nanosecond."""
    deadline = time.monotonic_ns() + TICK_NS
    while (now := time.clock_gettime_ns(REALTIME_COARSE)) <= latest:
        if latest - now > TICK_NS or time.monotonic_ns() > deadline:
            return latest + 1  # from a clock that runs ahead
        time.sleep(0.0005)
    return now


def _bring_back(sandbox: str) -> int:
    now = time.clock_gettime_ns(REALTIME_COARSE)
    root = os.fsencode(sandbox)
    for folder, folders, names in os.walk(root):
        for path in (os.path.join(folder, name) for name in [*folders, *names]):
            if os.lstat(path).st_mtime_ns > now:
                os.utime(path, ns=(now, now), follow_symlinks=False)
    return now


def _write(path: str, file: SavedFile, owner: tuple[int, int] | None, *, mode: int | None) -> None:
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


def _remove(folder: int, name: bytes, *, only_folders: bool = False) -> None:
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        remove_tree(
            os.path.join(os.readlink(f"/proc/self/fd/{folder}").encode(errors="surrogateescape"), name)
        )
    elif not only_folders:
        os.unlink(name, dir_fd=folder)


def _exists(folder: int, name: bytes) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _folders(sandbox: str, owner: tuple[int, int] | None = None) -> Iterator[Folders]:
    folders = Folders(sandbox, owner)
    try:
        yield folders
    finally:
        folders.close()
