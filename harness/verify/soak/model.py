"""What the katas must hold of one avatar: a model of the tree with the stamps and modes that were seen last, and of the history.

The model says what a folder in place would hold, whatever carries it. What it cannot know is taken as it is found, once: the
stamp of a new file, within bounds; which files of a test event that was cut off were copied in, each either or none of it.
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
"""By which the clock that stamps files may be behind that of the harness."""

SCRIPT_NAME = b"cyber-dojo.sh"


@dataclass(frozen=True)
class SentEvent:
    """What an accepted test event sent, and printed."""

    files: Mapping[bytes, tuple[int, bytes]]  # git's mode and content
    stdout: bytes


@dataclass
class World:
    """One avatar."""

    keeps: bool  # what its runs make: whether the runner claims to
    exact: bool  # with stamps to the nanosecond
    model: Model = field(default_factory=Model)
    entries: dict[bytes, Entry] = field(
        default_factory=dict
    )  # stamps and modes as they were seen last
    commits: tuple[str, ...] = ()
    sent: list[SentEvent] = field(default_factory=list)  # by tag, less one
    had: dict[bytes, set[int]] = field(
        default_factory=dict
    )  # the stamps of a visible file since it was sent
    loose: dict[bytes, set[int]] = field(
        default_factory=dict
    )  # the stamps that what lies ahead of the clock may have
    doubt: dict[bytes, tuple[Node | None, Node | None]] = field(
        default_factory=dict
    )  # what may have been sent last
    edited: frozenset[bytes] = frozenset()  # with the test event that is under way
    put_back: frozenset[bytes] = frozenset()
    downloaded: bool = False  # the entries are of a download, which leaves set-id bits out

    def arrive(self, found: Snapshot, pressed: int) -> None:
        """The files have arrived: `found` is in the sandbox just before the run, and the button was pressed at `pressed`."""
        model = self.model
        if not self.keeps:
            model.tree, model.sent = {}, {}
        self._settle_doubt(found, pressed)
        before = dict(model.tree)
        self.edited, self.put_back = frozenset(model.edited()), frozenset(model.missing())
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
                words = "a" if node.program else "no"
                raise Refuted(
                    f"{printable_name(path)} is {words} program, and has the mode {found[path].mode:04o}"
                )
        loose, self.loose = self.loose, {}
        if self.keeps and self.exact and before:
            self._check_stamps(found, pressed, loose, gone, changed_modes)
        for path in self.edited:
            self.had[path] = {found[path].mtime_ns}

    def ran(self, found: Snapshot) -> None:
        """The run has ended, and left this."""
        self._compare("after the run", found)
        self.entries, self.downloaded = dict(found), False
        links = {
            node.links: self.loose[path]
            for path, node in self.model.tree.items()
            if path in self.loose
        }
        for path, node in self.model.tree.items():
            if node.links in links.keys() - {0}:  # it may have got the name in this run
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
        """What was downloaded is what the model says, to the nanosecond."""
        if download.commits[: len(self.commits)] != self.commits or download.tag != len(self.sent):
            raise Refuted(
                f"the history has {download.tag} tags, and must have {len(self.sent)} that go on from those before"
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
        """A tag holds what was sent with it, and what was printed."""
        files, stdout = download.files(tag)
        sent = self.sent[tag - 1]
        if dict(files) != dict(sent.files):
            differ = sorted(
                path
                for path in files.keys() | sent.files.keys()
                if files.get(path) != sent.files.get(path)
            )
            raise Refuted(
                f"tag {tag} does not hold what was sent: {', '.join(map(printable_name, differ[:3]))} differ"
            )
        if stdout != sent.stdout:
            raise Refuted(
                f"tag {tag} says that {stdout[:60]!r} was printed, and it was {sent.stdout[:60]!r}"
            )

    def adopt(self, download: Download, old: Mapping[bytes, Node], *, accepted: bool) -> None:
        """Go on from what was found after a test event that was cut off; `old` was sent before it."""
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
                # It may have been brought back to the clock, to be put ahead again after a success.
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
            self.had.pop(name, None)  # the stamp that it was given was never seen
            if not accepted:
                self.doubt[name] = (old.get(name), now.get(name))

    def _settle_doubt(self, found: Snapshot, pressed: int) -> None:
        """Of a file that may have been sent or not, that which explains what is there: what had been sent keeps its stamp,
        also where it is put back, and an edit has the newest, which is no older than the press of the button.
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
            for each in both:
                stays = _alike(each, wanted) and (
                    wanted is None or (there is not None and there.kind == wanted.kind)
                )
                now, was = found.get(path), self.entries.get(path)
                # Of a folder that the player no longer has, nothing goes that is something else by now.
                was_folder = wanted is None and each is not None and each.kind == "d"
                left = was_folder and there is not None and there.kind != "d"
                if not _fits(there if stays or left else wanted, now):
                    continue
                if stays and wanted and now and was:
                    before = was.mode & 0o100 if each == wanted else wanted.program
                    if bool(now.mode & 0o100) != bool(before):
                        continue  # it is changed for whom another one was sent, and for nobody else
                if now is not None and self.exact:
                    same = was is not None and now.mtime_ns == was.mtime_ns
                    put_back, edited = _alike(each, wanted), now.mtime_ns > latest and not same
                    if not (same if stays else put_back != edited):
                        continue
                self.model.sent.pop(path, None)
                if each is not None:
                    self.model.sent[path] = self._sent_as(each, both, wanted, there, now)
                break
        self.doubt.clear()

    def _sent_as(
        self,
        each: Node,
        both: Iterable[Node | None],
        wanted: Node | None,
        there: Node | None,
        now: Entry | None,
    ) -> Node:
        """What was sent, if it was this: of an edit that was half made, the permission to execute may be the other's."""
        if wanted is None or _alike(each, wanted) or now is None or there is None:
            return each
        for other in (each, *both):
            program = other is not None and other.program
            if bool(now.mode & 0o100) == (wanted.program or (there.program and not program)):
                return replace(each, program=program)
        return each

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
        touched = {b"."} | {each for name in (*written, *gone) for each in folders_above(name)}
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
                # An edit brings what lies ahead of the clock back to it; it gets its stamp again once a run succeeded.
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
        for path in self.edited:
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
                    f"{printable_name(path)} was put back with the mtime {decimal(found[path].mtime_ns)}, and had {had}"
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
    """But for whether they can be executed, which is changed in place."""
    return one == other or (
        one is not None and other is not None and replace(one, program=other.program) == other
    )


def _fits(node: Node | None, entry: Entry | None) -> bool:
    if node is None or entry is None:
        return node is None and entry is None
    return node.kind == entry.kind and (node.kind != "f" or len(node.content) == entry.size)


def _plain(entry: Entry) -> Entry:
    """As a run-container sees it."""
    return replace(entry, digest="", target=b"", link=b"")


def _changed(path: bytes, was: Entry, now: Entry) -> str:
    return (
        differences({path: _plain(was)}, {path: _plain(now)}) or f"{printable_name(path)} differs"
    )
