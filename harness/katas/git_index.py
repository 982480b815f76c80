"""What git tracks in a folder, from git's index, and where its list of patterns lies.

Nothing else of the repository is read: its config may include any file, and a folder that somebody
else prepared may hold a named pipe or a device in the place of each.
"""

from __future__ import annotations

import errno
import hashlib
import os
from bisect import bisect_left
from io import BytesIO

from dulwich.index import read_index
from dulwich.object_format import SHA1, SHA256, ObjectFormat

from harness.inside.disk import open_file

GIT = b".git"
"""Git's folder in a work tree, or the file that names it."""

_INDEX_BYTES, _NAMES_BYTES = 256 << 20, 64 << 20
"""Bytes of an index at most, and of the names in it, which version 4 compresses."""

_LINK_BYTES = 8 << 10
"""Bytes at most of a file that names git's folder."""


def top_of_repository(folder: bytes) -> bytes | None:
    """Return the folder of the git repository that this folder is in; None if it is in none.

    A repository above it counts if it is this user's, or the folder's owner's: anybody may make a
    `.git` in /tmp. Git's `safe.directory` is for the same.
    """
    owners = {os.geteuid(), os.stat(folder).st_uid}
    top = folder
    while not os.path.lexists(os.path.join(top, GIT)):
        parent = os.path.dirname(top)
        if parent == top:
            return None
        top = parent
    if top != folder:
        path = os.path.join(top, GIT)
        is_one = os.path.isfile(path) or os.path.isfile(os.path.join(path, b"HEAD"))
        if not is_one or os.lstat(path).st_uid not in owners:
            return None
    return top


class Tracked:
    """The names that git tracks in a folder."""

    def __init__(self) -> None:
        self._names: list[bytes] = []

    def add(self, top: bytes, below: bytes, here: bytes = b"") -> None:
        """Add what the repository at `top` tracks in the folder `below` it.

        `here` is the path that this folder has among the names. An index that cannot be read adds
        nothing.
        """
        try:
            names = _names(os.path.join(_git_folder(top), b"index"))
        except Exception:  # dulwich raises many kinds for an index that is damaged
            return
        prefix, path = below + b"/" if below else b"", here + b"/" if here else b""
        self._names += [
            path + name.removeprefix(prefix) for name in names if name.startswith(prefix)
        ]
        self._names.sort()

    def __contains__(self, name: bytes) -> bool:
        """Whether this is the name of a file that git tracks, or of a folder that holds one."""
        return self._begins(name) == name or self._begins(name + b"/").startswith(name + b"/")

    def _begins(self, name: bytes) -> bytes:
        """Return the first name that does not come before this; empty if there is none."""
        place = bisect_left(self._names, name)
        return self._names[place] if place < len(self._names) else b""


def _git_folder(top: bytes) -> bytes:
    """Return git's folder, which a file names in a worktree and in a submodule."""
    path = os.path.join(top, GIT)
    if os.path.isdir(path):
        return path
    named = (
        read_regular(os.path.realpath(path), _LINK_BYTES).removeprefix(b"gitdir: ").rstrip(b"\n")
    )
    return os.path.join(top, named)


def exclude_file(top: bytes) -> bytes:
    """Return the path of `info/exclude`, the patterns of the repository at `top` alone.

    All work trees of a repository share it. It may be missing.
    """
    try:
        folder = _git_folder(top)
        common = os.path.realpath(os.path.join(folder, b"commondir"))
        shared = read_regular(common, _LINK_BYTES).rstrip(b"\n") if os.path.isfile(common) else b""
        return os.path.realpath(os.path.join(folder, shared, b"info/exclude"))
    except (OSError, ValueError):
        return os.path.join(top, GIT, b"info/exclude")


def _names(path: bytes, *, shared: bool = False) -> list[bytes]:
    """Return the names in an index.

    After `git update-index --split-index`, most names are in another index beside it, which the
    extension `link` names; dulwich does not read that. Raises ValueError, OSError and what dulwich
    raises.
    """
    content = read_regular(os.path.realpath(path), _INDEX_BYTES)
    ids = _format(content)
    index = BytesIO(content)
    names, left = [], _NAMES_BYTES
    for entry in read_index(index, ids):
        left -= len(entry.name)
        if left < 0:
            raise ValueError("the index holds too many names")
        names.append(entry.name)
    place, end = index.tell(), len(content) - ids.oid_length
    while place < end and not shared:
        if content[place : place + 4] == b"link":
            name = content[place + 8 : place + 8 + ids.oid_length].hex()
            beside = os.path.join(os.path.dirname(path), os.fsencode(f"sharedindex.{name}"))
            names += _names(beside, shared=True)
        place += 8 + int.from_bytes(content[place + 4 : place + 8])
    return names


def _format(content: bytes) -> ObjectFormat:
    """Return the format of ids, of which the checksum at the end is one; SHA-1 if there is none."""
    whole = hashlib.sha256(content[: -SHA256.oid_length]).digest()
    return SHA256 if content.endswith(whole) else SHA1


def read_regular(path: str | bytes, most: int, *, parent: int | None = None) -> bytes:
    """Return what a regular file of at most so many bytes holds; `parent` is its open folder.

    Raises OSError: EINVAL for anything else, symlinks included, and EFBIG for a larger file.
    """
    try:
        descriptor = open_file(path, parent=parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fsdecode(path)) from error
    with open(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size > most:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), os.fsdecode(path))
        return file.read(most)
