"""Layers: folders over each other, read as the kernel's overlay shows them, and folded so that they stay few.

A layer hides what is below it by whiteouts (character devices 0/0) and by folders that are marked opaque, and a mark is an
extended attribute in the `user` namespace: those of the kernel's own can only be read by a privileged user, which a keeper
is not. So a folder that is renamed is copied by the run itself: the kernel's shortcut for that needs them.

Layers are never written to once a test event is accepted: the files of a fold are hard links to theirs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

OPAQUE = "user.overlay.opaque"
"""With the value `y`: nothing below shines through this folder (Documentation/filesystems/overlayfs.rst, "userxattr")."""

WHITEOUT = os.makedev(0, 0)


class LayerEntry(NamedTuple):
    """What the layers show at one path."""

    path: bytes  # where it really is, in the topmost layer that has it
    status: os.stat_result


class _Place(NamedTuple):
    """One name of merged folders."""

    found: tuple[
        LayerEntry, ...
    ]  # none: it is hidden; one that is no folder, or the folders that are merged, topmost first
    closed: bool  # nothing of what may be below these layers shines through

    @property
    def shown(self) -> LayerEntry | None:
        return self.found[0] if self.found else None

    def at(self, name: bytes) -> _Place:
        """One of the names in these folders."""
        folders = (each.path for each in self.found if stat.S_ISDIR(each.status.st_mode))
        return _place(_look(os.path.join(each, name)) for each in folders)

    def children(self) -> Iterator[tuple[bytes, _Place]]:
        """Every name in these folders, hidden ones included."""
        names: dict[bytes, list[LayerEntry]] = {}
        for each in self.found:
            if stat.S_ISDIR(each.status.st_mode):
                with os.scandir(each.path) as entries:
                    for entry in entries:
                        found = LayerEntry(entry.path, entry.stat(follow_symlinks=False))
                        names.setdefault(entry.name, []).append(found)
        for name, several in names.items():
            yield name, _place(several)

    def is_empty(self) -> bool:
        """Whether it is a folder with nothing in it."""
        is_folder = self.shown is not None and stat.S_ISDIR(self.shown.status.st_mode)
        return is_folder and not any(below.found for _, below in self.children())


class Layers:
    """Folders over each other, the topmost first."""

    def __init__(self, folders: Sequence[str | bytes]) -> None:
        self._tops = [os.fsencode(each) for each in folders]

    def under(self, top: str) -> Layers:
        """These with another one over them."""
        return Layers([top, *self._tops])

    def place(self, parts: Sequence[bytes]) -> _Place:
        """What there is at this path; symlinks are not followed."""
        place = _Place(tuple(LayerEntry(each, os.lstat(each)) for each in self._tops), closed=False)
        for part in parts:
            place = place.at(part)
        return place

    def find(self, parts: Sequence[bytes]) -> LayerEntry | None:
        """What of that is shown."""
        return self.place(parts).shown

    def walk(self) -> Iterator[tuple[bytes, LayerEntry]]:
        """Everything that is shown, as snapshots name it, parents before children. Raises OSError."""
        for path, place in self._places():
            if place.found:
                yield path, place.found[0]

    def fold(self, target: str, below: Sequence[str] | None = None) -> int:
        """Make one folder of all layers, which must not exist yet, to lie over the folders `below`: it hides what these layers
        hide of them, and no more, for the kernel shows a mark that hides nothing as a name. None: a plain tree. Returns the
        number of its entries. Raises OSError.
        """
        top, links = os.fsencode(target), Links()
        over = None if below is None else Layers([target, *below])
        count, folders = 0, []
        for path, place in self._places():
            parts = split_path(path)
            there = os.path.join(top, *parts)
            hides = (
                over.find(parts) if over and parts and (place.closed or not place.found) else None
            )
            if not place.found:
                if hides:
                    os.mknod(there, stat.S_IFCHR, WHITEOUT)
                    count += 1
                continue
            count += 1
            first = place.found[0]
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
        """Each path and what is there, hidden ones included."""
        top = self.place([])
        yield b".", top
        waiting = [(b"", top)]
        while waiting:
            here, place = waiting.pop()
            for name, below in place.children():
                path = os.path.join(here, name)
                yield path, below
                if below.found and stat.S_ISDIR(below.found[0].status.st_mode):
                    waiting.append((path, below))


class Links:
    """Hard links to files of layers. A file that cannot have so many is copied, and all its names are those of the copy."""

    def __init__(self) -> None:
        self._made: dict[
            tuple[int, int], list[bytes]
        ] = {}  # of a file of several names, those here

    def link(self, found: LayerEntry, there: bytes) -> None:
        """Raises OSError."""
        several = found.status.st_nlink > 1
        made = (
            self._made.setdefault((found.status.st_dev, found.status.st_ino), []) if several else []
        )
        try:
            os.link(made[0] if made else found.path, there, follow_symlinks=False)
        except OSError as error:
            if error.errno != errno.EMLINK:
                raise
            copy_entry(found, there)
            for each in made:
                os.unlink(each)
                os.link(there, each)
        made.append(there)


def copy_entry(found: LayerEntry, there: bytes) -> None:
    """Copy what is no folder, with its owner, mode and stamp. Raises OSError."""
    status = found.status
    if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
        shutil.copyfile(found.path, there, follow_symlinks=False)
    else:
        os.mknod(there, status.st_mode, status.st_rdev)
    dress(there, status)


def split_path(path: bytes) -> list[bytes]:
    """The parts of a path of a tree."""
    return [] if path == b"." else path.split(b"/")


def dress(path: str | bytes, status: os.stat_result) -> None:
    """Give what is there the owner, the mode and the stamp of another. Raises OSError."""
    os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(path, stat.S_IMODE(status.st_mode))
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns), follow_symlinks=False)


def is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == WHITEOUT


def is_opaque(folder: bytes) -> bool:
    with contextlib.suppress(OSError):
        return os.getxattr(folder, OPAQUE) == b"y"
    return False


def _look(path: bytes) -> LayerEntry | None:
    try:
        return LayerEntry(path, os.lstat(path))
    except FileNotFoundError:
        return None


def _place(several: Iterator[LayerEntry | None] | Sequence[LayerEntry]) -> _Place:
    """What is shown of one name, of which these were found in the layers, the topmost first."""
    folders: list[LayerEntry] = []
    for each in several:
        if each is None:
            continue
        if is_whiteout(each.status):
            return _Place(tuple(folders), closed=True)
        if not stat.S_ISDIR(each.status.st_mode):
            return _Place(tuple(folders) or (each,), closed=True)
        folders.append(each)
        if is_opaque(each.path):
            return _Place(tuple(folders), closed=True)
    return _Place(tuple(folders), closed=False)
