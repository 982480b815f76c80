"""Hard links in layers: what a run writes to one name of a file must appear under all of them.

When a run changes a file of a lower layer, the kernel copies it and gives the copy only the name
that was used. With its index (Documentation/filesystems/overlayfs.rst, "index"), the kernel also
keeps each such copy in the work folder, where the run finds it by any of its names. These names
only have to be made when the run has ended, so a run that leaves such files alone costs nothing.

A process that may not open files by handle gets no index: then such files are copied before each
run. Files that are not regular cannot carry the marks of an index, and are always copied.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from harness.inside.errors import KatasError
from harness.inside.layers import LayerEntry, copy_entry, is_whiteout

_INDEX = "index"
"""The kernel's folder for the index, in the work folder."""

_HEADER = 21
"""Bytes before the handle in an entry's name (struct ovl_fb).

They are version, magic number, length, flags, type and UUID.
"""

_TYPE = 4
"""Offset of the handle's type among these bytes."""


def indexed(work: str) -> dict[int, LayerEntry] | None:
    """Return the copies in a mount's index, by the inode of the file that was copied.

    None if the kernel keeps no index. Raises OSError, and KatasError for a file system with handles
    of an unknown form.
    """
    folder = os.path.join(os.fsencode(work), os.fsencode(_INDEX))
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return None
    by_inode = {}
    for name in names:
        path = os.path.join(folder, name)
        status = os.lstat(path)
        if not is_whiteout(status):
            by_inode[_inode(name.decode())] = LayerEntry(path, status)
    return by_inode


def copies(folder: str, *, only: int | None = None) -> Callable[[LayerEntry], LayerEntry | None]:
    """Return a function that copies each file that it is called with, once, into this folder.

    The folder need not exist. With `only`, other inodes are not copied. Raises OSError.
    """
    made: dict[int, LayerEntry] = {}

    def copied(entry: LayerEntry) -> LayerEntry | None:
        inode = entry.status.st_ino
        if only not in (None, inode):
            return None
        if inode not in made:
            os.makedirs(folder, exist_ok=True)
            path = os.path.join(os.fsencode(folder), b"linked-%d" % inode)
            copy_entry(entry, path)
            made[inode] = LayerEntry(path, os.lstat(path))
        return made[inode]

    return copied


def _inode(name: str) -> int:
    """Return the inode in a handle, for the file systems that can hold layers."""
    data = bytes.fromhex(name)
    kind, handle = data[_TYPE], data[_HEADER:]
    # ext4, xfs, f2fs: inode and generation.
    if kind == 1 and len(handle) == 8:
        return int.from_bytes(handle[:4], "little")
    # tmpfs: generation and inode.
    if kind == 1 and len(handle) == 12:
        return int.from_bytes(handle[4:], "little")
    # xfs with large inodes, and btrfs: inode first.
    if kind in (0x81, 0x4D):
        return int.from_bytes(handle[:8], "little")
    raise KatasError(
        f"the file system's handles have an unknown form (type {kind}), which layers need to keep "
        "hard links; use katas-data-container"
    )
