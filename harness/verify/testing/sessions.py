"""Sessions of a player as values: edits before each test event, deeds of its run, and the outcome.

The model knows nothing of how files travel. It says what a session on one disk would leave: what
the player changed since it was last sent is there, what the player no longer sends is not, and the
rest is as the runs left it. A visible file is put back only if it is gone, is no longer a file, or
was a program and can no longer be executed.
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
"""Bytes of a path that are shown."""

HOLE = 1 << 16
"""Bytes of a hole in a sparse file."""

PRELUDE = b"""#!/bin/sh -e
way() { [ -d "$1" ] && [ ! -L "$1" ] || { rm -rf -- "$1" && mkdir -- "$1"; }; }
rename() {
    [ -d "$1" ] && [ ! -L "$1" ] || { mv -T -- "$1" "$2" && return; }
    mkdir .way && mv -T --backup=simple --suffix=.was -- .way "$1" &&
        rmdir -- "$1" && mv -T -- "$1.was" "$2"
}
"""
"""`rename` is rename(2) only: mv by itself would copy a folder that cannot be renamed, but it never
copies to make a backup.
"""


@dataclass(frozen=True)
class Change:
    """A change of a tree; what is in its way is removed, such as a file where a folder must be."""

    verb: str
    """WRITE, REMOVE, MOVE or another of this module's verbs."""
    path: bytes
    """What it changes."""
    other: bytes = b""
    """A content, a symlink's target, the other path of a move or a hard link, a date or a mode."""

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

    edits: Sequence[Change] = ()
    """By the player, of visible files."""
    deeds: Sequence[Change] = ()
    """By the run, of anything in the sandbox."""

    def __str__(self) -> str:
        said = [f"the player {change}" for change in self.edits] + [
            f"the run {change}" for change in self.deeds
        ]
        return ", ".join(said) or "nothing is changed"


@dataclass(frozen=True)
class Node:
    """What is at a path."""

    kind: str
    """"f", "d" or "l"."""
    content: bytes = b""
    """Of a file; the target of a symlink."""
    program: bool = False
    """Whether its owner can execute it."""
    links: int = 0
    """The same number for all names of one file; 0 for a file with a single name."""


