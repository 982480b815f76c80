"""Keeping a history small: now and then what its test events left, some four objects and a tag each in files of their own, goes
into one pack, and the tags into packed-refs; what git reads, it reads after any step.

First all is written a second time, on the disk for sure, beside test events; then, with the avatar's lock, the files are
removed, which takes milliseconds. A pack that is not much larger than those that came after it is merged with them, so that
there are few: each object is copied some ten times in a history of thousands.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.inside import objects, packs, refs
from harness.inside.disk import sync_folder
from harness.inside.errors import KatasError
from harness.inside.layout import HISTORY
from harness.inside.locks import locked, packing

EVERY = 50
"""Test events after which a history is packed: the files of so many take a megabyte, and packing them a tenth of a second."""

_DEEPEST = 50
"""The longest chain of differences, as in git."""

SMALL = 1 << 20
"""Bytes of an object that is held in memory, to be compared."""

OF_SOMEBODY = (".keep", ".promisor", ".bitmap", ".mtimes")
"""Endings of what stands beside a pack that somebody else has plans for."""

STRAY = re.compile(r"(pack-[0-9a-f]{40})\.idx")


@dataclass(frozen=True)
class Sizes:
    """What histories take of the disk, in bytes of its blocks, before they were packed and after."""

    before: int = 0
    after: int = 0

    def __add__(self, other: Sizes) -> Sizes:
        return Sizes(self.before + other.before, self.after + other.after)


def due(history: str) -> bool:
    """Whether there is enough to be packed. Raises OSError."""
    return len(refs.loose_tags(history)) >= EVERY


def repack(avatar: str) -> None:
    """Pack the history of the avatar in this folder, beside test events of it. Raises OSError and KatasError; what was not
    done yet is done the next time.
    """
    history = os.path.join(avatar, HISTORY)
    with packing(avatar):
        names = objects.loose(history)
        merged = _write(history, names - packs.holding(history, names))
        moved = refs.pack_tags(history, refs.loose_tags(history))
        with locked(avatar):
            objects.remove_objects(history, packs.holding(history, names))
            for pack in merged:
                for ending in (".idx", ".rev", ".pack"):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(pack + ending)
            refs.drop_tags(history, moved)


def repack_in_time(avatar: str) -> None:
    """The same where nobody waits for it, to be told what goes wrong: the next time it is tried again."""
    with contextlib.suppress(OSError, KatasError):
        repack(avatar)


def tidy(avatar: str) -> Sizes:
    """The same, and what it gained."""
    history = os.path.join(avatar, HISTORY)
    before = objects.blocks(history)
    repack(avatar)
    return Sizes(before, objects.blocks(history))


def _write(history: str, names: set[str]) -> list[str]:
    """Write these objects into a new pack, with those of packs that it makes superfluous, which are returned."""
    folder = packs.folder_of(history)
    if not os.path.isdir(folder):
        os.makedirs(folder, exist_ok=True)
        sync_folder(os.path.dirname(folder))
    making, index = (os.path.join(folder, name) for name in ("tmp_pack_harness", "tmp_idx_harness"))
    _clear(folder, making, index)
    merged = _superfluous(history, len(names))
    if not names and len(merged) < 2:
        return []
    try:
        with open(making, "w+b") as file:
            writer = packs.PackWriter(file)
            for pack in merged:
                writer.copy(pack)
            _Sorter(history, writer, names).add_all()
            if len(writer):
                made = writer.publish(folder, index)
                return [pack for pack in merged if pack != made]
    except ValueError as error:
        raise KatasError(
            f"a pack of {history} cannot be read ({error}); see `git fsck` in it"
        ) from error
    finally:
        _clear(folder, making, index)
    return []


def _clear(folder: str, *unfinished: str) -> None:
    """Remove what a crash left: files in the making, and an index whose pack was still to come."""
    strays = [os.path.join(folder, each) for each in os.listdir(folder) if STRAY.fullmatch(each)]
    for path in (
        *unfinished,
        *(each for each in strays if not os.path.exists(f"{each[:-4]}.pack")),
    ):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _superfluous(history: str, count: int) -> list[str]:
    """The packs to be merged into one of so many objects: the smallest, as long as the next has at most twice of them all."""
    if os.path.exists(os.path.join(packs.folder_of(history), "multi-pack-index")):
        return []
    found = []
    for pack in packs.complete_packs(history):
        if not any(os.path.exists(pack + ending) for ending in OF_SOMEBODY):
            with contextlib.suppress(ValueError):  # not one that is understood here
                found.append((pack, {each.name for each in packs.pack_entries(pack)}))
    merged: list[str] = []
    held: set[bytes] = set()
    for pack, names in sorted(found, key=lambda each: len(each[1])):
        if len(names) > 2 * (count + len(held)):
            break
        if held.isdisjoint(names):  # no pack may have an object twice
            merged.append(pack)
            held |= names
    return merged


class _Sorter:
    """Adds objects to a pack in the order of test events, each as it differs from what was there before."""

    def __init__(self, history: str, writer: packs.PackWriter, names: set[str]) -> None:
        self._history, self._writer, self._left = history, writer, set(names)
        self._before: dict[bytes, str] = {}  # by path in a commit
        self._depth: dict[str, int] = {}

    def add_all(self) -> None:
        for commit, tree in reversed(list(self._commits())):
            self._add(b"", tree)
            self._add(None, commit)
        for name in sorted(self._left):
            self._add(None, name)

    def _commits(self) -> Iterator[tuple[str, str]]:
        name = refs.read_reference(self._history, refs.BRANCH)
        while name in self._left and (content := self._content(name, "commit")):
            lines = content.split(b"\n")
            yield name, lines[0].removeprefix(b"tree ").decode()
            name = (
                lines[1].removeprefix(b"parent ").decode()
                if lines[1].startswith(b"parent ")
                else None
            )

    def _add(self, path: bytes | None, name: str) -> None:
        if name not in self._left:
            return
        self._left.discard(name)
        key = bytes.fromhex(name)
        # What is no object of that name stays as it is, for whoever mends it.
        with contextlib.suppress(ValueError, FileNotFoundError):
            with objects.opened(self._history, name) as (kind, size, pieces):
                if size > SMALL:
                    self._writer.add(key, kind, size, pieces)
                    return
                content = b"".join(pieces)
            base = self._before.get(path) if path is not None else None
            delta = self._difference(base, kind, name, content) if base else None
            if base and delta:
                self._writer.add_delta(key, bytes.fromhex(base), delta)
                self._depth[name] = self._depth.get(base, 0) + 1
            else:
                self._writer.add(key, kind, size, [content])
            if path is not None:
                self._before[path] = name
                if kind == "tree":
                    for last, child in _children(content):
                        self._add(path + b"/" + last, child)

    def _difference(self, base: str, kind: str, name: str, content: bytes) -> bytes | None:
        """None where it is not worth it, or what is there is not what its name says."""
        if self._depth.get(base, 0) >= _DEEPEST or (before := self._content(base, kind)) is None:
            return None
        head = f"{kind} {len(content)}\0".encode()
        if hashlib.sha1(head + content, usedforsecurity=False).hexdigest() != name:
            return None
        found = packs.delta_instructions(before, content)
        return found if 2 * len(found) < len(content) else None

    def _content(self, name: str, wanted: str) -> bytes | None:
        """Of one of this kind that is not large."""
        with (
            contextlib.suppress(ValueError, FileNotFoundError),
            objects.opened(self._history, name) as (kind, size, pieces),
        ):
            if kind == wanted and size <= SMALL:
                return b"".join(pieces)
        return None


def _children(tree: bytes) -> Iterator[tuple[bytes, str]]:
    """Names and ids of what a tree holds, but for other repositories."""
    start = 0
    while (end := tree.find(b"\0", start)) >= 0:
        mode, _, name = tree[start:end].partition(b" ")
        start = end + 1 + packs.NAME
        if mode != b"160000":
            yield name, tree[end + 1 : start].hex()
