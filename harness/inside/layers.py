"""Layers: folders that lie over each other as in the kernel's overlay, and are folded to stay few.

A layer hides what is below it by whiteouts (character devices 0/0) and by folders that are marked
as opaque. The mark is an extended attribute in the `user` namespace, because only a privileged
process can read the kernel's own, and a keeper is not privileged. The kernel's shortcut for renamed
folders needs those, so a run copies a folder that it renames.

Once a test event is accepted, its layer is never written to: a fold makes hard links to its files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.inside.descent import descend
from harness.inside.disk import hold

MARKS = "user.overlay."
"""What the names of the kernel's marks begin with."""

OPAQUE = f"{MARKS}opaque"
"""With the value `y`, nothing below shows through this folder.

See Documentation/filesystems/overlayfs.rst, "userxattr".
"""

WHITEOUT = os.makedev(0, 0)
"""The device number of a whiteout."""


_PIECE = 1 << 20
"""How many bytes are copied at once."""


class LayerEntry(NamedTuple):
    """What the layers show at one path."""

    path: bytes
    """Where it is stored, in the topmost layer that has it."""
    status: os.stat_result
    """Its lstat."""


class _Place(NamedTuple):
    """One name in merged folders."""

    # Either one entry that is not a folder, or the merged folders, topmost first. Empty if hidden.
    entries: tuple[LayerEntry, ...]
    # Whether these layers hide everything that may be below them.
    closed: bool

    @property
    def shown(self) -> LayerEntry | None:
        """The entry that the layers show; None if it is hidden."""
        return self.entries[0] if self.entries else None

    def at(self, name: bytes) -> _Place:
        """Return one of the names in these folders."""
        folders = (entry.path for entry in self.entries if stat.S_ISDIR(entry.status.st_mode))
        return _place(_look(os.path.join(folder, name)) for folder in folders)

    def children(self) -> Iterator[tuple[bytes, _Place]]:
        """Yield every name in these folders, hidden ones included."""
        names: dict[bytes, list[LayerEntry]] = {}
        for folder in self.entries:
            if stat.S_ISDIR(folder.status.st_mode):
                with os.scandir(folder.path) as items:
                    for item in items:
                        entry = LayerEntry(item.path, item.stat(follow_symlinks=False))
                        names.setdefault(item.name, []).append(entry)
        for name, several in names.items():
            yield name, _place(several)

    def is_empty(self) -> bool:
        """Return whether it is an empty folder."""
        is_folder = self.shown is not None and stat.S_ISDIR(self.shown.status.st_mode)
        return is_folder and not any(below.entries for _, below in self.children())


class Layers:
    """Folders that lie over each other, topmost first."""

    def __init__(self, folders: Sequence[str | bytes]) -> None:
        self._tops = [os.fsencode(folder) for folder in folders]

    def under(self, top: str) -> Layers:
        """Return these layers with another one on top."""
        return Layers([top, *self._tops])

    def place(self, parts: Sequence[bytes]) -> _Place:
        """Return what the layers have at this path; symlinks are not followed."""
        place = _Place(tuple(LayerEntry(top, os.lstat(top)) for top in self._tops), closed=False)
        for part in parts:
            place = place.at(part)
        return place

    def find(self, parts: Sequence[bytes]) -> LayerEntry | None:
        """Return what the layers show at this path."""
        return self.place(parts).shown

    def walk(self) -> Iterator[tuple[bytes, LayerEntry]]:
        """Yield every path that is shown, named as in snapshots, parents before children.

        Raises OSError.
        """
        for path, place in self._places():
            if place.entries:
                yield path, place.entries[0]

    def fold(self, target: str, below: Sequence[str] | None = None) -> int:
        """Merge all layers into the new folder `target`; return the number of its entries.

        With `below`, the result is a layer over these folders. It gets only marks that hide
        something in them, because the kernel shows any other mark as a name. Without `below`, the
        result is a plain tree. Raises OSError.
        """
        top, links = os.fsencode(target), Links()
        over = None if below is None else Layers([target, *below])
        count, folders = 0, []
        for path, place in self._places():
            parts = split_path(path)
            there = os.path.join(top, *parts)
            hides = (
                over.find(parts) if over and parts and (place.closed or not place.entries) else None
            )
            if not place.entries:
                if hides:
                    os.mknod(there, stat.S_IFCHR, WHITEOUT)
                    count += 1
                continue
            count += 1
            first = place.entries[0]
            if stat.S_ISDIR(first.status.st_mode):
                os.mkdir(there, 0o700)
                if hides:
                    os.setxattr(there, OPAQUE, b"y")
                folders.append((there, first.status))
            else:
                links.link(first, there)
        for there, status in reversed(folders):
            dress(there, status)
        return count

    def _places(self) -> Iterator[tuple[bytes, _Place]]:
        """Yield each path and what the layers have there, hidden ones included."""
        top = self.place([])
        yield b".", top
        waiting = [(b"", top)]
        while waiting:
            here, place = waiting.pop()
            for name, below in place.children():
                path = os.path.join(here, name)
                yield path, below
                if below.entries and stat.S_ISDIR(below.entries[0].status.st_mode):
                    waiting.append((path, below))