class Model:
    """A model of a sandbox, between test events and during them."""

    def __init__(self) -> None:
        self.visible: dict[bytes, Node] = {}
        self.tree: dict[bytes, Node] = {}
        # Folders that held only what the player removed: they may go or stay.
        self.emptied: set[bytes] = set()
        # With the last test event.
        self.sent: dict[bytes, Node] = {}
        # Whether files come from a folder: one that the player removed goes with all that is in it.
        self.has_folder = False
        # Names of which it is in doubt whether a press that was interrupted deleted them.
        self.unsure: set[bytes] = set()

    def copy(self) -> Model:
        """Return an independent copy."""
        model = Model()
        model.visible, model.tree, model.emptied = (
            dict(self.visible),
            dict(self.tree),
            set(self.emptied),
        )
        model.sent = dict(self.sent)
        model.has_folder, model.unsure = self.has_folder, set(self.unsure)
        return model

    def edit(self, edits: Iterable[Change]) -> None:
        """Apply the player's edits to the visible files."""
        for change in edits:
            if change.verb == MOVE:
                node = self.visible.pop(change.path, None)
                if node is not None:
                    self._show(change.other, node)
            elif change.verb == RENAME:  # a folder, with everything in it
                moved = [name for name in self.visible if _is_in(name, change.path)]
                if not _is_in(change.other, change.path) and not _is_in(change.path, change.other):
                    for name, node in [(name, self.visible.pop(name)) for name in moved]:
                        self._show(change.other + name.removeprefix(change.path), node)
            elif change.verb == REMOVE:
                self.visible.pop(change.path, None)
            elif change.verb == MODE:
                node = self.visible.get(change.path)
                if node and node.kind == "f":
                    self.visible[change.path] = replace(node, program=not node.program)
            else:
                self._show(
                    change.path, Node({LINKS: "l", FOLDER: "d"}.get(change.verb, "f"), change.other)
                )

    def files(self) -> dict[bytes, VisibleFile]:
        """Return what is sent, without cyber-dojo.sh."""
        modes = {"l": LINK, "d": EMPTY_FOLDER, "f": FILE}
        return {
            path: VisibleFile(node.content, PROGRAM if node.program else modes[node.kind])
            for path, node in self.visible.items()
        }

    def arrive(self) -> None:
        """Save the visible files, as a test event does before its run."""
        for path in self.sent.keys() - self.visible.keys():
            if path in self.tree and all(self._is_folder(folder) for folder in _above(path)):
                if self.sent[path].kind == "d" and not self._goes(path):
                    continue  # what a run put there stays
                self._clear(path)
        if self.has_folder:
            self._remove_folders()
        for path in self.sent.keys() - self.visible.keys():
            for folder in reversed(_above(path)):
                if self._is_folder(folder) and self._is_empty(folder):
                    self.emptied.add(folder)
        written = self.edited() | self.missing()
        for path in sorted(self.visible.keys() - written):
            if self.visible[path] != self.sent[path]:
                self._change(path, program=self.visible[path].program)
        for path in sorted(written):
            if self.visible[path].kind != "d" or not self._is_folder(path):
                self._put(path, self._arriving(path))
        self.emptied = {
            path
            for path in self.emptied & self.tree.keys()
            if self._is_folder(path) or path not in self.visible
        }
        self.sent = dict(self.visible)

    def _remove_folders(self) -> None:
        """Remove the folders that the player removed, with all that runs made in them."""
        deleted = self.sent.keys() - self.visible.keys()
        kept = {folder for path in self.visible for folder in _above(path)} | self.visible.keys()
        for folder in sorted({folder for path in deleted for folder in _above(path)} - kept):
            if not all(self._is_folder(path) for path in (*_above(folder), folder)):
                continue
            if any(_is_in(path, folder) for path in self.unsure):
                self.emptied |= {path for path in self.tree if _is_in(path, folder)}
            else:
                self._clear(folder)
        self.unsure.clear()

    def _arriving(self, path: bytes) -> Node:
        """Return what is written; a program stays one unless the player takes that away."""
        node, there, sent = self.visible[path], self.tree.get(path), self.sent.get(path)
        stays = node.kind == "f" and there is not None and there.kind == "f" and there.program
        return replace(node, program=node.program or (stays and not (sent and sent.program)))

    def edited(self) -> set[bytes]:
        """Return what must be written: files that differ from what was sent.

        Permission to execute does not count: the rest of the file stays as the run left it.
        """
        return {
            path
            for path, node in self.visible.items()
            if path not in self.sent or replace(self.sent[path], program=node.program) != node
        }

    def missing(self) -> set[bytes]:
        """Return what must be put back: gone, no longer a file, or no longer a program."""
        found = set()
        for path in self.visible.keys() - self.edited():
            there, node = self.tree.get(path), self.visible[path]
            was_program = node.program and self.sent[path].program
            if there is None or there.kind != node.kind or (was_program and not there.program):
                found.add(path)
        return found

    def run(self, deeds: Iterable[Change]) -> bytes:
        """Apply the run's deeds; return a script that does them. Impossible deeds are left out."""
        lines = []
        for change in deeds:
            path, other = quote(change.path), quote(change.other)
            if change.verb == REMOVE:
                if not all(self._is_folder(above) for above in _above(change.path)):
                    continue  # it would remove what a symlink points to
                self._clear(change.path)
                lines.append(b"rm -rf -- " + path)
            elif change.verb in (MOVE, RENAME):
                if not self._movable(change.path, change.other):
                    continue
                moved = {
                    name: node for name, node in self.tree.items() if _is_in(name, change.path)
                }
                self._put(change.other, moved[change.path])
                self._clear(change.path)
                self.tree |= {
                    change.other + name.removeprefix(change.path): node
                    for name, node in moved.items()
                }
                how = b"mv -T -- " if change.verb == MOVE else b"rename "
                lines += [*_make_way(change.other), how + path + b" " + other]
            elif change.verb == HARD:
                if self.tree.get(change.other, Node("d")).kind != "f" or not self._apart(
                    change.path, change.other
                ):
                    continue
                self._put(change.path, self._linked(change.other))
                lines += [*_make_way(change.path), b"ln -- " + other + b" " + path]
            elif change.verb in (APPEND, TOUCH, MODE):
                node = self.tree.get(change.path)
                if node is None or node.kind != "f" or self._in_doubt(change.path):
                    continue
                if change.verb == APPEND:
                    self._change(change.path, content=node.content + change.other)
                elif change.verb == MODE:
                    self._change(change.path, program=bool(int(change.other, 8) & 0o100))
                lines.append(
                    {
                        APPEND: b"printf %s " + other + b" >>./" + path,
                        TOUCH: b"touch -d " + other + b" -- " + path,
                        MODE: b"chmod " + other + b" -- " + path,
                    }[change.verb]
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
                }[change.verb]
                hole = bytes(HOLE) if change.verb == SPARSE else b""
                self._put(change.path, Node(kind, hole + change.other if kind != "d" else b""))
                lines += [*_make_way(change.path), line]
        self.emptied = {folder for folder in self.emptied if self._is_empty(folder)}
        return PRELUDE + b"\n".join(lines) + b"\n"

    def settle(self, found: Snapshot) -> None:
        """Accept that folders which may go are gone."""
        for folder in self.emptied - found.keys():
            self.tree.pop(folder, None)

    def entries(self, found: Snapshot, *, contents: bool) -> dict[bytes, Entry]:
        """Return the snapshot that must be found.

        Stamps are taken from `found`. So are modes, except for whether a file can be executed.
        """
        expected = {}
        # Of the files that have several.
        names: dict[int, list[bytes]] = {}
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
        """Make a file or folder visible; no name is both a file and a folder."""
        self.visible = {
            name: kept
            for name, kept in self.visible.items()
            if not _is_in(name, path) and not _is_in(path, name)
        } | {path: node}

    def _put(self, path: bytes, node: Node) -> None:
        for folder in _above(path):
            if not self._is_folder(folder):
                self._clear(folder)
                self.tree[folder] = Node("d")
        self._clear(path)
        self.tree[path] = node

    def _clear(self, path: bytes) -> None:
        self.tree = {name: node for name, node in self.tree.items() if not _is_in(name, path)}

    def _is_folder(self, path: bytes) -> bool:
        return self.tree.get(path, Node("f")).kind == "d"

    def _is_empty(self, folder: bytes) -> bool:
        """Whether the folder holds at most folders that are empty too."""
        return not any(name.startswith(folder + b"/") for name in self.tree.keys() - self.emptied)

    def _goes(self, folder: bytes) -> bool:
        """Whether a folder that the player no longer has must go.

        If it holds only what may go or stay, it may itself go or stay.
        """
        if not (self._is_folder(folder) and self._is_empty(folder)):
            return False
        inside = [name for name in self.tree if name != folder and _is_in(name, folder)]
        if inside:
            self.emptied.add(folder)
        return not inside

    def _linked(self, path: bytes) -> Node:
        """Return the file as one with several names."""
        node = self.tree[path]
        if not node.links:
            links = 1 + max(other.links for other in self.tree.values())
            node = self.tree[path] = replace(node, links=links)
        return node

    def _change(self, path: bytes, **what: Any) -> None:
        """Change a file under all of its names."""
        node = self.tree[path]
        for name, other in self.tree.items():
            if name == path or (node.links and other.links == node.links):
                self.tree[name] = replace(other, **what)

    def _apart(self, path: bytes, other: bytes) -> bool:
        return not _is_in(other, path) and not _is_in(path, other)

    def _in_doubt(self, path: bytes) -> bool:
        return not all(self._is_folder(folder) for folder in _above(path))

    def _movable(self, path: bytes, other: bytes) -> bool:
        if path not in self.tree or not self._apart(path, other) or self._in_doubt(path):
            return False
        return not any(_is_in(folder, path) for folder in self.emptied)


