"""Planned trees: values for Hypothesis, how to put them on a disk, and what must be found there.

A tree is a value, `Mapping[bytes, Planned]`, so that the smallest failing tree can be printed.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from harness.inside.disk import remove_tree
from harness.inside.tree import Entry


@dataclass(frozen=True)
class Planned:
    """One entry of a tree to plant."""

    kind: str
    """"f", "d", "l" or "p", the letters that find prints."""
    mode: int = 0o644
    """Permissions, with set-id and sticky bits."""
    mtime_ns: int = 0
    """Nanoseconds since 1970."""
    content: bytes = b""
    """Of a file; the target of a symlink."""
    hole: int = 0
    """Bytes before the content that were never written."""
    twin: bytes = b""
    """For another hard link: the path of the file, which is earlier in order of path."""


Tree: TypeAlias = Mapping[bytes, Planned]
"""Path to entry, with every folder on the way and the tree itself (b".")."""


def plant(tree: Tree, folder: str | os.PathLike[str]) -> None:
    """Make the tree in an empty folder, exact to the nanosecond. Raises OSError."""
    root = os.fsencode(folder)
    for path, entry in sorted(tree.items(), key=lambda item: (bool(item[1].twin), item[0])):
        _make(os.path.join(root, path), entry, twin=os.path.join(root, entry.twin))
    for path, entry in _upwards(tree):
        full = os.path.join(root, path)
        if entry.kind != "l":
            os.chmod(full, entry.mode)
        os.utime(full, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)


def recipe(tree: Tree, folder: bytes) -> bytes:
    """Return a shell script that makes the tree in a new folder.

    It needs a shell and GNU coreutils, and no tar, so that tar can be checked against it.
    """
    lines = []

    def line(*words: bytes) -> None:
        lines.append(b" ".join(words))

    for path, entry in sorted(tree.items(), key=lambda item: (bool(item[1].twin), _depth(item[0]))):
        full = quote(_below(folder, path))
        if entry.twin:
            line(b"ln", quote(_below(folder, entry.twin)), full)
        elif entry.kind == "d":
            line(b"mkdir", full)
        elif entry.kind == "l":
            line(b"ln -s --", quote(entry.content), full)
        elif entry.kind == "p":
            line(b"mkfifo", full)
        else:
            if entry.hole:
                line(b"truncate --size=%d" % entry.hole, full)
            octal = b"".join(b"\\%03o" % byte for byte in entry.content)
            line(b"printf '" + octal + b"' >>" + full)
    for path, entry in _upwards(tree):
        full = quote(_below(folder, path))
        if entry.kind != "l":
            line(b"chmod %04o" % entry.mode, full)
        line(b"touch --no-dereference --date=@" + decimal(entry.mtime_ns).encode(), full)
    return b" &&\n".join(lines) + b"\n"


def quote(word: bytes) -> bytes:
    """Quote any bytes as one word for a shell."""
    return os.fsencode(shlex.quote(os.fsdecode(word)))


def decimal(nanoseconds: int) -> str:
    """Return exact seconds, as touch takes them: half a second before 1970 is -0.500000000."""
    return f"{'-' * (nanoseconds < 0)}{abs(nanoseconds) // 10**9}.{abs(nanoseconds) % 10**9:09d}"


@contextmanager
def planted(tree: Tree) -> Iterator[str]:
    """Plant the tree in a temporary folder, whose parent holds nothing else."""
    with scratch_folder() as folder:
        root = os.path.join(folder, "tree")
        os.mkdir(root)
        plant(tree, root)
        yield root


@contextmanager
def scratch_folder(disk: str | None = None) -> Iterator[str]:
    """Make a temporary folder, on a disk of your choice, for one example of a property.

    It is removed afterwards, whatever modes are in it.
    """
    folder = tempfile.mkdtemp(prefix="harness-test-", dir=disk)
    try:
        yield folder
    finally:
        remove_tree(folder)


def expected(tree: Tree) -> dict[bytes, Entry]:
    """Return the snapshot, with contents, that must be taken of the planted tree."""
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


def _upwards(tree: Tree) -> list[tuple[bytes, Planned]]:
    """Return the entries, deepest first: an entry moves its folder's stamp, a mode may lock it."""
    return sorted(tree.items(), key=lambda item: _depth(item[0]), reverse=True)


def _below(folder: bytes, path: bytes) -> bytes:
    return b"./" + folder if path == b"." else b"./" + folder + b"/" + path


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
