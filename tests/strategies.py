"""Hypothesis strategies for whatever a tree on Linux may hold, and a way to plant such a tree on a disk.

    @given(trees())
    def test_my_transport_is_exact(tree):
        with planted(tree) as folder:
            ...

A tree is a value, `Mapping[bytes, Planned]`, so that Hypothesis shrinks it and prints the smallest that fails.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from harness.disk import remove_tree
from harness.tree import Entry

on_disk = settings(max_examples=20, deadline=None)
"""For a property whose examples touch a disk: fewer of them, and no deadline that a busy machine could miss."""

SECOND = 10**9
FIRST_STAMP = (1 - 2**31) * SECOND
LAST_STAMP = 15_032_385_535 * SECOND - 1
"""December 1901 to May 2446, in nanoseconds: what ext4 holds exactly, as do tmpfs and btrfs."""

AWKWARD_NAMES = (
    b"-",
    b"--",
    b"-rf",
    b"--help",
    b"-C..",
    b"@file",
    b"...",
    b".hidden",
    b".git",
    b" ",
    b" padded ",
    b"two words",
    b"\n",
    b"two\nlines",
    b"\t",
    b"\r",
    b"\x01\x1b[31m\x7f",
    b"'",
    b'"',
    b"\\",
    b"\\n",
    b"\\055",
    b"`$(reboot)`",
    b"$HOME",
    b"*",
    b"?",
    b"[a-z]",
    b"{a,b}",
    b"~",
    b"#",
    b"%s",
    b"a&b;c|d>e",
    b"=",
    b":",
    "\u00e9\u4e2d\U0001f600".encode(),
    b"\xff\xfe",
    b"half \xc3",
    b"lock",
    b"sandbox",
    b"x" * 255,
)
"""Names that have broken somebody's script; Linux allows all but the empty one, `.` and `..`."""

AWKWARD_STAMPS = (
    FIRST_STAMP,
    -SECOND - 1,
    -SECOND,
    -SECOND // 2,
    -1,
    0,
    1,
    SECOND - 1,
    1_500_000_000_123_456_789,
    2**31 * SECOND - 1,
    2**31 * SECOND,
    2**32 * SECOND,
    LAST_STAMP,
)
"""Stamps at which seconds, their sign or their size change; floats cannot hold most of them."""


@dataclass(frozen=True)
class Planned:
    """One entry of a tree that is to be planted."""

    kind: str  # "f", "d", "l" or "p", the letters that find prints
    mode: int = 0o644
    mtime_ns: int = 0
    content: bytes = b""  # of a file; of a symlink, where it points
    hole: int = 0  # bytes before the content that were never written
    twin: bytes = b""  # for one more hard link: the path of the file, which comes earlier in order of path


Tree: TypeAlias = Mapping[bytes, Planned]
"""Path to entry, every folder on the way and the tree itself (b".") included."""


def names() -> SearchStrategy[bytes]:
    """Names of a file, of every kind that Linux allows."""
    arbitrary = st.binary(min_size=1, max_size=8).map(_without_separators)
    return (st.sampled_from(AWKWARD_NAMES) | arbitrary).filter(lambda name: name not in (b".", b".."))


def paths(*, depth: int = 3) -> SearchStrategy[bytes]:
    """Paths of at most this many names, relative to a tree."""
    return st.lists(names(), min_size=1, max_size=depth).map(b"/".join)


def stamps() -> SearchStrategy[int]:
    """Nanoseconds since 1970, all of which common file systems hold exactly."""
    return st.sampled_from(AWKWARD_STAMPS) | st.integers(FIRST_STAMP, LAST_STAMP)


def modes() -> SearchStrategy[int]:
    """Permissions, from none at all to set-id and sticky bits; whoever is not root can at least read."""
    any_mode = st.sampled_from((0, 0o644, 0o755, 0o7777)) | st.integers(0, 0o7777)
    return any_mode if os.geteuid() == 0 else any_mode.map(lambda mode: mode | 0o500)


def contents() -> SearchStrategy[bytes]:
    """Of files: nothing, text, any bytes, and the zeros that look like the end of an archive."""
    zeros = tuple(bytes(size) for size in (1, 511, 512, 1024, 4096, 10_240))
    return st.sampled_from((b"", b"text\n", b"#!/bin/sh\n", b"\xff\0\r\n", *zeros)) | st.binary(max_size=64)


