"""Hypothesis strategies for anything that a tree on Linux may hold, and for players and their runs.

    @given(trees())
    def test_my_transport_is_exact(tree):
        with planted(tree) as folder:
            ...

`planted` and the like are in `harness.verify.testing.planting`. Everything shrinks towards the
ordinary: a file named `a`, of mode 644, from the first second of 1970.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from harness.inside.layout import is_git_folder
from harness.verify.testing.planting import Planned, Tree
from harness.verify.testing.sessions import (
    APPEND,
    FOLDER,
    HARD,
    LINKS,
    MODE,
    MOVE,
    REMOVE,
    RENAME,
    SPARSE,
    TOUCH,
    WRITE,
    Change,
    Press,
)

SECOND = 10**9
FIRST_STAMP = (1 - 2**31) * SECOND
LAST_STAMP = 15_032_385_535 * SECOND - 1
"""December 1901 to May 2446, in nanoseconds: what ext4 holds exactly, as do tmpfs and btrfs."""

ORDINARY_NAMES = (b"a", b"b", b"c")

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
"""Names that have broken scripts; Linux allows all names but the empty one, `.` and `..`."""

AWKWARD_STAMPS = (
    0,
    1,
    SECOND - 1,
    -1,
    -SECOND // 2,
    -SECOND,
    -SECOND - 1,
    FIRST_STAMP,
    1_500_000_000_123_456_789,
    2**31 * SECOND - 1,
    2**31 * SECOND,
    2**32 * SECOND,
    LAST_STAMP,
)
"""Stamps at which seconds, their sign or their size change; floats cannot hold most of them."""


def file_names() -> SearchStrategy[bytes]:
    """File names of every kind that Linux allows."""
    arbitrary = st.binary(min_size=1, max_size=8).map(_possible)
    return st.sampled_from(ORDINARY_NAMES) | st.sampled_from(AWKWARD_NAMES) | arbitrary


def paths(*, depth: int = 3) -> SearchStrategy[bytes]:
    """Paths of at most this many names, relative to a tree."""
    return st.lists(file_names(), min_size=1, max_size=depth).map(b"/".join)


def stamps() -> SearchStrategy[int]:
    """Nanoseconds since 1970, all of which common file systems hold exactly."""
    return st.sampled_from(AWKWARD_STAMPS) | st.integers(FIRST_STAMP, LAST_STAMP)


def modes(*, readable: bool = False) -> SearchStrategy[int]:
    """Permissions, from none to set-id and sticky bits; `readable`: owners can read and enter."""
    any_mode = st.sampled_from((0o644, 0o755, 0, 0o7777)) | st.integers(0, 0o7777)
    return any_mode.map(lambda mode: mode | 0o500) if readable else any_mode


def contents() -> SearchStrategy[bytes]:
    """Contents of files: none, text, any bytes, and zeros that look like the end of an archive."""
    zeros = tuple(bytes(size) for size in (1, 511, 512, 1024, 4096, 10_240))
    return st.sampled_from((b"", b"text\n", b"#!/bin/sh\n", b"\xff\0\r\n", *zeros)) | st.binary(
        max_size=64
    )


def trees(*, size: int = 6, readable: bool | None = None) -> SearchStrategy[Tree]:
    """Trees of at most `size` leaves: files (sparse and linked too), folders, symlinks, fifos.

    If `readable`, their owner can read everything. None means so, unless this process is root's,
    whom no mode stops.
    """
    if readable is None:
        readable = os.geteuid() != 0
    twins = st.none() | st.integers(0, size)
    # A leaf brings the folders on its way, so that to leave it out is one step for Hypothesis.
    leaves = st.tuples(paths(), _leaves(readable), _folders(readable), twins)
    return st.builds(
        _grow, _folders(readable), st.lists(leaves, max_size=size, unique_by=itemgetter(0))
    )


@st.composite
def visible_files(draw: DrawFn, *, size: int = 6) -> dict[bytes, bytes]:
    """Names and contents of visible files, without names that are also folders, or git's own."""
    found = draw(st.dictionaries(paths(), contents(), max_size=size))
    return {
        name: content
        for name, content in found.items()
        if not any(other.startswith(name + b"/") for other in found)
        and not any(map(is_git_folder, name.split(b"/")))
    }


def several(one: SearchStrategy[Any], *, most: int = 12) -> SearchStrategy[list[Any]]:
    """Examples side by side: nearly always `most`, and one in order to shrink what fails."""
    return st.sampled_from((1, *[most] * 7)).flatmap(
        lambda count: st.lists(one, min_size=count, max_size=count)
    )


