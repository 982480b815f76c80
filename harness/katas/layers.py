"""Layers: folders over each other, read as the kernel's overlay shows them, and folded so that they stay few.

A layer hides what is below it by whiteouts (character devices 0/0) and by folders that are marked opaque, and a mark is an
extended attribute in the `user` namespace: those of the kernel's own can only be read by a privileged user, which a keeper
is not. So a folder that is renamed is copied by the run itself: the kernel's shortcut for that needs them.

Layers are never written to once a test event is accepted: the files of a fold are hard links to theirs.

Runs in the keeper too: standard library only.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

OPAQUE = "user.overlay.opaque"
"""With the value `y`: nothing below shines through this folder (Documentation/filesystems/overlayfs.rst, "userxattr")."""

WHITEOUT = os.makedev(0, 0)


class Found(NamedTuple):
    """What the layers show at one path."""

    path: bytes  # where it really is, in the topmost layer that has it
    status: os.stat_result


class Place(NamedTuple):
    """One name of merged folders."""

    found: tuple[
        Found, ...
    ]  # none: it is hidden; one that is no folder, or the folders that are merged, topmost first
    closed: bool  # nothing of what may be below these layers shines through


class Layers:
    """Folders over each other, the topmost first."""

    def __init__(self, folders: Sequence[str | bytes]) -> None:
        self._tops = [os.fsencode(each) for each in folders]

    def find(self, parts: Sequence[bytes]) -> Found | None:
        """What is shown at this path; symlinks are not followed."""
        place = Place(tuple(Found(each, os.lstat(each)) for each in self._tops), closed=False)
        for part in parts:
            folders = [each.path for each in place.found if stat.S_ISDIR(each.status.st_mode)]
            place = _place(_look(os.path.join(each, part)) for each in folders)
        return place.found[0] if place.found else None

    def walk(self) -> Iterator[tuple[bytes, Found]]:
        """Everything that is shown, as snapshots name it, parents before children. Raises OSError."""
        for path, place in self._places():
            if place.found:
                yield path, place.found[0]

    def fold(self, target: str, *, marks: bool) -> int:
        """Make one folder of all layers, which must not exist yet; returns the number of its entries. With `marks` it hides
        from layers below what these did; without, it is a plain tree. Raises OSError.
        """
        top = os.fsencode(target)
        count, folders = 0, []
        for path, place in self._places():
            count += 1
            there = top if path == b"." else os.path.join(top, path)
            if not place.found:
                if marks:
                    os.mknod(there, stat.S_IFCHR, WHITEOUT)
                continue
            first = place.found[0]
            if stat.S_ISDIR(first.status.st_mode):
                os.mkdir(there, 0o700)
                if marks and place.closed:
                    os.setxattr(there, OPAQUE, b"y")
                folders.append((there, first.status))
            else:
                os.link(first.path, there, follow_symlinks=False)
        for there, status in reversed(folders):
            dress(there, status)
        return count

    def _places(self) -> Iterator[tuple[bytes, Place]]:
        """Each path and what is there, hidden ones included."""
        top = Place(tuple(Found(each, os.lstat(each)) for each in self._tops), closed=False)
        yield b".", top
        waiting = [(b"", top)]
        while waiting:
            here, place = waiting.pop()
            names: dict[bytes, list[Found]] = {}
            for each in place.found:
                with os.scandir(each.path) as entries:
                    for entry in entries:
                        found = Found(entry.path, entry.stat(follow_symlinks=False))
                        names.setdefault(entry.name, []).append(found)
            for name, several in names.items():
                path = os.path.join(here, name)
                below = _place(several)
                yield path, below
                if below.found and stat.S_ISDIR(below.found[0].status.st_mode):
                    waiting.append((path, below))


def dress(folder: str | bytes, status: os.stat_result) -> None:
    """Give a folder the owner, the mode and the stamp of another. Raises OSError."""
    os.chown(folder, status.st_uid, status.st_gid)
    os.chmod(folder, stat.S_IMODE(status.st_mode))
    os.utime(folder, ns=(status.st_mtime_ns, status.st_mtime_ns))


def is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == WHITEOUT


def is_opaque(folder: bytes) -> bool:
    with contextlib.suppress(OSError):
        return os.getxattr(folder, OPAQUE) == b"y"
    return False


def _look(path: bytes) -> Found | None:
    try:
        return Found(path, os.lstat(path))
    except FileNotFoundError:
        return None


def _place(several: Iterator[Found | None] | Sequence[Found]) -> Place:
    """What is shown of one name, of which these were found in the layers, the topmost first."""
    folders: list[Found] = []
    for each in several:
        if each is None:
            continue
        if is_whiteout(each.status):
            return Place(tuple(folders), closed=True)
        if not stat.S_ISDIR(each.status.st_mode):
            return Place(tuple(folders) or (each,), closed=True)
        folders.append(each)
        if is_opaque(each.path):
            return Place(tuple(folders), closed=True)
    return Place(tuple(folders), closed=False)
