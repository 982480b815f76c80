"""Downloads an avatar to check it: GNU tar unpacks, git and dulwich read.

None of this uses the code that is under proof.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.repo import Repo

from harness.inside.disk import remove_tree
from harness.inside.layout import HISTORY, INCREMENTS, SANDBOX, Avatar
from harness.inside.store import Katas
from harness.inside.tree import Entry, Snapshot, snapshot
from harness.verify.proofs.shared.verdict import Refuted
from harness.verify.testing.sessions import Node

SET_ID = 0o6000
"""Bits of a mode that a download leaves out."""


@dataclass(frozen=True)
class Download:
    """A downloaded avatar, in a folder."""

    folder: Path
    # With contents.
    sandbox: Snapshot
    # Of the tags 1, 2, ...
    commits: tuple[str, ...]

    @property
    def tag(self) -> int:
        return len(self.commits)

    def nodes(self) -> dict[bytes, Node]:
        """Return the tree as a model has it."""
        found: dict[bytes, Node] = {}
        links: dict[bytes, int] = {}
        for path, entry in self.sandbox.items():
            if path == b".":
                continue
            full = os.path.join(os.fsencode(self.folder / SANDBOX), path)
            content = entry.target
            if entry.kind == "f":
                with open(full, "rb") as file:
                    content = file.read()
            number = links.setdefault(entry.link, len(links) + 1) if entry.link else 0
            program = entry.kind == "f" and bool(entry.mode & 0o100)
            found[path] = Node(entry.kind, content, program, number)
        return found

    def files(self, tag: int) -> tuple[dict[bytes, tuple[int, bytes]], bytes]:
        """Return the visible files of a tag, with git's modes, and what the run printed."""
        with Repo(str(self.folder / HISTORY)) as repository:
            commit = repository[ObjectID(self.commits[tag - 1].encode())]
            assert isinstance(commit, Commit)
            top = repository[commit.tree]
            assert isinstance(top, Tree)
            printed = repository[top[b"stdout"][1]]
            assert isinstance(printed, Blob)
            return dict(_files(repository, top[b"sandbox"][1], b"")), printed.data

    def check_history(self) -> None:
        """Check the history by git, if there is one. Raises Refuted for what git objects to."""
        git = shutil.which("git")
        if not git:
            return
        done = subprocess.run(
            [
                git,
                f"--git-dir={self.folder / HISTORY}",
                "fsck",
                "--full",
                "--strict",
                "--no-dangling",
            ],
            capture_output=True,
            text=True,
            errors="backslashreplace",
            check=False,
            env={
                **os.environ,
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
            },
        )
        if done.returncode:
            raise Refuted(f"git fsck: {' '.join((done.stdout + done.stderr).split())[:300]}")


@contextmanager
def downloaded(katas: Katas, avatar: Avatar) -> Iterator[Download]:
    """Download the avatar's kata for the block.

    Raises Refuted if the download is not a whole kata, and what `katas` raise.
    """
    folder = Path(tempfile.mkdtemp(prefix="harness-soak-"))
    try:
        archive = folder / "kata.tar"
        with archive.open("wb") as out:
            katas.download(avatar.kata, out.write)
        done = subprocess.run(
            ["tar", "-xpf", archive, "--no-same-owner", f"./{avatar.name}", f"./{INCREMENTS}"],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            check=False,
        )
        if done.returncode:
            raise Refuted(
                f"GNU tar cannot unpack the download: {' '.join(done.stderr.split())[:300]}"
            )
        yield _read(folder, avatar)
    finally:
        remove_tree(folder)


def _read(folder: Path, avatar: Avatar) -> Download:
    with Repo(str(folder / avatar.name / HISTORY)) as repository:
        found = {os.fsdecode(name): sha.decode() for name, sha in repository.get_refs().items()}
    tags = {
        int(name.rpartition("/")[2]): sha
        for name, sha in found.items()
        if name.startswith("refs/tags/")
    }
    if sorted(tags) != list(range(1, len(tags) + 1)) or found.get("HEAD") != tags.get(len(tags)):
        raise Refuted(
            f"the history has the tags {sorted(tags)}, and its head is not the last of them"
        )
    listed = json.loads((folder / INCREMENTS).read_text()).get(avatar.name, []) if tags else []
    if (numbers := [increment["tag"] for increment in listed]) != sorted(tags):
        raise Refuted(f"the history has the tags {sorted(tags)}, and {INCREMENTS} has {numbers}")
    return Download(
        folder / avatar.name,
        snapshot(folder / avatar.name / SANDBOX, contents=True),
        tuple(tags[number] for number in sorted(tags)),
    )


def without_set_id(tree: Snapshot) -> dict[bytes, Entry]:
    """Return the tree as a download has it."""
    return {path: replace(entry, mode=entry.mode & ~SET_ID) for path, entry in tree.items()}


def _files(
    repository: Repo, tree: ObjectID, prefix: bytes
) -> Iterator[tuple[bytes, tuple[int, bytes]]]:
    folder = repository[tree]
    assert isinstance(folder, Tree)
    for name, mode, sha in folder.items():
        thing = repository[sha]
        if isinstance(thing, Blob):
            yield prefix + name, (mode, thing.data)
        else:
            yield from _files(repository, sha, prefix + name + b"/")
