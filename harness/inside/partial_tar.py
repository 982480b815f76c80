"""A tar stream of some entries of a sandbox, read through descriptors.

tar itself would look up each whole path, and a team mate's run could have replaced a folder in it
by a symlink.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterable

from harness.inside.disk import open_file
from harness.inside.errors import StreamCut
from harness.inside.layout import printable_name, split_name
from harness.inside.sandbox_folders import Folders, sandbox_folders
from harness.inside.tarpipe import BLOCK, CHUNK, END, Write


def pick(sandbox: str, paths: Iterable[bytes], write: Write) -> int:
    """Pack these entries, without the contents of folders; return the number of bytes.

    Raises OSError, and StreamCut if an entry is gone.
    """
    waiting = bytearray()
    count = 0
    with sandbox_folders(sandbox) as folders:
        for path in paths:
            for piece in _member(folders, path):
                waiting += piece
                if len(waiting) >= CHUNK:
                    count += _flush(waiting, write)
    waiting += END
    return count + _flush(waiting, write)


def _member(folders: Folders, path: bytes) -> Iterable[bytes]:
    """Yield the header and the content of one entry."""
    *parts, last = [b"."] if path == b"." else split_name(path)
    folder = folders.find(parts)
    if folder is None:
        raise StreamCut(f"{printable_name(path)} has gone")
    status = os.lstat(last, dir_fd=folder)
    if stat.S_ISDIR(status.st_mode):
        yield _header(path, status, tarfile.DIRTYPE)
    elif stat.S_ISLNK(status.st_mode):
        yield _header(path, status, tarfile.SYMTYPE, target=os.readlink(last, dir_fd=folder))
    else:
        file = open_file(last, parent=folder)
        try:
            status = os.fstat(file)
            yield _header(path, status, tarfile.REGTYPE, size=status.st_size)
            left = status.st_size
            while left:
                piece = os.read(file, min(left, CHUNK))
                if not piece:
                    raise StreamCut(f"{printable_name(path)} became shorter while it was read")
                left -= len(piece)
                yield piece
            yield bytes(-status.st_size % BLOCK)
        finally:
            os.close(file)


def _header(
    path: bytes, status: os.stat_result, kind: bytes, *, size: int = 0, target: bytes = b""
) -> bytes:
    header = tarfile.TarInfo(os.fsdecode(b"./" + path))
    header.type, header.mode, header.size = kind, stat.S_IMODE(status.st_mode), size
    header.linkname = os.fsdecode(target)
    header.uid, header.gid = status.st_uid, status.st_gid
    seconds, nanoseconds = divmod(abs(status.st_mtime_ns), 10**9)
    sign = "-" * (status.st_mtime_ns < 0)
    # The stamps of tarfile itself are floats.
    header.pax_headers = {"mtime": f"{sign}{seconds}.{nanoseconds:09}"}
    return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _flush(waiting: bytearray, write: Write) -> int:
    write(bytes(waiting))
    count = len(waiting)
    waiting.clear()
    return count
