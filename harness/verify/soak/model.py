"""What the katas must hold of one avatar: a model of its tree and history.

The tree has the stamps and modes that were seen last. The model says what a folder in place would
hold, however it is carried. What it cannot know is accepted once as it is found: the stamp of a new
file, within bounds, and which files of an interrupted test event were copied in, each as a whole.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from harness.inside.layout import printable_name
from harness.inside.tree import Entry, Snapshot
from harness.verify.proofs.shared.tree_differences import differences
from harness.verify.proofs.shared.verdict import Refuted
from harness.verify.soak.download import SET_ID, Download, without_set_id
from harness.verify.testing.planting import decimal
from harness.verify.testing.sessions import Model, Node

SLACK_NS = 50_000_000
"""Nanoseconds by which the clock that stamps files may be behind that of the harness."""

SCRIPT_NAME = b"cyber-dojo.sh"


@dataclass(frozen=True)
class SentEvent:
    """What an accepted test event sent, and printed."""

    # With git's modes.
    files: Mapping[bytes, tuple[int, bytes]]
    stdout: bytes


@dataclass
class World:
    """The model of one avatar."""

    # Whether the runner claims to keep what runs make.
    keeps: bool
    # Whether it claims to keep stamps to the nanosecond.
    exact: bool
    model: Model = field(default_factory=Model)
    # Stamps and modes as they were seen last.
    entries: dict[bytes, Entry] = field(default_factory=dict)
    commits: tuple[str, ...] = ()
    # By tag, less one.
    sent: list[SentEvent] = field(default_factory=list)
    # The stamps of a visible file since it was sent.
    had: dict[bytes, set[int]] = field(default_factory=dict)
    # The stamps that a file ahead of the clock may have.
    loose: dict[bytes, set[int]] = field(default_factory=dict)
    # The two things that may have been sent last.
    doubt: dict[bytes, tuple[Node | None, Node | None]] = field(default_factory=dict)
    # With the current test event.
    edited: frozenset[bytes] = frozenset()
    put_back: frozenset[bytes] = frozenset()
    # Those edited that replace what runs alone wrote; by a folder's stamps they may be older.
    replaced: frozenset[bytes] = frozenset()
    # Whether the entries are of a download, which leaves set-id bits out.
    downloaded: bool = False

    def arrive(self, found: Snapshot, pressed: int) -> None:
        """Check the sandbox just before the run; the button was pressed at `pressed`."""
        model = self.model
        if not self.keeps:
            model.tree, model.sent = {}, {}
        self._settle_doubt(found, pressed)
        before = dict(model.tree)
        self.edited, self.put_back = frozenset(model.edited()), frozenset(model.missing())
        self.replaced = frozenset(
            path
            for path in self.edited
            if self._was_made(path, model.sent.get(path), before.get(path))
        )
        changed_modes = {
            path
            for path, node in model.visible.items()
            if path not in self.edited and model.sent[path].program != node.program
        }
        links = {before[path].links for path in changed_modes if path in before} - {0}
        changed_modes |= {path for path, node in before.items() if node.links in links}
        gone = model.sent.keys() - model.visible.keys()
        model.arrive()
        self._compare("before the run", found)
        for path in self.edited | changed_modes:
            node = model.tree[path]
            if node.kind == "f" and bool(found[path].mode & 0o100) != node.program:
                words = "a program" if node.program else "not a program"
                raise Refuted(
                    f"{printable_name(path)} is {words}, and has the mode {found[path].mode:04o}"
                )
        loose, self.loose = self.loose, {}
        if self.keeps and self.exact and before:
            self._check_stamps(found, pressed, loose, gone, changed_modes)
        for path in self.edited:
            self.had[path] = {found[path].mtime_ns}

    def ran(self, found: Snapshot) -> None:
        """Check the sandbox just after the run."""
        self._compare("after the run", found)
        self.entries, self.downloaded = dict(found), False
        links = {
            node.links: self.loose[path]
            for path, node in self.model.tree.items()
            if path in self.loose
        }
        for path, node in self.model.tree.items():
            if node.links in links.keys() - {0}:
                # It may have got the name in this run.
                self.loose[path] = links[node.links]
        self.loose = {
            path: stamps
            for path, stamps in self.loose.items()
            if path in found and found[path].mtime_ns in stamps
        }
        for path in self.model.visible:
            if path in found and path in self.had:
                self.had[path].add(found[path].mtime_ns)

    def check(self, download: Download) -> None:
        """Check a download, to the nanosecond."""
        if download.commits[: len(self.commits)] != self.commits or download.tag != len(self.sent):
            raise Refuted(
                f"the history has {download.tag} tags, and must have {len(self.sent)}, "
                "the first of them unchanged"
            )
        self.commits = download.commits
        tree = {path: entry for path, entry in download.sandbox.items() if path != b"."}
        if not self.keeps:
            self.model.tree, self.model.sent = {}, {}
            self.model.arrive()
        self.model.settle(tree)
        wanted = self.model.entries(tree, contents=True)
        if said := differences(wanted, tree):
            raise Refuted(f"in the download {said}")
        if not (self.keeps and self.exact):
            return
        here = without_set_id(download.sandbox)
        for path, entry in without_set_id(self.entries).items():
            if path in here and not _same(entry, here[path], self.loose.get(path, ())):
                raise Refuted(f"in the download {_changed(path, entry, here[path])}")

    def check_tag(self, download: Download, tag: int) -> None:
        """Check that a tag holds what was sent with it, and what was printed."""
        files, stdout = download.files(tag)
        sent = self.sent[tag - 1]
        if dict(files) != dict(sent.files):
            differ = sorted(
                path
                for path in files.keys() | sent.files.keys()
                if files.get(path) != sent.files.get(path)
            )
            names = ", ".join(map(printable_name, differ[:3]))
            raise Refuted(f"tag {tag} does not hold what was sent: {names} differ")
        if stdout != sent.stdout:
            raise Refuted(
                f"tag {tag} says that {stdout[:60]!r} was printed, and it was {sent.stdout[:60]!r}"
            )

    def adopt(self, download: Download, old: Mapping[bytes, Node], *, accepted: bool) -> None:
        """Go on from what an interrupted test event left; `old` was sent before it."""
        self.commits = download.commits
        self.model.tree = download.nodes()
        self.model.emptied = {
            path
            for path, node in self.model.tree.items()
            if node.kind == "d"
            and not any(name.startswith(path + b"/") for name in self.model.tree)
        }
        entries = {path: _plain(entry) for path, entry in download.sandbox.items()}
        for path, entry in entries.items():
            was = self.entries.get(path)
            if was and was.kind == entry.kind and was.mtime_ns > entry.mtime_ns:
                # It may be at the clock, and be put ahead of it again after a success.
                self.loose.setdefault(path, set()).update({was.mtime_ns, entry.mtime_ns})
        self.entries, self.downloaded = entries, True
        for path, stamps in self.had.items():
            if path in self.entries:  # it may have been brought back to the clock
                stamps.add(self.entries[path].mtime_ns)
        now = dict(self.model.visible)
        self.model.sent = now if accepted else dict(old)
        for name in old.keys() | now.keys():
            if old.get(name) == now.get(name):
                continue
            # The stamp that it was given was never seen.
            self.had.pop(name, None)
            if not accepted:
                self.doubt[name] = (old.get(name), now.get(name))

    def _settle_doubt(self, found: Snapshot, pressed: int) -> None:
        """Decide which of two versions of a file was sent, by what is there now.

        A file that had been sent keeps its stamp, even if it is put back. An edit has the newest
        stamp, which is not older than the press.
        """
        may_be_edits = self.doubt.keys() | self.model.edited()
        latest = max(
            (
                found[path].mtime_ns
                for path, entry in self.entries.items()
                if path in found and path not in may_be_edits and entry.kind != "d"
            ),
            default=0,
        )
        latest = max(latest, pressed - SLACK_NS)
        for path, both in self.doubt.items():
            wanted, there = self.model.visible.get(path), self.model.tree.get(path)
            for version in both:
                stays = _alike(version, wanted) and (
                    wanted is None or (there is not None and there.kind == wanted.kind)
                )
                now, was = found.get(path), self.entries.get(path)
                # A folder that the player no longer has stays if it has become something else.
                was_folder = wanted is None and version is not None and version.kind == "d"
                left = was_folder and there is not None and there.kind != "d"
                if not _fits(there if stays or left else wanted, now):
                    continue
                if stays and wanted and now and was:
                    before = was.mode & 0o100 if version == wanted else wanted.program
                    # Permission to execute changes only if it differs from what was sent.
                    if bool(now.mode & 0o100) != bool(before):
                        continue
                if now is not None and self.exact:
                    same = was is not None and now.mtime_ns == was.mtime_ns
                    newer = now.mtime_ns > latest or self._was_made(path, version, there)
                    put_back, edited = _alike(version, wanted), newer and not same
                    if not (same if stays else put_back != edited):
                        continue
                self.model.sent.pop(path, None)
                if wanted is None:
                    self.model.unsure.add(path)
                if version is not None:
                    self.model.sent[path] = self._sent_as(version, both, wanted, there, now)
                break
        self.doubt.clear()

    def _was_made(self, path: bytes, sent: Node | None, there: Node | None) -> bool:
        """Return whether a run alone wrote what an edit replaces; see `stamps.against_time`."""
        folder = self.model.has_folder and path in self.model.visible
        return folder and sent is None and there is not None and there.kind == "f"

    def _sent_as(
        self,
        version: Node,
        both: Iterable[Node | None],
        wanted: Node | None,
        there: Node | None,
        now: Entry | None,
    ) -> Node:
        """Return what was sent, if it was `version`, perhaps with the other's permission."""
        if wanted is None or _alike(version, wanted) or now is None or there is None:
            return version
        for other in (version, *both):
            program = other is not None and other.program
            if bool(now.mode & 0o100) == (wanted.program or (there.program and not program)):
                return replace(version, program=program)
        return version

    def _compare(self, where: str, found: Snapshot) -> None:
        tree = {path: entry for path, entry in found.items() if path != b"."}
        self.model.settle(tree)
        if said := differences(self.model.entries(tree, contents=False), tree):
            raise Refuted(f"{where} {said}")

    def _check_stamps(
        self,
        found: Snapshot,
        pressed: int,
        loose: Mapping[bytes, set[int]],
        gone: Iterable[bytes],
        changed_modes: Iterable[bytes],
    ) -> None:
        written = self.edited | self.put_back
        touched = {b"."} | {folder for name in (*written, *gone) for folder in folders_above(name)}
        latest, newest = 0, b""
        for path, entry in self.entries.items():
            if path in written or path not in found or path in touched:
                continue
            now = found[path]
            if self.downloaded:
                now = replace(now, mode=now.mode & ~SET_ID)
            was = replace(entry, mode=now.mode) if path in changed_modes else entry
            stamps = {was.mtime_ns} | loose.get(path, set())
            if now.mtime_ns not in stamps:
                # An edit brings it back to the clock; a success puts it ahead again.
                brought = (
                    self.edited
                    and max(stamps) > pressed - SLACK_NS
                    and now.mtime_ns <= time.time_ns()
                )
                if not brought:
                    raise Refuted(f"before the run {_changed(path, was, now)}")
                stamps.add(now.mtime_ns)
                if path in self.had:
                    self.had[path].add(now.mtime_ns)
            if not _same(was, now, stamps):
                raise Refuted(f"before the run {_changed(path, was, now)}")
            if len(stamps) > 1:
                self.loose[path] = stamps
            latest, newest = max((latest, newest), (now.mtime_ns, path))
        for path in self.edited - self.replaced:
            if path in found and found[path].mtime_ns <= latest and found[path].kind != "d":
                raise Refuted(
                    f"the edited {printable_name(path)} has the mtime "
                    f"{decimal(found[path].mtime_ns)}, and {printable_name(newest)}, "
                    f"which was there, {decimal(latest)}"
                )
        for path in self.put_back:
            if path in found and self.had.get(path) and found[path].mtime_ns not in self.had[path]:
                had = ", ".join(map(decimal, sorted(self.had[path])))
                raise Refuted(
                    f"{printable_name(path)} was put back with the mtime "
                    f"{decimal(found[path].mtime_ns)}, and had {had}"
                )


def _same(was: Entry, now: Entry, stamps: Iterable[int]) -> bool:
    if (was.kind, was.mode, was.size) != (now.kind, now.mode, now.size):
        return False
    return was.mtime_ns == now.mtime_ns or now.mtime_ns in stamps


def folders_above(path: bytes) -> list[bytes]:
    found = []
    while path := os.path.dirname(path):
        found.append(path)
    return found


def _alike(one: Node | None, other: Node | None) -> bool:
    """Whether two nodes are alike, apart from permission to execute, which changes in place."""
    return one == other or (
        one is not None and other is not None and replace(one, program=other.program) == other
    )


def _fits(node: Node | None, entry: Entry | None) -> bool:
    if node is None or entry is None:
        return node is None and entry is None
    return node.kind == entry.kind and (node.kind != "f" or len(node.content) == entry.size)


def _plain(entry: Entry) -> Entry:
    """Return the entry as a run-container sees it."""
    return replace(entry, digest="", target=b"", link=b"")


def _changed(path: bytes, was: Entry, now: Entry) -> str:
    return (
        differences({path: _plain(was)}, {path: _plain(now)}) or f"{printable_name(path)} differs"
    )
