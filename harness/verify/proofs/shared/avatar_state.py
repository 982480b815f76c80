"""What the katas hold of an avatar, read through their own interface, to compare over time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from dulwich.repo import Repo

from harness.inside.errors import HarnessError
from harness.inside.layout import Avatar, printable_name
from harness.inside.store import Katas
from harness.inside.tree import Entry, Snapshot
from harness.katas import commits
from harness.katas.visible import VisibleFiles
from harness.verify.proofs.shared.verdict import Refuted


@dataclass(frozen=True)
class AvatarState:
    """What the katas hold of one avatar between two test events."""

    # With contents.
    sandbox: Snapshot
    # Of the tags 1, 2, ...
    commits: tuple[str, ...]

    @property
    def tag(self) -> int:
        """The tag of the last accepted test event; 0 before the first."""
        return len(self.commits)


def avatar_state(katas: Katas, avatar: Avatar) -> AvatarState:
    """Return the state of an avatar that was played. Raises Refuted if its parts disagree."""
    try:
        with closing(katas.event(avatar)) as event:
            sandbox = event.snapshot(contents=True)
        increments = [
            increment.tag for increment in katas.list(avatar.kata)[avatar.kata][avatar.name]
        ]
        with katas.history(avatar) as history:
            with Repo(str(history), bare=True) as repository:
                found = {
                    os.fsdecode(name): sha.decode() for name, sha in repository.get_refs().items()
                }
            head = found.get("HEAD")
            tags = {
                int(name.rpartition("/")[2]): sha
                for name, sha in found.items()
                if name.startswith("refs/tags/")
            }
            if tags:
                commits.read_commit(history, max(tags))
    except HarnessError as error:
        raise Refuted(f"the katas cannot be read: {error}") from error
    if sorted(tags) != list(range(1, len(tags) + 1)) or head != tags.get(len(tags)):
        raise Refuted(
            f"the history has the tags {sorted(tags)}, and its head is not the last of them"
        )
    if increments != sorted(tags):
        raise Refuted(f"the history has the tags {sorted(tags)}, increments.json has {increments}")
    return AvatarState(sandbox, tuple(tags[tag] for tag in sorted(tags)))


def changed(before: AvatarState, after: AvatarState, old: VisibleFiles, *sent: VisibleFiles) -> str:
    """Describe how `after` differs from `before`; empty if it does not.

    Visible files, which were `old`, may be as they were in any of `sent`.
    """
    if after.commits != before.commits:
        return f"there is a tag {after.tag}"
    names = {*old, *(name for files in sent for name in files)}
    may_be_touched = {b"."} | {folder for name in names for folder in _folders(name)}
    for path in sorted(before.sandbox.keys() | after.sandbox.keys()):
        was, now = before.sandbox.get(path), after.sandbox.get(path)
        if was == now or (path in may_be_touched and (not was or not now or was.kind == now.kind)):
            continue
        if path in names:
            if not now and any(path not in files for files in sent):
                continue
            if now and any(path in files and holds(now, files[path].read()) for files in sent):
                continue
        what = "is gone" if not now else "is there" if not was else "differs"
        return f"{printable_name(path)} {what}"
    return ""


def holds(entry: Entry, content: bytes) -> bool:
    """Whether the entry is a file with this content."""
    return entry.kind == "f" and entry.digest == hashlib.sha256(content).hexdigest()


def products(sandbox: Snapshot, files: Mapping[bytes, object]) -> dict[bytes, Entry]:
    """Return the entries that are neither visible files nor folders of visible files."""
    visible = {b".", *files} | {folder for name in files for folder in _folders(name)}
    return {path: entry for path, entry in sandbox.items() if path not in visible}


def _folders(name: bytes) -> list[bytes]:
    parts = name.split(b"/")[:-1]
    return [b"/".join(parts[: count + 1]) for count in range(len(parts))]
