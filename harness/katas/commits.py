"""The history of an avatar: each accepted test event is a git commit with a tag.

A commit's tree holds `sandbox/` with the visible files, and `stdout`, `stderr` and `status`. The
harness makes the objects, whichever machine holds the katas; any git can read them.
"""

from __future__ import annotations

import io
import stat
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dulwich.errors import NotGitRepository
from dulwich.object_store import BaseObjectStore
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tag, Tree
from dulwich.patch import write_object_diff
from dulwich.refs import Ref
from dulwich.repo import Repo, UnsupportedExtension, UnsupportedVersion

from harness.inside.errors import HarnessError, KatasError, UsageError
from harness.inside.store import Acceptance, Increment, SendPlan
from harness.katas.visible import FOLDER, VisibleFile

_AUTHOR = b"harness <harness@localhost>"
"""Author and committer of every commit."""

_STAND_IN = b"the-name-of-the-file"
"""The file name that dulwich gets in place of the real one; see `_patch`."""

_ESCAPES = {
    7: b"\\a", 8: b"\\b", 9: b"\\t", 10: b"\\n", 11: b"\\v", 12: b"\\f", 13: b"\\r",
    34: b'\\"', 92: b"\\\\",
}  # fmt: skip
"""Bytes that git quotes with a letter.

Other bytes outside printable ASCII get three octal digits.
"""


@dataclass(frozen=True)
class TestEventRecord:
    """One accepted test event, read back from its commit."""

    # Despite its name, this is not a test for pytest to collect.
    __test__ = False

    tag: int
    """Its number, from 1."""
    time: int
    """When it was accepted, in seconds since 1970."""
    files: Mapping[bytes, bytes]
    """Content of each visible file by name."""
    stdout: bytes
    """What the run wrote to stdout."""
    stderr: bytes
    """What the run wrote to stderr."""
    status: str
    """Exit status in decimal digits; empty if the run had none."""


def build_commit(
    files: Mapping[bytes, VisibleFile],
    plan: SendPlan,
    *,
    stdout: bytes,
    stderr: bytes,
    increment: Increment,
    seconds: int,
) -> Acceptance:
    """Build the commit of a test event, with only the objects that the history does not hold.

    `seconds` is its time in seconds since 1970.
    """
    status = "" if increment.status is None else f"{increment.status}\n"
    extras = {b"stdout": stdout, b"stderr": stderr, b"status": status.encode()}
    outputs = {name: Blob.from_string(content) for name, content in extras.items()}
    trees: list[Tree] = []
    # Git cannot store empty folders.
    kept = {name: file for name, file in files.items() if file.mode != FOLDER}
    sandbox = _tree({name: (file.mode, file.blob) for name, file in kept.items()}, trees)
    top = Tree()
    top.add(b"sandbox", stat.S_IFDIR, sandbox.id)
    for name, blob in outputs.items():
        top.add(name, 0o100644, blob.id)
    commit = Commit()
    commit.tree = top.id
    commit.parents = [ObjectID(plan.head.encode())] if plan.head else []
    commit.author = commit.committer = _AUTHOR
    commit.author_time = commit.commit_time = seconds
    commit.author_timezone = commit.commit_timezone = 0
    commit.encoding = b"UTF-8"
    commit.message = f"{increment.tag} {increment.outcome}\n".encode()

    def objects() -> Iterator[tuple[str, bytes]]:
        for file in kept.values():
            if file.blob in plan.missing:
                yield file.blob, _loose(Blob.from_string(file.read()))
        for made in (*outputs.values(), *trees, top, commit):
            yield made.id.decode(), _loose(made)

    return Acceptance(commit.id.decode(), objects(), increment)


def diff(history: Path, old: int, new: int) -> bytes:
    """Return the difference of the visible files of two tags, as `git diff` prints it.

    Tag 0 is the time before the first test event. Raises UsageError for an unknown tag.
    """
    with _reading(history) as repository:
        before, after = (_sandbox(repository, tag).id if tag else None for tag in (old, new))
        store = repository.object_store
        return b"".join(_patch(store, *change) for change in store.tree_changes(before, after))


def read_commit(history: Path, tag: int) -> TestEventRecord:
    """Return one accepted test event. Raises UsageError for an unknown tag."""
    with _reading(history) as repository:
        commit = _commit(repository, tag)
        top = repository[commit.tree]
        assert isinstance(top, Tree)
        output = {
            name: _content(repository, top[name][1]) for name in (b"stdout", b"stderr", b"status")
        }
        files = {
            path: _content(repository, sha)
            for path, sha in _files(repository, _sandbox(repository, tag))
        }
        return TestEventRecord(
            tag=tag,
            time=commit.commit_time,
            files=files,
            stdout=output[b"stdout"],
            stderr=output[b"stderr"],
            status=output[b"status"].decode().strip(),
        )


