"""Sessions of a player's, as values: what is edited before each test event, what its run does, and what must then be there.

The model knows nothing of how files travel. It is what a session on one disk would leave: what the player sends is there,
what the player no longer sends is not, and all else is as the runs left it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.katas.layout import show
from harness.katas.visible import LINK, VisibleFile
from harness.testing.planting import quote
from harness.tree import Entry, Snapshot

WRITE, LINKS, FOLDER, REMOVE, MOVE = "write", "link", "folder", "remove", "move"

PRELUDE = b"""#!/bin/sh -e
way() { [ -d "$1" ] && [ ! -L "$1" ] || { rm -rf -- "$1" && mkdir -- "$1"; }; }
"""


@dataclass(frozen=True)
class Change:
    """One change of a tree. Whatever is in its way gives way: a file where a folder is needed, and the reverse."""

    verb: str
    path: bytes
    other: bytes = b""  # the content to write, where a symlink points, or what a thing is moved to

    def __str__(self) -> str:
        return {
            WRITE: f"writes the file {show(self.path)}",
            LINKS: f"makes the symlink {show(self.path)}",
            FOLDER: f"makes the folder {show(self.path)}",
            REMOVE: f"removes {show(self.path)}",
            MOVE: f"moves {show(self.path)} to {show(self.other)}",
        }[self.verb]


@dataclass(frozen=True)
class Press:
    """One press of the test button."""

    edits: Sequence[Change] = ()  # by the player, of visible files
    deeds: Sequence[Change] = ()  # by the run, of whatever is in the sandbox

    def __str__(self) -> str:
        said = [f"the player {each}" for each in self.edits] + [f"the run {each}" for each in self.deeds]
        return ", ".join(said) or "nothing is changed"


@dataclass(frozen=True)
class Node:
    """What is at a path."""

    kind: str  # "f", "d" or "l"
    content: bytes = b""  # of a file; of a symlink, where it points


class Model:
    """A sandbox between test events and in them."""

    def __init__(self) -> None:
        self.visible: dict[bytes, Node] = {}
        self.tree: dict[bytes, Node] = {}
        self.emptied: set[bytes] = (
            set()
        )  # folders that only held what the player removed: they may go or stay
        self._sent: set[bytes] = set()  # names, with the last test event

    def copy(self) -> Model:
        """One that goes its own way."""
        model = Model()
        model.visible, model.tree, model.emptied = dict(self.visible), dict(self.tree), set(self.emptied)
        return model

    def edit(self, edits: Iterable[Change]) -> None:
        """What the player does, and sends."""
        for each in edits:
            if each.verb == MOVE:
                node = self.visible.pop(each.path, None)
                if node is not None:
                    self._show(each.other, node)
            elif each.verb == REMOVE:
                self.visible.pop(each.path, None)
            else:
                self._show(each.path, Node("l" if each.verb == LINKS else "f", each.other))

    def files(self) -> dict[bytes, VisibleFile]:
        """What is sent, but for cyber-dojo.sh."""
        return {
            path: VisibleFile(node.content, LINK if node.kind == "l" else None)
            for path, node in self.visible.items()
        }

    def arrive(self) -> None:
        """The visible files are saved."""
        for path in self._sent - self.visible.keys():
            if path in self.tree and all(self._is_folder(each) for each in _above(path)):
                self._clear(path)
                self.emptied |= {each for each in _above(path) if self._is_empty(each)}
        for path, node in self.visible.items():
            if self.tree.get(path) != node:
                self._put(path, node)
        self.emptied = {each for each in self.emptied if self._is_folder(each)}
        self._sent = set(self.visible)

    def run(self, deeds: Iterable[Change]) -> bytes:
        """What the run does, and the script that does it. What does not fit is left out."""
        lines = []
        for each in deeds:
            path, other = quote(each.path), quote(each.other)
            if each.verb == REMOVE:
                if not all(self._is_folder(above) for above in _above(each.path)):
                    continue  # it would remove what a symlink points to
                self._clear(each.path)
                lines.append(b"rm -rf -- " + path)
            elif each.verb == MOVE:
                if not self._movable(each.path, each.other):
                    continue
                moved = {name: node for name, node in self.tree.items() if _is_in(name, each.path)}
                self._put(each.other, moved[each.path])
                self._clear(each.path)
                self.tree |= {each.other + name.removeprefix(each.path): node for name, node in moved.items()}
                lines += [*_make_way(each.other), b"mv -T -- " + path + b" " + other]
            else:
                kind, line = {
                    WRITE: ("f", b"printf %s " + other + b" >./" + path),
                    LINKS: ("l", b"ln -s -- " + other + b" " + path),
                    FOLDER: ("d", b"mkdir -- " + path),
                }[each.verb]
                self._put(each.path, Node(kind, each.other if kind != "d" else b""))
                lines += [*_make_way(each.path), line]
        self.emptied = {each for each in self.emptied if self._is_empty(each)}
        return PRELUDE + b"\n".join(lines) + b"\n"

    def settle(self, found: Snapshot) -> None:
        """Folders that may go, and are gone."""
        for each in self.emptied - found.keys():
            self.tree.pop(each, None)

    def entries(self, found: Snapshot, *, contents: bool) -> dict[bytes, Entry]:
        """The snapshot that must be found; modes and stamps are taken as they are."""
        expected = {}
        for path, node in self.tree.items():
            there = found.get(path)
            expected[path] = Entry(
                kind=node.kind,
                mode=there.mode if there else 0,
                size=len(node.content) if node.kind == "f" else 0,
                mtime_ns=there.mtime_ns if there else 0,
                target=node.content if contents and node.kind == "l" else b"",
                digest=hashlib.sha256(node.content).hexdigest() if contents and node.kind == "f" else "",
            )
        return expected

    def _show(self, path: bytes, node: Node) -> None:
        """No name is a file and a folder at once."""
        self.visible = {
            name: kept
            for name, kept in self.visible.items()
            if not _is_in(name, path) and not _is_in(path, name)
        } | {path: node}

    def _put(self, path: bytes, node: Node) -> None:
        for each in _above(path):
            if not self._is_folder(each):
                self._clear(each)
                self.tree[each] = Node("d")
        self._clear(path)
        self.tree[path] = node

    def _clear(self, path: bytes) -> None:
        self.tree = {name: node for name, node in self.tree.items() if not _is_in(name, path)}

    def _is_folder(self, path: bytes) -> bool:
        return self.tree.get(path, Node("f")).kind == "d"

    def _is_empty(self, folder: bytes) -> bool:
        return not any(name.startswith(folder + b"/") for name in self.tree)

    def _movable(self, path: bytes, other: bytes) -> bool:
        if path not in self.tree or _is_in(other, path) or _is_in(path, other):
            return False
        return not any(_is_in(each, path) for each in self.emptied)


def _above(path: bytes) -> list[bytes]:
    """The folders that a path is in, the outermost first."""
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]


def _is_in(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder + b"/")


def _make_way(path: bytes) -> list[bytes]:
    return [b"way " + quote(each) for each in _above(path)] + [b"rm -rf -- " + quote(path)]
