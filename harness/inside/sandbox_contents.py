"""What a sandbox holds at the names of visible files."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping

from harness.inside.delta import feed, same_kind, stamped
from harness.inside.layout import split_name
from harness.inside.sandbox_folders import sandbox_folders
from harness.inside.sent_record import Record, Sent


def still_there(sandbox: str, sent: Record) -> set[bytes]:
    """Return the names where the sandbox still holds the kind of file that was sent."""
    names = set()
    with sandbox_folders(sandbox) as folders:
        for name, file in sent.items():
            status = folders.look(split_name(name))
            if status is not None and same_kind(file.mode, status):
                names.add(name)
    return names


def stamp_of(sandbox: str, name: bytes, mode: int) -> int | None:
    """Return the mtime at this name, in nanoseconds; None if no file of this git mode is there."""
    with sandbox_folders(sandbox) as folders:
        status = folders.look(split_name(name))
    return status.st_mtime_ns if status is not None and same_kind(mode, status) else None


def survey(sandbox: str, names: Iterable[bytes]) -> dict[bytes, Sent]:
    """Return what the sandbox holds at these names, as if the player had sent it.

    Names where there is no file are left out.
    """
    record = {}
    with sandbox_folders(sandbox) as folders:
        for name in names:
            *parts, last = split_name(name)
            folder = folders.find(parts)
            if folder is not None:
                # An OSError means that nothing is there.
                with contextlib.suppress(OSError):
                    stamp = os.stat(last, dir_fd=folder, follow_symlinks=False).st_mtime_ns
                    if file := stamped(folder, last):
                        record[name] = Sent(file.mode, file.blob, stamp)
    return record


def digests(sandbox: str, sizes: Mapping[bytes, int]) -> dict[bytes, str]:
    """Return the BLAKE2b of each file, as b2sum prints it.

    Files that cannot be read, or whose size is not the one given, are left out; so no more is read
    than the caller expects.
    """
    by_name = {}
    with sandbox_folders(sandbox) as folders:
        for name, size in sizes.items():
            *parts, last = split_name(name)
            folder = folders.find(parts)
            if folder is None:
                continue
            with contextlib.suppress(OSError):
                digest = hashlib.new("blake2b")
                if feed(digest, folder, last, size):
                    by_name[name] = digest.hexdigest()
    return by_name