PLACES = (b"a", b"b", b"a/x", b"a/x/z", b"-c d/\xff")
"""Few, and inside each other, so that something is soon in the way."""

DATES = (b"2191-02-03 04:05:06.987654321", b"+1 hour", b"1999-12-31 23:59:59.123456789")
"""Dates for `touch` in a run; two are ahead of the clock."""

DEEP = b"/".join([b"d" * 200] * 12)
"""A path near the limits of length."""


def _edits() -> SearchStrategy[Change]:
    """What a player does with visible files; folders are empty ones."""
    return changes(WRITE, REMOVE, MOVE, LINKS, FOLDER, MODE, RENAME)


def deeds() -> SearchStrategy[Change]:
    """What a run does in its sandbox; *renames* covers `rename(2)` of folders."""
    return changes(WRITE, REMOVE, MOVE, LINKS, FOLDER, HARD, APPEND, SPARSE, TOUCH, MODE)


def sessions(*, length: int = 4) -> SearchStrategy[list[Press]]:
    """At most `length` test events of one player, each with edits before it and deeds in it."""
    some = st.builds(Press, st.lists(_edits(), max_size=4), st.lists(deeds(), max_size=4))
    return st.lists(some, min_size=1, max_size=length)


def changes(*verbs: str) -> SearchStrategy[Change]:
    """Changes of these kinds."""
    others = {
        WRITE: st.sampled_from((b"", b"1\n", b"22\n")),
        LINKS: st.sampled_from((b"a", b"b", b"nowhere")),
        MOVE: st.sampled_from(PLACES),
        RENAME: st.sampled_from(PLACES),
        HARD: st.sampled_from(PLACES),
        APPEND: st.just(b"more\n"),
        SPARSE: st.just(b"end\n"),
        TOUCH: st.sampled_from(DATES),
        MODE: st.sampled_from((b"755", b"600", b"4711")),
    }
    nothing = st.just(b"")
    return st.sampled_from(verbs).flatmap(
        lambda verb: st.builds(
            Change, st.just(verb), st.sampled_from(PLACES), others.get(verb, nothing)
        )
    )


Leaf: TypeAlias = tuple[bytes, Planned, Planned, int | None]
"""A path, its entry, the folders on the way, and which earlier file it is another link to."""


def _grow(root: Planned, leaves: Sequence[Leaf]) -> Tree:
    tree = {b".": root}
    for path, _, folder, _ in leaves:
        for end, byte in enumerate(path):
            if byte == ord("/"):
                tree.setdefault(path[:end], folder)
    files: list[bytes] = []
    for path, entry, _, twin in sorted(leaves, key=itemgetter(0)):
        if path in tree:
            continue
        tree[path] = entry
        if entry.kind == "f" and twin is not None and files:
            first = files[twin % len(files)]
            tree[path] = replace(tree[first], twin=first)
        elif entry.kind == "f":
            files.append(path)
    return tree


def _folders(readable: bool) -> SearchStrategy[Planned]:
    return st.builds(Planned, kind=st.just("d"), mode=modes(readable=readable), mtime_ns=stamps())


def _leaves(readable: bool) -> SearchStrategy[Planned]:
    holes = st.sampled_from((0, 0, 0, 4096, 1 << 20))
    files = st.builds(
        Planned,
        kind=st.just("f"),
        mode=modes(readable=readable),
        mtime_ns=stamps(),
        content=contents(),
        hole=holes,
    )
    symlinks = st.builds(Planned, kind=st.just("l"), mtime_ns=stamps(), content=_targets())
    fifos = st.builds(Planned, kind=st.just("p"), mode=modes(readable=readable), mtime_ns=stamps())
    return files | files | _folders(readable) | symlinks | fifos


def _targets() -> SearchStrategy[bytes]:
    """Targets without real folders outside: following one by mistake would carry a whole disk."""
    # The first one is the simplest, so that a counterexample never ends with an odd target.
    return (
        st.sampled_from((b"a", b"../nowhere", b"../../nowhere", b"/nowhere", b"/dev/null", b"a//b"))
        | paths()
    )


def _possible(name: bytes) -> bytes:
    """Make any bytes a possible name."""
    return b"dots" if name in (b".", b"..") else name.replace(b"\0", b"\x01").replace(b"/", b"|")
