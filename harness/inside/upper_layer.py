"""The layer of a test event while it is made: the player's edit, and copies of hard links."""

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
"""Uid and gid of the player who will own what is made."""


class UpperLayer:
    """A folder that lies over the layers `below`, and shows `shown` together with them."""

    def __init__(self, path: str, below: Layers) -> None:
        self.path, self.below, self.shown = os.fsencode(path), below, below.under(path)
        # Folders of this layer whose stamp is new, because an entry in them has changed.
        self._changed: set[bytes] = set()

    def newest(self) -> int:
        """Return the newest stamp of a changed folder, in nanoseconds; 0 if there is none."""
        return max((os.lstat(folder).st_mtime_ns for folder in self._changed), default=0)

    def folder(
        self, parts: Sequence[bytes], owner: UserAndGroup | None = None, *, to_look: bool = True
    ) -> bytes:
        """Return the path of a folder in this layer, copied up from below or made new.

        Raises OSError.

        With `to_look`, its owner can look into it.
        """
        here, place = self.path, self.shown.place([])
        for part in parts:
            above, here = here, os.path.join(here, part)
            place = place.at(part)
            entry = place.shown
            if not entry or not stat.S_ISDIR(entry.status.st_mode):
                self._clear(here)
                os.mkdir(here, 0o755)
                os.setxattr(here, OPAQUE, b"y")
                if owner:
                    os.chown(here, *owner)
                self._changed.add(above)
            elif entry.path != here:
                with self._keeping_stamp(above):
                    os.mkdir(here, 0o755)
                    dress(here, entry.status)
            if to_look:
                os.close(open_folder(here))
        return here

    def put(self, parts: Sequence[bytes], temporary: str, owner: UserAndGroup | None) -> bytes:
        """Move a file here, replacing whatever is there; return its path. Raises OSError.

        An edit of a file is not one of its folder, which keeps its stamp.
        """
        shown = self.shown.find(parts)
        if not (shown and stat.S_ISREG(shown.status.st_mode)):
            path = self._room(parts, owner)
            self._clear(path)
            os.rename(temporary, path)
            return path
        folder = self.folder(parts[:-1], owner)
        os.close(open_folder(folder, need=ALL_ACCESS))
        path = os.path.join(folder, parts[-1])
        with self._keeping_stamp(folder):
            os.rename(temporary, path)
        return path

    def make(self, parts: Sequence[bytes], owner: UserAndGroup | None) -> bytes:
        """Make sure that a folder is here; return its path. Raises OSError."""
        self._room(parts, owner)
        return self.folder(parts, owner)

    def hide(self, parts: Sequence[bytes], *, only_empty: bool = False) -> None:
        """Remove what is shown here, if anything. Raises OSError.

        With `only_empty`, remove only an empty folder.
        """
        place = self.shown.place(parts)
        if not place.shown or (only_empty and not place.is_empty()):
            return
        path = self._room(parts, None)
        self._clear(path)
        if self.shown.find(parts):
            os.mknod(path, stat.S_IFCHR, WHITEOUT)

    def copy_up(self, parts: Sequence[bytes], entry: LayerEntry) -> bytes:
        """Copy a file into this layer unless it is there; return its path. Raises OSError."""
        folder = self.folder(parts[:-1])
        os.close(open_folder(folder, need=ALL_ACCESS))
        path = os.path.join(folder, parts[-1])
        if entry.path != path:
            with self._keeping_stamp(folder):
                copy_entry(entry, path)
        return path

    def link(
        self, names: Iterable[bytes], copied: Callable[[LayerEntry], LayerEntry | None]
    ) -> None:
        """Replace files that have several names by their copies, under those names. Raises OSError.

        Names that no longer show the file below are left alone.
        """
        links = Links()
        for above, several in groupby(sorted(names, key=os.path.dirname), os.path.dirname):
            parts = split_path(above or b".")
            below, shown = self.below.place(parts), self.shown.place(parts)
            for name in several:
                last = os.path.basename(name)
                entry, now = below.at(last).shown, shown.at(last).shown
                if not entry or not now or now.path != entry.path or entry.status.st_nlink == 1:
                    continue
                if source := copied(entry):
                    folder = self.folder(parts, to_look=False)
                    with self._keeping_stamp(folder):
                        links.link(source, os.path.join(folder, last))

    def _room(self, parts: Sequence[bytes], owner: UserAndGroup | None) -> bytes:
        """Return the path of an entry that will change, in a folder that its owner can change."""
        folder = self.folder(parts[:-1], owner)
        os.close(open_folder(folder, need=ALL_ACCESS))
        self._changed.add(folder)
        return os.path.join(folder, parts[-1])

    def _clear(self, path: bytes) -> None:
        """Remove what this layer itself has here."""
        try:
            is_folder = stat.S_ISDIR(os.lstat(path).st_mode)
        except FileNotFoundError:
            return
        if not is_folder:
            os.unlink(path)
            return
        remove_tree(path)
        self._changed -= {
            folder for folder in self._changed if folder == path or folder.startswith(path + b"/")
        }

    @contextlib.contextmanager
    def _keeping_stamp(self, folder: bytes) -> Iterator[None]:
        """Keep the stamp of a folder while something is copied up into it.

        In the merged tree the entry was there already, so the folder has not changed.
        """
        stamp = os.lstat(folder).st_mtime_ns
        yield
        if folder not in self._changed:
            os.utime(folder, ns=(stamp, stamp))
