"""The layer of a test event while it is made: what the player's edit and hard links put into it before the run, and after."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from harness.inside.disk import ALL_ACCESS, open_folder, remove_tree
from harness.inside.layers import (
    OPAQUE,
    WHITEOUT,
    LayerEntry,
    Layers,
    Links,
    copy_entry,
    dress,
    split_path,
)

UserAndGroup = tuple[int, int]
"""Uid and gid of a player who is to own what is made."""


class UpperLayer:
    """A folder over the layers `below`."""

    def __init__(self, path: str, below: Layers) -> None:
        self.path, self.below, self.shown = os.fsencode(path), below, below.under(path)
        self._changed: set[bytes] = (
            set()
        )  # its folders that have a new stamp, since something in them is another

    def newest(self) -> int:
        """The latest stamp of a folder that the edit has changed, in nanoseconds; 0 if there is none."""
        return max((os.lstat(each).st_mtime_ns for each in self._changed), default=0)

    def folder(
        self, parts: Sequence[bytes], owner: UserAndGroup | None = None, *, to_look: bool = True
    ) -> bytes:
        """The path of a folder in this layer, brought up from below or made, into which its owner can look if that is why it is
        there. Raises OSError.
        """
        here, place = self.path, self.shown.place([])
        for part in parts:
            above, here = here, os.path.join(here, part)
            place = place.at(part)
            found = place.shown
            if not found or not stat.S_ISDIR(found.status.st_mode):
                self._clear(here)
                os.mkdir(here, 0o755)
                os.setxattr(here, OPAQUE, b"y")
                if owner:
                    os.chown(here, *owner)
                self._changed.add(above)
            elif found.path != here:
                with self._unnoticed(above):
                    os.mkdir(here, 0o755)
                    dress(here, found.status)
            if to_look:
                os.close(open_folder(here))
        return here

    def put(self, parts: Sequence[bytes], temporary: str, owner: UserAndGroup | None) -> bytes:
        """Move a file to this place, whatever is there; returns its path. Raises OSError."""
        path = self._room(parts, owner)
        self._clear(path)
        os.rename(temporary, path)
        return path

    def make(self, parts: Sequence[bytes], owner: UserAndGroup | None) -> bytes:
        """See to it that a folder is at this place; returns its path. Raises OSError."""
        self._room(parts, owner)
        return self.folder(parts, owner)

    def hide(self, parts: Sequence[bytes], *, only_empty: bool = False) -> None:
        """Remove what is shown at this place, if anything; or only if it is a folder with nothing in it. Raises OSError."""
        place = self.shown.place(parts)
        if not place.shown or (only_empty and not place.is_empty()):
            return
        path = self._room(parts, None)
        self._clear(path)
        if self.shown.find(parts):
            os.mknod(path, stat.S_IFCHR, WHITEOUT)

    def bring_up(self, parts: Sequence[bytes], found: LayerEntry) -> bytes:
        """Copy a file that is shown into this layer, unless it is there; returns its path. Raises OSError."""
        folder = self.folder(parts[:-1])
        os.close(open_folder(folder, need=ALL_ACCESS))
        path = os.path.join(folder, parts[-1])
        if found.path != path:
            with self._unnoticed(folder):
                copy_entry(found, path)
        return path

    def link(
        self, names: Iterable[bytes], copied: Callable[[LayerEntry], LayerEntry | None]
    ) -> None:
        """Give copies of files of several names those of these names that still show what is below. Raises OSError."""
        links = Links()
        for above, several in groupby(sorted(names, key=os.path.dirname), os.path.dirname):
            parts = split_path(above or b".")
            below, shown = self.below.place(parts), self.shown.place(parts)
            for name in several:
                last = os.path.basename(name)
                found, there = below.at(last).shown, shown.at(last).shown
                if not found or not there or there.path != found.path or found.status.st_nlink == 1:
                    continue
                if source := copied(found):
                    folder = self.folder(parts, to_look=False)
                    with self._unnoticed(folder):
                        links.link(source, os.path.join(folder, last))

    def _room(self, parts: Sequence[bytes], owner: UserAndGroup | None) -> bytes:
        """The path of an entry that is about to be another, in a folder that its owner can change."""
        folder = self.folder(parts[:-1], owner)
        os.close(open_folder(folder, need=ALL_ACCESS))
        self._changed.add(folder)
        return os.path.join(folder, parts[-1])

    def _clear(self, path: bytes) -> None:
        """Remove what this layer itself has there."""
        try:
            is_folder = stat.S_ISDIR(os.lstat(path).st_mode)
        except FileNotFoundError:
            return
        if not is_folder:
            os.unlink(path)
            return
        remove_tree(path)
        self._changed -= {
            each for each in self._changed if each == path or each.startswith(path + b"/")
        }

    @contextlib.contextmanager
    def _unnoticed(self, folder: bytes) -> Iterator[None]:
        """What is brought up into a folder is in it already, for who looks at all layers: its stamp stays."""
        stamp = os.lstat(folder).st_mtime_ns
        yield
        if folder not in self._changed:
            os.utime(folder, ns=(stamp, stamp))