class Links:
    """Makes hard links to files of layers.

    A file that cannot have so many links is copied, and its other names become links to the copy.
    """

    def __init__(self) -> None:
        # The names made so far of each file that has several, by device and inode.
        self._made: dict[tuple[int, int], list[bytes]] = {}

    def link(self, entry: LayerEntry, there: bytes) -> None:
        """Make a hard link at `there`. Raises OSError."""
        several = entry.status.st_nlink > 1
        made = (
            self._made.setdefault((entry.status.st_dev, entry.status.st_ino), []) if several else []
        )
        try:
            os.link(made[0] if made else entry.path, there, follow_symlinks=False)
        except OSError as error:
            if error.errno != errno.EMLINK:
                raise
            copy_entry(entry, there)
            for name in made:
                os.unlink(name)
                os.link(there, name)
        made.append(there)


def copy_entry(entry: LayerEntry, there: bytes) -> None:
    """Copy an entry that is not a folder, with its owner, mode and stamp. Raises OSError."""
    status = entry.status
    if stat.S_ISREG(status.st_mode):
        _copy_file(entry.path, there)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(entry.path), there)
    else:
        os.mknod(there, status.st_mode, status.st_rdev)
    dress(there, status)


def _copy_file(path: bytes, there: bytes) -> None:
    """Copy the content of a file, without its holes: a run makes large ones for nothing."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    came = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        made = os.open(there, flags, 0o600)
        try:
            size, at = os.fstat(came).st_size, 0
            os.ftruncate(made, size)
            while at < size:
                try:
                    start = os.lseek(came, at, os.SEEK_DATA)
                except OSError as error:
                    if error.errno != errno.ENXIO:
                        raise
                    break  # nothing but a hole is left
                at = min(os.lseek(came, start, os.SEEK_HOLE), size)
                while start < at and (data := os.pread(came, min(at - start, _PIECE), start)):
                    start += os.pwrite(made, data, start)
        finally:
            os.close(made)
    finally:
        os.close(came)


def strip_marks(sandbox: str) -> None:
    """Remove what the kernel would take for marks of its overlay. Raises OSError.

    A run that worked in the sandbox itself may have set them, and the kernel knows more of them
    than this module, such as whiteouts that are files. So the sandbox needs this before it becomes
    a layer; no run that sees layers merged can set any.
    """
    for met in descend(sandbox):
        if not (stat.S_ISREG(met.status.st_mode) or stat.S_ISDIR(met.status.st_mode)):
            continue
        with contextlib.suppress(FileNotFoundError):
            held = hold(met.name, parent=met.parent)
            try:
                _strip(f"/proc/self/fd/{held}")
            finally:
                os.close(held)


def _strip(path: str) -> None:
    try:
        marks = [name for name in os.listxattr(path) if name.startswith(MARKS)]
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return
    if marks:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        # An owner who is not root must be able to write.
        os.chmod(path, mode | 0o600)
        for name in marks:
            os.removexattr(path, name)
        os.chmod(path, mode)


def split_path(path: bytes) -> list[bytes]:
    """Split a path of a tree into its parts."""
    return [] if path == b"." else path.split(b"/")


def dress(path: str | bytes, status: os.stat_result) -> None:
    """Give a path the owner, mode and stamp of this status. Raises OSError."""
    os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(path, stat.S_IMODE(status.st_mode))
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns), follow_symlinks=False)


def is_whiteout(status: os.stat_result) -> bool:
    """Return whether this is the status of a whiteout."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == WHITEOUT


def is_opaque(folder: bytes) -> bool:
    """Return whether a folder hides everything below it."""
    with contextlib.suppress(OSError):
        return os.getxattr(folder, OPAQUE) == b"y"
    return False


def _look(path: bytes) -> LayerEntry | None:
    try:
        return LayerEntry(path, os.lstat(path))
    except FileNotFoundError:
        return None


def _place(several: Iterator[LayerEntry | None] | Sequence[LayerEntry]) -> _Place:
    """Return what is shown of one name, given what each layer has there, topmost first."""
    folders: list[LayerEntry] = []
    for entry in several:
        if entry is None:
            continue
        if is_whiteout(entry.status):
            return _Place(tuple(folders), closed=True)
        if not stat.S_ISDIR(entry.status.st_mode):
            return _Place(tuple(folders) or (entry,), closed=True)
        folders.append(entry)
        if is_opaque(entry.path):
            return _Place(tuple(folders), closed=True)
    return _Place(tuple(folders), closed=False)
