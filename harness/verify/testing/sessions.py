"""Sessions of a player's, as values: what is edited before each test event, what its run does, and what must then be there.

The model knows nothing of how files travel. It is what a session on one disk would leave: what the player changed since it was
sent last is there, what the player no longer sends is not, and all else is as the runs left it. Only a visible file that is gone,
is no file any more, or is a program that nobody can execute any more, is put back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.inside.layout import printable_name
from harness.inside.tree import Entry, Snapshot
from harness.katas.visible import FILE, LINK, PROGRAM, VisibleFile
from harness.katas.visible import FOLDER as EMPTY_FOLDER
from harness.verify.testing.planting import quote

WRITE, LINKS, FOLDER, REMOVE, MOVE = "write", "link", "folder", "remove", "move"
RENAME, HARD, APPEND, SPARSE, TOUCH, MODE = (
    "rename",
    "hard link",
    "append",
    "sparse",
    "touch",
    "mode",
)

_SHOWN = 60
"""Bytes of a path that are told."""

HOLE = 1 << 16
"""Bytes of a sparse file that were never written."""

PRELUDE = b"""#!/bin/sh -e
way() { [ -d "$1" ] && [ ! -L "$1" ] || { rm -rf -- "$1" && mkdir -- "$1"; }; }
rename() {
    [ -d "$1" ] && [ ! -L "$1" ] || { mv -T -- "$1" "$2" && return; }
    mkdir .way && mv -T --backup=simple --suffix=.was -- .way "$1" && rmdir -- "$1" && mv -T -- "$1.was" "$2"
}
"""
"""`rename` is rename(2) and nothing else: mv alone copies a folder that cannot be renamed, but not to back it up."""


@dataclass(frozen=True)
class Change:
    """One change of a tree. Whatever is in its way gives way: a file where a folder is needed, and the reverse."""

    verb: str
    path: bytes
    other: bytes = b""  # the content to write, where a symlink points, what a thing is moved to, a date, or a mode

    def __str__(self) -> str:
        return {
            WRITE: f"writes the file {_short(self.path)}",
            LINKS: f"makes the symlink {_short(self.path)}",
            FOLDER: f"makes the folder {_short(self.path)}",
            REMOVE: f"removes {_short(self.path)}",
            MOVE: f"moves {_short(self.path)} to {_short(self.other)}",
            RENAME: f"renames {_short(self.path)} to {_short(self.other)} by rename(2)",
            HARD: f"makes {_short(self.path)} a hard link to {_short(self.other)}",
            APPEND: f"writes more to the file {_short(self.path)}",
            SPARSE: f"writes the sparse file {_short(self.path)}",
            TOUCH: f"touches {_short(self.path)} with {_short(self.other)}",
            MODE: f"gives {_short(self.path)} the mode {_short(self.other)}",
        }[self.verb]


@dataclass(frozen=True)
class Press:
    """One press of the test button."""

    edits: Sequence[Change] = ()  # by the player, of visible files
    deeds: Sequence[Change] = ()  # by the run, of whatever is in the sandbox

    def __str__(self) -> str:
        said = [f"the player {each}" for each in self.edits] + [
            f"the run {each}" for each in self.deeds
        ]
        return ", ".join(said) or "nothing is changed"


@dataclass(frozen=True)
class Node:
    """What is at a path."""

    kind: str  # "f", "d" or "l"
    content: bytes = b""  # of a file; of a symlink, where it points
    program: bool = False  # its owner can execute it
    links: int = 0  # the same number for all names of one file; 0: it has but one


class Model:
    """A sandbox between test events and in them."""

    def __init__(self) -> None:
        self.visible: dict[bytes, Node] = {}
        self.tree: dict[bytes, Node] = {}
        self.emptied: set[bytes] = (
            set()
        )  # folders that only held what the player removed: they may go or stay
        self.sent: dict[bytes, Node] = {}  # with the last test event

    def copy(self) -> Model:
        """One that goes its own way."""
        model = Model()
        model.visible, model.tree, model.emptied = (
            dict(self.visible),
            dict(self.tree),
            set(self.emptied),
        )
        model.sent = dict(self.sent)
        return model

    def edit(self, edits: Iterable[Change]) -> None:
        """What the player does, and sends."""
        for each in edits:
            if each.verb == MOVE:
                node = self.visible.pop(each.path, None)
                if node is not None:
                    self._show(each.other, node)
            elif each.verb == RENAME:  # a folder, with all that is in it
                moved = [name for name in self.visible if _is_in(name, each.path)]
                if not _is_in(each.other, each.path) and not _is_in(each.path, each.other):
                    for name, node in [(name, self.visible.pop(name)) for name in moved]:
                        self._show(each.other + name.removeprefix(each.path), node)
            elif each.verb == REMOVE:
                self.visible.pop(each.path, None)
            elif each.verb == MODE:
                node = self.visible.get(each.path)
                if node and node.kind == "f":
                    self.visible[each.path] = replace(node, program=not node.program)
            else:
                self._show(
                    each.path, Node({LINKS: "l", FOLDER: "d"}.get(each.verb, "f"), each.other)
                )

    def files(self) -> dict[bytes, VisibleFile]:
        """What is sent, but for cyber-dojo.sh."""
        modes = {"l": LINK, "d": EMPTY_FOLDER, "f": FILE}
        return {
            path: VisibleFile(node.content, PROGRAM if node.program else modes[node.kind])
            for path, node in self.visible.items()
        }

    def arrive(self) -> None:
        """The visible files are saved."""
        for path in self.sent.keys() - self.visible.keys():
            if path in self.tree and all(self._is_folder(each) for each in _above(path)):
                if self.sent[path].kind == "d" and not self._goes(path):
                    continue  # what a run put there stays
                self._clear(path)
        for path in self.sent.keys() - self.visible.keys():
            for each in reversed(_above(path)):
                if self._is_folder(each) and self._is_empty(each):
                    self.emptied.add(each)
        written = self.edited() | self.missing()
        for path in sorted(self.visible.keys() - written):
            if self.visible[path] != self.sent[path]:
                self._change(path, program=self.visible[path].program)
        for path in sorted(written):
            if self.visible[path].kind != "d" or not self._is_folder(path):
                self._put(path, self._arriving(path))
        self.emptied = {each for each in self.emptied if self._is_folder(each)}
        self.sent = dict(self.visible)

    def _arriving(self, path: bytes) -> Node:
        """What is written there; what a run made a program stays one, unless the player takes that away."""
        node, there, sent = self.visible[path], self.tree.get(path), self.sent.get(path)
        stays = node.kind == "f" and there is not None and there.kind == "f" and there.program
        return replace(node, program=node.program or (stays and not (sent and sent.program)))

    def edited(self) -> set[bytes]:
        """What has to be written, since it is another file than the one that was sent. That it can be executed, or cannot any
        more, is no other file: the rest of it stays as the run left it.
        """
        return {
            path
            for path, node in self.visible.items()
            if path not in self.sent or replace(self.sent[path], program=node.program) != node
        }

    def missing(self) -> set[bytes]:
        """What has to be put back, since it is gone, is no file any more, or no program any more."""
        found = set()
        for path in self.visible.keys() - self.edited():
            there, node = self.tree.get(path), self.visible[path]
            was_program = node.program and self.sent[path].program
            if there is None or there.kind != node.kind or (was_program and not there.program):
                found.add(path)
        return found

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
            elif each.verb in (MOVE, RENAME):
                if not self._movable(each.path, each.other):
                    continue
                moved = {name: node for name, node in self.tree.items() if _is_in(name, each.path)}
                self._put(each.other, moved[each.path])
                self._clear(each.path)
                self.tree |= {
                    each.other + name.removeprefix(each.path): node for name, node in moved.items()
                }
                how = b"mv -T -- " if each.verb == MOVE else b"rename "
                lines += [*_make_way(each.other), how + path + b" " + other]
            elif each.verb == HARD:
                if self.tree.get(each.other, Node("d")).kind != "f" or not self._apart(
                    each.path, each.other
                ):
                    continue
                self._put(each.path, self._linked(each.other))
                lines += [*_make_way(each.path), b"ln -- " + other + b" " + path]
            elif each.verb in (APPEND, TOUCH, MODE):
                node = self.tree.get(each.path)
                if node is None or node.kind != "f" or self._in_doubt(each.path):
                    continue
                if each.verb == APPEND:
                    self._change(each.path, content=node.content + each.other)
                elif each.verb == MODE:
                    self._change(each.path, program=bool(int(each.other, 8) & 0o100))
                lines.append(
                    {
                        APPEND: b"printf %s " + other + b" >>./" + path,
                        TOUCH: b"touch -d " + other + b" -- " + path,
                        MODE: b"chmod " + other + b" -- " + path,
                    }[each.verb]
                )
            else:
                kind, line = {
                    WRITE: ("f", b"printf %s " + other + b" >./" + path),
                    LINKS: ("l", b"ln -s -- " + other + b" " + path),
                    FOLDER: ("d", b"mkdir -- " + path),
                    SPARSE: (
                        "f",
                        b"truncate -s %d -- %b && printf %%s %b >>./%b" % (HOLE, path, other, path),
                    ),
                }[each.verb]
                hole = bytes(HOLE) if each.verb == SPARSE else b""
                self._put(each.path, Node(kind, hole + each.other if kind != "d" else b""))
                lines += [*_make_way(each.path), line]
        self.emptied = {each for each in self.emptied if self._is_empty(each)}
        return PRELUDE + b"\n".join(lines) + b"\n"

    def settle(self, found: Snapshot) -> None:
        """Folders that may go, and are gone."""
        for each in self.emptied - found.keys():
            self.tree.pop(each, None)

    def entries(self, found: Snapshot, *, contents: bool) -> dict[bytes, Entry]:
        """The snapshot that must be found; stamps are taken as they are, and so are modes but for whether a file can be
        executed.
        """
        expected = {}
        names: dict[int, list[bytes]] = {}  # of the files that have several
        for path, node in sorted(self.tree.items()):
            if node.links:
                names.setdefault(node.links, []).append(path)
        for path, node in self.tree.items():
            there = found.get(path)
            expected[path] = Entry(
                kind=node.kind,
                mode=_mode(node, there.mode) if there else 0,
                size=len(node.content) if node.kind == "f" else 0,
                mtime_ns=there.mtime_ns if there else 0,
                target=node.content if contents and node.kind == "l" else b"",
                digest=hashlib.sha256(node.content).hexdigest()
                if contents and node.kind == "f"
                else "",
                link=_first(names.get(node.links, [])) if contents else b"",
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
        """But for folders that are empty by now too."""
        return not any(name.startswith(folder + b"/") for name in self.tree.keys() - self.emptied)

    def _goes(self, folder: bytes) -> bool:
        """Whether a folder that the player no longer has goes. One that holds only what may go or stay, may go or stay itself."""
        if not (self._is_folder(folder) and self._is_empty(folder)):
            return False
        inside = [name for name in self.tree if name != folder and _is_in(name, folder)]
        if inside:
            self.emptied.add(folder)
        return not inside

    def _linked(self, path: bytes) -> Node:
        """The file as one that has several names."""
        node = self.tree[path]
        if not node.links:
            links = 1 + max(each.links for each in self.tree.values())
            node = self.tree[path] = replace(node, links=links)
        return node

    def _change(self, path: bytes, **what: Any) -> None:
        """A file, by all of its names."""
        node = self.tree[path]
        for name, each in self.tree.items():
            if name == path or (node.links and each.links == node.links):
                self.tree[name] = replace(each, **what)

    def _apart(self, path: bytes, other: bytes) -> bool:
        return not _is_in(other, path) and not _is_in(path, other)

    def _in_doubt(self, path: bytes) -> bool:
        return not all(self._is_folder(each) for each in _above(path))

    def _movable(self, path: bytes, other: bytes) -> bool:
        if path not in self.tree or not self._apart(path, other) or self._in_doubt(path):
            return False
        return not any(_is_in(each, path) for each in self.emptied)


def _mode(node: Node, found: int) -> int:
    """That which was found, unless it can be executed and should not, or the reverse."""
    is_wrong = node.kind == "f" and bool(found & 0o100) != node.program
    return found ^ 0o111 if is_wrong else found


def _short(path: bytes) -> str:
    return (
        printable_name(path)
        if len(path) <= _SHOWN
        else f"{printable_name(path[:_SHOWN])[:-1]}...' of {len(path)} bytes"
    )


def beside(sessions: Sequence[Sequence[Press]]) -> list[Press]:
    """Several sessions as one, each in a folder of its own; a single one stays as it is."""
    if len(sessions) == 1:
        return list(sessions[0])
    longest = max(map(len, sessions))
    return [
        Press(
            [
                _below(folder, each)
                for folder, press in _at(sessions, number)
                for each in press.edits
            ],
            [
                _below(folder, each)
                for folder, press in _at(sessions, number)
                for each in press.deeds
            ],
        )
        for number in range(longest)
    ]


def _at(sessions: Sequence[Sequence[Press]], number: int) -> list[tuple[bytes, Press]]:
    return [
        (b"%d" % place, session[number])
        for place, session in enumerate(sessions, 1)
        if number < len(session)
    ]


def _below(folder: bytes, change: Change) -> Change:
    is_path = change.verb in (MOVE, RENAME, HARD)
    other = folder + b"/" + change.other if is_path else change.other
    return Change(change.verb, folder + b"/" + change.path, other)


def _above(path: bytes) -> list[bytes]:
    """The folders that a path is in, the outermost first."""
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]


def _first(names: list[bytes]) -> bytes:
    return names[0] if len(names) > 1 else b""


def _is_in(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder + b"/")


def _make_way(path: bytes) -> list[bytes]:
    return [b"way " + quote(each) for each in _above(path)] + [b"rm -rf -- " + quote(path)]
