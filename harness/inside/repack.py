"""Keeps a history small by packing it from time to time; git can read it after any step.

Each test event leaves about four loose objects and a loose tag. The objects go into one pack, and
the tags into packed-refs. First, everything is written a second time and forced to the disk, while
test events may go on; then the loose files are removed under the avatar's lock, which takes
milliseconds. A pack that is not much larger than those that came after it is merged with them, so
that packs stay few: in a history of thousands, each object is copied about ten times.
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
"""How many test events pass until a history is packed.

The loose files of so many take a megabyte, and packing them takes a tenth of a second.
"""

_DEEPEST = 50
"""The longest chain of deltas, as in git."""

SMALL = 1 << 20
"""Bytes of the largest object that is held in memory to compute a delta."""

_NOT_MERGED = (".keep", ".promisor", ".bitmap", ".mtimes")
"""Extensions of files beside a pack that say that it must not be merged."""

_INDEX = re.compile(r"(pack-[0-9a-f]{40})\.idx")


@dataclass(frozen=True)
class Sizes:
    """Disk space of histories before and after packing."""

    before: int = 0
    """Bytes of disk blocks before packing."""
    after: int = 0
    """Bytes of disk blocks after packing."""

    def __add__(self, other: Sizes) -> Sizes:
        return Sizes(self.before + other.before, self.after + other.after)


def due(history: str) -> bool:
    """Return whether there is enough to pack. Raises OSError."""
    return len(refs.loose_tags(history)) >= EVERY


def repack(avatar: str) -> None:
    """Pack the history of the avatar in this folder; test events may go on meanwhile.

    Raises OSError and KatasError; what was not done is done the next time.
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
    """Pack in the background; ignore errors, since the next time tries again."""
    with contextlib.suppress(OSError, KatasError):
        repack(avatar)


def tidy(avatar: str) -> Sizes:
    """Pack now and return the disk space before and after. Raises as `repack`."""
    history = os.path.join(avatar, HISTORY)
    before = objects.blocks(history)
    repack(avatar)
    return Sizes(before, objects.blocks(history))


def _write(history: str, names: set[str]) -> list[str]:
    """Write these objects into a new pack; return the older packs that were merged into it."""
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
    """Remove what a crash left: temporary files, and an index that never got its pack."""
    indexes = [os.path.join(folder, name) for name in os.listdir(folder) if _INDEX.fullmatch(name)]
    for path in (
        *unfinished,
        *(index for index in indexes if not os.path.exists(f"{index[:-4]}.pack")),
    ):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _superfluous(history: str, count: int) -> list[str]:
    """Return the packs to merge with `count` new objects: the smallest ones.

    Merging stops at a pack with more than twice the objects that are merged so far.
    """
    if os.path.exists(os.path.join(packs.folder_of(history), "multi-pack-index")):
        return []
    candidates = []
    for pack in packs.complete_packs(history):
        if not any(os.path.exists(pack + ending) for ending in _NOT_MERGED):
            # A pack of an unknown format stays as it is.
            with contextlib.suppress(ValueError):
                candidates.append((pack, {entry.name for entry in packs.pack_entries(pack)}))
    merged: list[str] = []
    held: set[bytes] = set()
    for pack, names in sorted(candidates, key=lambda candidate: len(candidate[1])):
        if len(names) > 2 * (count + len(held)):
            break
        # No pack may have an object twice.
        if held.isdisjoint(names):
            merged.append(pack)
            held |= names
    return merged


class _Sorter:
    """Adds objects to a pack in the order of test events, as deltas against their predecessors."""

    def __init__(self, history: str, writer: packs.PackWriter, names: set[str]) -> None:
        self._history, self._writer, self._left = history, writer, set(names)
        # The latest object at each path of a commit.
        self._before: dict[bytes, str] = {}
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
        # A damaged object stays as it is, so that it can be repaired.
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
        """Return the delta; None if it saves too little, or if the content is damaged."""
        if self._depth.get(base, 0) >= _DEEPEST or (before := self._content(base, kind)) is None:
            return None
        head = f"{kind} {len(content)}\0".encode()
        if hashlib.sha1(head + content, usedforsecurity=False).hexdigest() != name:
            return None
        delta = packs.delta_instructions(before, content)
        return delta if 2 * len(delta) < len(content) else None

    def _content(self, name: str, wanted: str) -> bytes | None:
        """Return the content of an object if it is of this kind and not large."""
        with (
            contextlib.suppress(ValueError, FileNotFoundError),
            objects.opened(self._history, name) as (kind, size, pieces),
        ):
            if kind == wanted and size <= SMALL:
                return b"".join(pieces)
        return None


def _children(tree: bytes) -> Iterator[tuple[bytes, str]]:
    """Yield name and id of each entry of a tree, except for submodules."""
    start = 0
    while (end := tree.find(b"\0", start)) >= 0:
        mode, _, name = tree[start:end].partition(b" ")
        start = end + 1 + packs.NAME
        if mode != b"160000":
            yield name, tree[end + 1 : start].hex()
