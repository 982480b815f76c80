"""What a failure of the power may leave of a folder, by what was done to it: a model of a file system, and nothing else.

A file system is inodes, and names of them in folders. What is done to it is a row of changes, each of which lands on the disk as
a whole or not at all: a content (or the first half of it), a mode, a stamp, and names: one, or all that a rename or an exchange
moves. In between something is forced to the disk: a file, the names in a folder, or everything.

There are two models of what lands before the power fails:

- STRICT, which is all that POSIX promises: what was forced there, and of the rest any subset, in any order. A rename may land
  before the content of the file, which has a name and no bytes then.
- ORDERED, as on file systems that journal, where a rename comes after all that was done before it and before all that is done
  after: what lies between two of these, or between what was forced, lands in any subset.

In both nothing lands in a folder that has no name itself: a folder's journal has its making first.
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
"""The number of the folder itself: it is looked at first."""

_EVERYTHING = 0

_RENAMES = frozenset({"os.rename", "harness.exchange"})

BARE = {"content": b"", "mode": 0o600, "mtime": 10**9, "opaque": False}
"""What an inode has of which nothing has landed but that it is there; a folder's mode has what it takes to enter."""

HALVED = 2
"""Bytes of a content that can be cut in two."""


class CrashModel(StrEnum):
    """Of what lands."""

    STRICT = "strict"
    ORDERED = "ordered"


@dataclass(frozen=True)
class Inode:
    """What never changes of one."""

    kind: int  # as S_IFMT has it
    number: int  # the one that it has on the disk
    device: int = 0
    target: bytes = b""  # of a symlink


@dataclass(frozen=True)
class _Change:
    """What lands as a whole or not at all."""

    inode: int  # 0 where it is about names
    part: str  # what of it: one of BARE; empty for names
    value: Any = None
    names: tuple[
        tuple[int, str, int | None], ...
    ] = ()  # folder, name and whom it names; None: nobody any more
    barrier: bool = False  # for ORDERED
    call: int = 0  # the number of the call that made it, from 1
    words: str = ""


@dataclass(frozen=True)
class Forced:
    """Everything, or one inode, was forced to the disk."""

    what: int


@dataclass(frozen=True)
class Mark:
    """Something happened here."""

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
        """One of BARE."""
        bare = 0o700 if part == "mode" and stat.S_ISDIR(self.inodes[inode].kind) else BARE[part]
        return self.parts.get((inode, part), bare)

    def reaches(self, folder: int) -> bool:
        """Whether a folder has a name, as all above it have."""
        seen = set()
        while folder != ROOT:
            above, name = self._above.get(folder, (0, ""))
            if folder in seen or self.names.get(above, {}).get(name) != folder:
                return False
            seen.add(folder)
            folder = above
        return True

    def apply(self, change: _Change, *, forced: bool = False) -> None:
        """Let it land; what was not `forced` to the disk does not without the folders that it is in."""
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
        """Another one that begins as this."""
        names = {folder: dict(inside) for folder, inside in self.names.items()}
        return Disk(self.inodes, dict(self.parts), names, dict(self._above))


class RecordedCalls:
    """What was done to a folder, as it was recorded."""

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        """`records` are a Recorder's."""
        self.inodes: dict[int, Inode] = {}
        self.items: list[_Item] = []
        self.calls: list[str] = []  # the names of the calls, in order
        # Whoever asks for one moment after the other does not begin anew.
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
        """Where these are."""
        return [place for place, item in enumerate(self.items) if item == Mark(name)]

    def at(self, place: int, model: CrashModel) -> Moment:
        """What may have landed when the power fails just before this item."""
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
    """Let what is forced there land, with what it came after at the same places; returns what stays unsure."""
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
    """When the power fails."""

    sure: Disk
    unsure: tuple[_Change, ...]

    def disk(self, landed: int) -> Disk:
        """What is on the disk, if of the unsure those have landed whose bits are set."""
        disk = self.sure.copy()
        for number, change in enumerate(self.unsure):
            if landed >> number & 1:
                disk.apply(change)
        return disk

    def makes_folder(self, change: _Change) -> bool:
        """Whether it gives a new folder its name, and does nothing else."""
        inode = change.names[0][2] if len(change.names) == 1 else None
        return inode is not None and stat.S_ISDIR(self.sure.inodes[inode].kind)

    def words(self, landed: int) -> str:
        """What has landed, or what has not, whichever is said sooner."""
        if not self.unsure:
            return "all before it is on the disk"
        on = [each for number, each in enumerate(self.unsure) if landed >> number & 1]
        off = [each for number, each in enumerate(self.unsure) if not landed >> number & 1]
        if not on:
            return "nothing is on the disk that was not forced there"
        if not off:
            return "all before it is on the disk"
        few = on if len(on) <= len(off) else off
        some = "; ".join(dict.fromkeys(each.words for each in few[:_MANY]))
        some += f"; and {len(few) - _MANY} more" if len(few) > _MANY else ""
        if few is on:
            return f"nothing is on the disk that was not forced there, but {some}"
        return f"all before it is on the disk, but {some}"


_MANY = 3
"""Changes that are told; the others are counted."""


def _changes(
    before: Mapping[int, Mapping[str, Any]],
    after: Mapping[int, Mapping[str, Any]],
    call: str,
    number: int,
) -> Iterator[_Change]:
    """What differs, in an order in which it can be made."""
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
            each
            for each in names
            if each[2] in kept
            or (
                each[0] in before
                and before[each[0]]["names"].get(each[1]) in kept
                and each[2] is None
            )
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
    """One of its paths for each inode."""
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
