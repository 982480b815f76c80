"""A model of what a power failure may leave of a folder, given what was done to it.

A file system is inodes, and their names in folders. What is done to it is a sequence of changes.
Each lands on the disk as a whole or not at all: a content (or its first half), a mode, a stamp, or
names (one, or all that a rename or an exchange moves). Between changes something may be forced to
the disk: a file, the names in a folder, or everything.

Two models say what lands before the power fails:

- STRICT is all that POSIX promises: what was forced, and any subset of the rest, in any order. A
  rename may land before the content of the file, whose name then has no bytes.
- ORDERED is a journalling file system: a rename lands after everything that was done before it and
  before everything that is done after it. Between two renames, or two forced writes, any subset
  lands.

In both models nothing lands in a folder without a name: a journal holds the folder first.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from harness.verify.proofs.power.recorder import MARK

ROOT = 1
"""The number of the folder itself, which is the first to be looked at."""

_EVERYTHING = 0

_RENAMES = frozenset({"os.rename", "harness.exchange"})

BARE = {"content": b"", "mode": 0o600, "mtime": 10**9, "opaque": False}
"""What an inode has if only its existence has landed; a folder can also be entered."""

HALVED = 2
"""Bytes from which on a content can be cut in two."""


class CrashModel(StrEnum):
    """Which changes land."""

    STRICT = "strict"
    ORDERED = "ordered"


@dataclass(frozen=True)
class Inode:
    """The parts of an inode that never change."""

    # As S_IFMT returns it.
    kind: int
    # The inode number on the disk.
    number: int
    device: int = 0
    # Of a symlink.
    target: bytes = b""


@dataclass(frozen=True)
class _Change:
    """A change that lands as a whole or not at all."""

    # 0 for a change of names.
    inode: int
    # A key of BARE; empty for names.
    part: str
    value: Any = None
    # Folder, name, and the inode that the name has now; None: the name is gone.
    names: tuple[tuple[int, str, int | None], ...] = ()
    # Whether ORDERED puts nothing across it.
    barrier: bool = False
    # The number of the call that made it, from 1.
    call: int = 0
    words: str = ""


@dataclass(frozen=True)
class Forced:
    """Everything (0), or one inode, was forced to the disk."""

    what: int


@dataclass(frozen=True)
class Mark:
    """A named moment between two changes."""

    name: str


_Item = _Change | Forced | Mark


@dataclass
class Disk:
    """What is on a disk."""

    inodes: Mapping[int, Inode]
    parts: dict[tuple[int, str], Any] = field(default_factory=dict)
    names: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    _above: dict[int, tuple[int, str]] = field(default_factory=dict)

    def part(self, inode: int, part: str) -> Any:
        """Return a part of an inode; the names of the parts are the keys of BARE."""
        bare = 0o700 if part == "mode" and stat.S_ISDIR(self.inodes[inode].kind) else BARE[part]
        return self.parts.get((inode, part), bare)

    def reaches(self, folder: int) -> bool:
        """Whether the folder, and every folder above it, has a name."""
        seen = set()
        while folder != ROOT:
            above, name = self._above.get(folder, (0, ""))
            if folder in seen or self.names.get(above, {}).get(name) != folder:
                return False
            seen.add(folder)
            folder = above
        return True

    def apply(self, change: _Change, *, forced: bool = False) -> None:
        """Let a change land; unless `forced`, names land only in folders that have a name."""
        if change.part:
            self.parts[change.inode, change.part] = change.value
            return
        if not forced and not all(
            self.reaches(folder) for folder, _, inode in change.names if inode is not None
        ):
            return
        for folder, name, inode in change.names:
            inside = self.names.setdefault(folder, {})
            if inode is None:
                inside.pop(name, None)
            else:
                inside[name] = inode
                if stat.S_ISDIR(self.inodes[inode].kind):
                    self._above[inode] = (folder, name)

    def copy(self) -> Disk:
        """Return a disk that begins as this one."""
        names = {folder: dict(inside) for folder, inside in self.names.items()}
        return Disk(self.inodes, dict(self.parts), names, dict(self._above))


class RecordedCalls:
    """What was done to a folder, as it was recorded."""

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        """`records` are those of a Recorder."""
        self.inodes: dict[int, Inode] = {}
        self.items: list[_Item] = []
        # The names of the calls, in order.
        self.calls: list[str] = []
        # Where the last moment was, so that the next one does not start from the beginning.
        self._so_far: dict[CrashModel, tuple[int, Disk, list[_Change]]] = {}
        nodes: dict[int, Mapping[str, Any]] = {}
        call, number = "", 0
        for record in records:
            after = dict(nodes)
            for key, node in record["nodes"].items():
                if node is None:
                    after.pop(int(key), None)
                else:
                    after[int(key)] = node
                    self.inodes.setdefault(int(key), _inode(node))
            self.items += _changes(nodes, after, call, number)
            nodes, call = after, record["call"]
            if call == MARK:
                self.items.append(Mark(record["what"]))
                call = ""
                continue
            number += 1
            self.calls.append(call)
            if call.startswith("harness.sync") and record["what"] is not None:
                self.items.append(Forced(record["what"]))

    def marks(self, name: str) -> list[int]:
        """Return the places of all marks with this name."""
        return [place for place, item in enumerate(self.items) if item == Mark(name)]

    def at(self, place: int, model: CrashModel) -> Moment:
        """Return what may have landed when the power fails just before the item at `place`."""
        begin, sure, unsure = self._so_far.get(model, (0, Disk(self.inodes), []))
        if place < begin:
            begin, sure, unsure = 0, Disk(self.inodes), []
        for item in self.items[begin:place]:
            if isinstance(item, _Change):
                unsure.append(item)
                if model is CrashModel.ORDERED and item.barrier:
                    unsure = _land(sure, unsure, _EVERYTHING)
            elif isinstance(item, Forced):
                unsure = _land(
                    sure, unsure, _EVERYTHING if model is CrashModel.ORDERED else item.what
                )
        self._so_far[model] = (place, sure, unsure)
        return Moment(sure.copy(), tuple(unsure))


def _inode(node: Mapping[str, Any]) -> Inode:
    target = base64.b64decode(node["content"]) if stat.S_ISLNK(node["kind"]) else b""
    return Inode(node["kind"], node["inode"], node["device"], target)


def _land(sure: Disk, unsure: Sequence[_Change], what: int) -> list[_Change]:
    """Land what is forced, with earlier changes at the same places; return what stays unsure."""
    places: set[tuple[int, str]] = set()
    landing = []
    for change in reversed(unsure):
        here = {(folder, name) for folder, name, _ in change.names}
        forced = what in (_EVERYTHING, change.inode) or any(folder == what for folder, _ in here)
        landing.append(forced or not places.isdisjoint(here))
        if landing[-1]:
            places |= here
    left = []
    for change, lands in zip(unsure, reversed(landing), strict=True):
        if lands:
            sure.apply(change, forced=True)
        else:
            left.append(change)
    return left


@dataclass(frozen=True)
class Moment:
    """A moment at which the power fails: what has surely landed, and what may have."""

    sure: Disk
    unsure: tuple[_Change, ...]

    def disk(self, landed: int) -> Disk:
        """Return the disk on which those unsure changes have landed whose bits are set."""
        disk = self.sure.copy()
        for number, change in enumerate(self.unsure):
            if landed >> number & 1:
                disk.apply(change)
        return disk

    def makes_folder(self, change: _Change) -> bool:
        """Whether the change gives a new folder its name, and does nothing else."""
        inode = change.names[0][2] if len(change.names) == 1 else None
        return inode is not None and stat.S_ISDIR(self.sure.inodes[inode].kind)

    def words(self, landed: int) -> str:
        """Describe what has landed, or what has not, whichever is shorter."""
        if not self.unsure:
            return "all before it is on the disk"
        on = [change for number, change in enumerate(self.unsure) if landed >> number & 1]
        off = [change for number, change in enumerate(self.unsure) if not landed >> number & 1]
        if not on:
            return "nothing is on the disk that was not forced there"
        if not off:
            return "all before it is on the disk"
        few = on if len(on) <= len(off) else off
        some = "; ".join(dict.fromkeys(change.words for change in few[:_MANY]))
        some += f"; and {len(few) - _MANY} more" if len(few) > _MANY else ""
        if few is on:
            return f"nothing is on the disk that was not forced there, but {some}"
        return f"all before it is on the disk, but {some}"


_MANY = 3
"""Changes that are described; the others are counted."""


def _changes(
    before: Mapping[int, Mapping[str, Any]],
    after: Mapping[int, Mapping[str, Any]],
    call: str,
    number: int,
) -> Iterator[_Change]:
    """Yield the differences, in an order in which they can be made."""
    paths = _paths(after) | {key: path for key, path in _paths(before).items() if key not in after}
    names: list[tuple[int, str, int | None]] = []
    for folder in sorted({*before, *after}, key=lambda key: paths.get(key, "")):
        old = before[folder]["names"] if folder in before else {}
        new = after[folder]["names"] if folder in after else {}
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                names += [(folder, name, new.get(name))]
    moved: list[tuple[int, str, int | None]] = []
    if call in _RENAMES:
        kept = {inode for _, _, inode in names if inode in before}
        moved = [
            (folder, name, inode)
            for folder, name, inode in names
            if inode in kept
            or (folder in before and before[folder]["names"].get(name) in kept and inode is None)
        ]
    if moved:
        what = " and ".join(os.path.join(paths.get(folder, "?"), name) for folder, name, _ in moved)
        yield _Change(
            0,
            "",
            names=tuple(moved),
            barrier=True,
            call=number,
            words=f"the {_verb(call)} of {what}",
        )
    for folder, name, inode in names:
        if (folder, name, inode) not in moved:
            path = os.path.join(paths.get(folder, "?"), name)
            words = f"the name {path}" if inode is not None else f"that {path} is gone"
            yield _Change(0, "", names=((folder, name, inode),), call=number, words=words)
    for key, node in sorted(after.items(), key=lambda item: paths.get(item[0], "")):
        yield from _parts(key, before.get(key), node, paths.get(key, "?"), number)


def _parts(
    key: int, old: Mapping[str, Any] | None, new: Mapping[str, Any], path: str, number: int
) -> Iterator[_Change]:
    if (old or {"content": ""})["content"] != new["content"] and not stat.S_ISLNK(new["kind"]):
        content = base64.b64decode(new["content"])
        if len(content) >= HALVED:
            half = content[: len(content) // 2]
            yield _Change(key, "content", half, call=number, words=f"half of the content of {path}")
        yield _Change(key, "content", content, call=number, words=f"the content of {path}")
    for part, words in (("mode", "mode"), ("mtime", "stamp"), ("opaque", "mark")):
        if (old[part] if old else BARE[part]) != new[part]:
            yield _Change(key, part, new[part], call=number, words=f"the {words} of {path}")


def _paths(nodes: Mapping[int, Mapping[str, Any]]) -> dict[int, str]:
    """Return one path for each inode."""
    found, waiting = {ROOT: ""}, [ROOT] if ROOT in nodes else []
    while waiting:
        here = waiting.pop()
        for name, inode in nodes[here]["names"].items():
            if inode not in found:
                found[inode] = os.path.join(found[here], name)
                if inode in nodes:
                    waiting.append(inode)
    return found


def _verb(call: str) -> str:
    return "exchange" if call.endswith("exchange") else "rename"