def _mode(node: Node, found: int) -> int:
    """Return the mode that was found, corrected if it is wrong about execution."""
    is_wrong = node.kind == "f" and bool(found & 0o100) != node.program
    return found ^ 0o111 if is_wrong else found


def _short(path: bytes) -> str:
    return (
        printable_name(path)
        if len(path) <= _SHOWN
        else f"{printable_name(path[:_SHOWN])[:-1]}...' of {len(path)} bytes"
    )


def beside(sessions: Sequence[Sequence[Press]]) -> list[Press]:
    """Join sessions, each in a folder of its own; a single one stays as it is."""
    if len(sessions) == 1:
        return list(sessions[0])
    longest = max(map(len, sessions))
    return [
        Press(
            [
                _below(folder, change)
                for folder, press in _at(sessions, number)
                for change in press.edits
            ],
            [
                _below(folder, change)
                for folder, press in _at(sessions, number)
                for change in press.deeds
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
    """Return the folders that a path is in, the outermost first."""
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]


def _first(names: list[bytes]) -> bytes:
    return names[0] if len(names) > 1 else b""


def _is_in(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder + b"/")


def _make_way(path: bytes) -> list[bytes]:
    return [b"way " + quote(folder) for folder in _above(path)] + [b"rm -rf -- " + quote(path)]
