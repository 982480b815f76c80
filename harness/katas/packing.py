"""The visible files as a tar stream, made from memory: what is written only to be read once needs no folder."""

from __future__ import annotations

import functools
import os
import tarfile
from collections.abc import Mapping

from harness.katas.visible import LINK, VisibleFile, folders_of
from harness.tarpipe import BLOCK, CHUNK, Write

END = bytes(2 * BLOCK)
"""The two zero blocks that end an archive."""


def pack(files: Mapping[bytes, VisibleFile], write: Write, *, stamp: int) -> int:
    """Pack the files and the folders above them, all stamped with the same nanosecond since 1970; returns the
    bytes written. Raises UsageError for a file that has gone.
    """
    count = 0

    def put(data: bytes) -> None:
        nonlocal count
        write(data)
        count += len(data)

    # Of everything that follows: tarfile's own stamps are floats, and no whole second is new enough for make.
    seconds, nanoseconds = divmod(stamp, 10**9)
    put(tarfile.TarInfo.create_pax_global_header({"mtime": f"{seconds}.{nanoseconds:09}"}))
    # A folder next to all that is in it: tar stamps it when it comes to something else.
    for name in sorted(files.keys() | folders_of(files), key=lambda name: name.split(b"/")):
        file = files.get(name)
        if file is None:
            put(_header(name, tarfile.DIRTYPE, 0o755))
            continue
        content = file.read()
        if file.mode == LINK:
            put(_header(name, tarfile.SYMTYPE, 0o777, target=content))
            continue
        put(_header(name, tarfile.REGTYPE, file.mode & 0o777, size=len(content)))
        for start in range(0, len(content), CHUNK):
            put(content[start : start + CHUNK])
        put(bytes(-len(content) % BLOCK))
    put(END)
    return count


@functools.lru_cache(maxsize=1 << 12)  # of a tree that is sent again and again, most are the same
def _header(name: bytes, kind: bytes, mode: int, *, size: int = 0, target: bytes = b"") -> bytes:
    header = tarfile.TarInfo(os.fsdecode(b"./" + name))
    header.type, header.mode, header.size, header.linkname = kind, mode, size, os.fsdecode(target)
    return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
