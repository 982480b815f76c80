"""Files of several names in layers: what a run writes to one of them it writes to all.

The kernel copies a file of a layer below when a run changes it, and gives the copy the one name that was used. With its index
(Documentation/filesystems/overlayfs.rst, "index") it keeps each such copy in the work folder as well, where the run finds it by
any of the names; so it only has to be given these names when the run has ended, and a run that leaves such files alone costs
nothing. Who mounts without the right to open files by handle gets no index: there they are copied before each run; and so is
everywhere what is no regular file, which cannot carry the marks of an index.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from harness.inside.errors import KatasError
from harness.inside.layers import LayerEntry, copy_entry, is_whiteout

_INDEX = "index"
"""The kernel's folder in the work folder."""

_HEADER = 21
"""Bytes before the file's handle in the name of an entry: version, magic number, length, flags, type and UUID (struct ovl_fb)."""

TYPE = 4
"""Where the type of the handle is in it."""


def indexed(work: str) -> dict[int, LayerEntry] | None:
    """The copies in the index of a mount with this work folder, each by the inode that it was copied from; None where the kernel
    keeps none. Raises OSError, and KatasError for a file system whose handles are not known here.
    """
    folder = os.path.join(os.fsencode(work), os.fsencode(_INDEX))
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return None
    found = {}
    for name in names:
        path = os.path.join(folder, name)
        status = os.lstat(path)
        if not is_whiteout(status):
            found[_inode(name.decode())] = LayerEntry(path, status)
    return found


def copies(folder: str, *, only: int | None = None) -> Callable[[LayerEntry], LayerEntry | None]:
    """Makes a copy in this folder, which need not exist, of each file that it is called with, once; or of one inode only. Raises
    OSError.
    """
    made: dict[int, LayerEntry] = {}

    def copied(found: LayerEntry) -> LayerEntry | None:
        inode = found.status.st_ino
        if only not in (None, inode):
            return None
        if inode not in made:
            os.makedirs(folder, exist_ok=True)
            path = os.path.join(os.fsencode(folder), b"linked-%d" % inode)
            copy_entry(found, path)
            made[inode] = LayerEntry(path, os.lstat(path))
        return made[inode]

    return copied


def _inode(name: str) -> int:
    """The inode of a handle, as the file systems that can hold layers put it there."""
    data = bytes.fromhex(name)
    kind, handle = data[TYPE], data[_HEADER:]
    if kind == 1 and len(handle) == 8:  # ext4, xfs, f2fs: inode and generation
        return int.from_bytes(handle[:4], "little")
    if kind == 1 and len(handle) == 12:  # tmpfs: generation and inode
        return int.from_bytes(handle[4:], "little")
    if kind in (0x81, 0x4D):  # xfs with large inodes, btrfs
        return int.from_bytes(handle[:8], "little")
    raise KatasError(
        f"the file system's handles (type {kind}) are not known, by which hard links are kept; take katas-data-container"
    )