def _tree(files: Mapping[bytes, tuple[int, str]], trees: list[Tree]) -> Tree:
    """Return the tree of these files; append it and all trees below it to `trees`."""
    tree = Tree()
    folders: dict[bytes, dict[bytes, tuple[int, str]]] = {}
    for name, (mode, blob) in files.items():
        first, slash, rest = name.partition(b"/")
        if slash:
            folders.setdefault(first, {})[rest] = (mode, blob)
        else:
            tree.add(first, mode, ObjectID(blob.encode()))
    for name, below in folders.items():
        tree.add(name, stat.S_IFDIR, _tree(below, trees).id)
    trees.append(tree)
    return tree


def _loose(thing: ShaFile) -> bytes:
    return zlib.compress(thing.type_name + b" %d\0" % thing.raw_length() + thing.as_raw_string(), 1)


def _patch(
    store: BaseObjectStore,
    paths: tuple[bytes | None, bytes | None],
    modes: tuple[int | None, int | None],
    shas: tuple[ObjectID | None, ObjectID | None],
) -> bytes:
    """Return the difference of one file.

    dulwich would write the file's name unquoted, as if it were UTF-8, so it gets another name.
    """
    old, new = (path and _STAND_IN for path in paths)
    out = io.BytesIO()
    write_object_diff(out, store, (old, modes[0], shas[0]), (new, modes[1], shas[1]))
    head, begin, rest = out.getvalue().partition(b"\n@@ ")
    name = paths[0] or paths[1] or b""
    for side in (b"a/", b"b/"):
        head = head.replace(side + _STAND_IN, quoted_as_git(side + name))
    return head + begin + rest


def quoted_as_git(name: bytes) -> bytes:
    """Quote a file's name as git does (git-config(1), core.quotePath)."""
    escaped = b"".join(
        _ESCAPES.get(byte) or (b"%c" % byte if 32 <= byte < 127 else b"\\%03o" % byte)
        for byte in name
    )
    return name if escaped == name else b'"%b"' % escaped


@contextmanager
def _reading(history: Path) -> Iterator[Repo]:
    try:
        with Repo(str(history), bare=True) as repository:
            yield repository
    except HarnessError:
        raise
    except OSError as error:
        raise KatasError(
            f"the history in {history} cannot be read: {error.strerror or error}"
        ) from error
    except NotGitRepository as error:
        raise KatasError(
            f"{history} is no longer a git repository; restore it from a backup"
        ) from error
    except (NotImplementedError, UnsupportedVersion, UnsupportedExtension) as error:
        raise KatasError(
            f"the history in {history} was converted to a format that the harness does not read; "
            "use git itself, such as `git log`, in that folder"
        ) from error
    except Exception as error:
        # dulwich raises a different error for each way in which a history can be damaged.
        raise KatasError(
            f"the history in {history} is damaged; run `git fsck` in it to see where, "
            "and restore it from a backup"
        ) from error


def _commit(repository: Repo, tag: int) -> Commit:
    try:
        name = repository.refs[Ref(b"refs/tags/%d" % tag)]
    except KeyError:
        raise UsageError(
            f"there is no tag {tag}; `harness katas show` lists the tags of an avatar"
        ) from None
    commit = repository[name]
    # Somebody may have replaced the tag by an annotated one.
    while isinstance(commit, Tag):
        commit = repository[commit.object[1]]
    assert isinstance(commit, Commit)
    return commit


def _sandbox(repository: Repo, tag: int) -> Tree:
    top = repository[_commit(repository, tag).tree]
    assert isinstance(top, Tree)
    sandbox = repository[top[b"sandbox"][1]]
    assert isinstance(sandbox, Tree)
    return sandbox


def _files(repository: Repo, tree: Tree, prefix: bytes = b"") -> Iterator[tuple[bytes, ObjectID]]:
    for name, mode, sha in tree.items():
        if stat.S_ISDIR(mode):
            below = repository[sha]
            assert isinstance(below, Tree)
            yield from _files(repository, below, prefix + name + b"/")
        else:
            yield prefix + name, sha


def _content(repository: Repo, sha: ObjectID) -> bytes:
    blob = repository[sha]
    assert isinstance(blob, Blob)
    return blob.data