@st.composite
def trees(draw: DrawFn, *, size: int = 6) -> Tree:
    """Trees of at most this many leaves: files (sparse and linked ones too), folders, symlinks and fifos."""
    leaves = draw(st.lists(paths(), max_size=size, unique=True))
    folders = {b"."} | {path[:at] for path in leaves for at, byte in enumerate(path) if byte == ord("/")}
    tree = {path: draw(_folders()) for path in sorted(folders)}
    tree |= {path: draw(_leaves()) for path in sorted(leaves) if path not in folders}
    files = sorted(path for path, entry in tree.items() if entry.kind == "f")
    if len(files) > 1 and draw(st.booleans()):
        first, second = sorted(draw(st.permutations(files))[:2])
        tree[second] = replace(tree[first], twin=first)
    return tree


@st.composite
def visible_files(draw: DrawFn, *, size: int = 6) -> dict[bytes, bytes]:
    """Names and contents of visible files; none is a file and a folder at once."""
    found = draw(st.dictionaries(paths(), contents(), max_size=size))
    return {
        name: content
        for name, content in found.items()
        if not any(other.startswith(name + b"/") for other in found)
    }


def plant(tree: Tree, folder: str | os.PathLike[str]) -> None:
    """Make the tree in an empty folder, exact to the nanosecond. Raises OSError."""
    root = os.fsencode(folder)
    for path, entry in sorted(tree.items(), key=lambda item: (bool(item[1].twin), item[0])):
        _make(os.path.join(root, path), entry, twin=os.path.join(root, entry.twin))
    # From the bottom up: what is made in a folder moves its stamp, and a mode may lock it.
    for path, entry in sorted(tree.items(), key=lambda item: _depth(item[0]), reverse=True):
        full = os.path.join(root, path)
        if entry.kind != "l":
            os.chmod(full, entry.mode)
        os.utime(full, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)


@contextmanager
def planted(tree: Tree) -> Iterator[str]:
    """A temporary folder in which the tree is; its own parent is empty but for it."""
    with scratch() as folder:
        root = os.path.join(folder, "tree")
        os.mkdir(root)
        plant(tree, root)
        yield root


@contextmanager
def scratch(disk: str | None = None) -> Iterator[str]:
    """A temporary folder, on a disk of your choice, that is removed whatever modes are in it: one for each
    example of a property.
    """
    folder = tempfile.mkdtemp(prefix="harness-test-", dir=disk)
    try:
        yield folder
    finally:
        remove_tree(folder)


def expected(tree: Tree) -> dict[bytes, Entry]:
    """The snapshot, with contents, that is to be taken of the tree once it was planted."""
    linked = {entry.twin for entry in tree.values()}
    return {
        path: Entry(
            kind=entry.kind,
            mode=0o777 if entry.kind == "l" else entry.mode,
            size=entry.hole + len(entry.content) if entry.kind == "f" else 0,
            mtime_ns=entry.mtime_ns,
            target=entry.content if entry.kind == "l" else b"",
            digest=_digest(entry) if entry.kind == "f" else "",
            link=path if path in linked else entry.twin,
        )
        for path, entry in tree.items()
    }


def _folders() -> SearchStrategy[Planned]:
    return st.builds(Planned, kind=st.just("d"), mode=modes(), mtime_ns=stamps())


def _leaves() -> SearchStrategy[Planned]:
    holes = st.sampled_from((0, 0, 0, 4096, 1 << 20))
    files = st.builds(
        Planned, kind=st.just("f"), mode=modes(), mtime_ns=stamps(), content=contents(), hole=holes
    )
    symlinks = st.builds(Planned, kind=st.just("l"), mtime_ns=stamps(), content=_targets())
    fifos = st.builds(Planned, kind=st.just("p"), mode=modes(), mtime_ns=stamps())
    return files | files | _folders() | symlinks | fifos


def _targets() -> SearchStrategy[bytes]:
    return paths() | st.sampled_from((b".", b"..", b"../..", b"/", b"/etc/passwd", b"a//b"))


def _without_separators(name: bytes) -> bytes:
    return name.replace(b"\0", b"\x01").replace(b"/", b"|")


def _depth(path: bytes) -> int:
    return 0 if path == b"." else 1 + path.count(b"/")


def _make(path: bytes, entry: Planned, twin: bytes) -> None:
    if entry.twin:
        os.link(twin, path)
    elif entry.kind == "d":
        os.makedirs(path, exist_ok=True)
    elif entry.kind == "l":
        os.symlink(entry.content, path)
    elif entry.kind == "p":
        os.mkfifo(path)
    else:
        with open(path, "xb") as file:
            file.truncate(entry.hole)
            file.seek(entry.hole)
            file.write(entry.content)


def _digest(entry: Planned) -> str:
    return hashlib.sha256(bytes(entry.hole) + entry.content).hexdigest()
