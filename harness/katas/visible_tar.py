"""The visible files as a tar stream, made in memory instead of in a folder."""

from __future__ import annotations

import functools
import os
import tarfile
from collections.abc import Mapping

from harness.inside.tarpipe import BLOCK, END, Write
from harness.katas.visible import FOLDER, LINK, VisibleFile, parent_folders


def pack_visible(
    files: Mapping[bytes, VisibleFile], write: Write, *, stamps: Mapping[bytes, int]
) -> int:
    """Pack the files and the folders above them; return the number of bytes.

    `stamps` has the stamp of each file, in nanoseconds since 1970; folders get the newest of all.
    Raises UsageError for a file that is gone.
    """
    count = 0
    latest = max(stamps.values(), default=0)
    current: int | None = None

    def put(data: bytes) -> None:
        nonlocal count
        write(data)
        count += len(data)

    def stamp(mtime_ns: int) -> None:
        """Stamp everything that follows.

        tarfile's own stamps are floats, and whole seconds are too old for make.
        """
        nonlocal current
        if mtime_ns != current:
            current = mtime_ns
            seconds, nanoseconds = divmod(mtime_ns, 10**9)
            put(tarfile.TarInfo.create_pax_global_header({"mtime": f"{seconds}.{nanoseconds:09}"}))

    # A folder comes right before its contents: tar stamps it when it meets an entry elsewhere.
    for name in sorted(files.keys() | parent_folders(files), key=lambda name: name.split(b"/")):
        file = files.get(name)
        if file is None or file.mode == FOLDER:
            stamp(latest)
            put(_header(name, tarfile.DIRTYPE, 0o755))
            continue
        stamp(stamps[name])
        if file.mode == LINK:
            put(_header(name, tarfile.SYMTYPE, 0o777, target=file.read()))
            continue
        put(_header(name, tarfile.REGTYPE, file.mode & 0o777, size=file.size))
        for piece in file.pieces():
            put(piece)
        put(bytes(-file.size % BLOCK))
    put(END)
    return count


# When a tree is sent again and again, most headers are the same.
@functools.lru_cache(maxsize=1 << 12)
def _header(name: bytes, kind: bytes, mode: int, *, size: int = 0, target: bytes = b"") -> bytes:
    header = tarfile.TarInfo(os.fsdecode(b"./" + name))
    header.type, header.mode, header.size, header.linkname = kind, mode, size, os.fsdecode(target)
    return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
