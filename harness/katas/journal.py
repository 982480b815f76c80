"""Accepting a test event in one atomic step, whatever dies in the middle.

What has to change is written to `accepting.json` first; that file appearing, by a rename, is the moment of
acceptance. Then it is carried out: the staged tree is exchanged for the sandbox, or what the run changed is put
into it, the commit becomes the head and gets its tag, and the kata's increments.json gets its entry. Each step
can be repeated, so whoever comes next finishes what a crash has left. A crash of processes, that is: nothing is
forced to the disk, so a power failure may lose the newest test events.

Runs in the keeper too: standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from harness.changes import Changes, Folder
from harness.disk import exchange
from harness.katas import redo
from harness.katas.layout import ACCEPTING, HISTORY, INCREMENTS, LISTED, SANDBOX, STAGING

BRANCH = "refs/heads/main"

CONFIG = b"""\
[core]
\trepositoryformatversion = 0
\tbare = true
[gc]
\tauto = 0
\tpackRefs = false
"""
"""Of a history. Head and tags are read and written as files here, and a user's `git gc` must leave them so."""


def accept(
    avatar: str,
    objects: Iterable[tuple[str, bytes]],
    commit: str,
    increment: dict[str, Any],
    changes: Changes | None = None,
    layers: dict[str, Any] | None = None,
) -> None:
    """Accept the test event of the avatar in this folder, with its staged tree if there is one; with `changes` only
    what they bring is staged, and with a new list of its `layers` nothing. Raises OSError, and KatasError where what is to
    be staged is not there.

    After an error the state is the one before, or the next `recover` makes it the one after.
    """
    for name, content in objects:
        _write_object(os.path.join(avatar, HISTORY), name, content)
    staging = os.path.join(avatar, STAGING)
    decided: dict[str, Any] = {
        "commit": commit,
        "increment": increment,
        "staged": None,
        "changes": None,
        "layers": layers,
    }
    if changes:
        redo.check(staging, changes)
        decided["changes"] = pack_changes(changes)
    elif os.path.isdir(staging):
        decided["staged"] = os.stat(staging).st_ino
    write(os.path.join(avatar, ACCEPTING), json.dumps(decided).encode())
    with contextlib.suppress(OSError):  # accepted already: a full disk only puts off the rest
        recover(avatar)


def recover(avatar: str) -> None:
    """Carry out an acceptance that was decided. Raises OSError."""
    path = os.path.join(avatar, ACCEPTING)
    try:
        with open(path, "rb") as file:
            decided = json.load(file)
    except FileNotFoundError:
        return
    sandbox = os.path.join(avatar, SANDBOX)
    if decided["staged"] is not None and os.stat(sandbox).st_ino != decided["staged"]:
        exchange(sandbox, os.path.join(avatar, STAGING))
    if decided["changes"] is not None:
        redo.carry_out(sandbox, os.path.join(avatar, STAGING), unpack_changes(decided["changes"]))
    if decided["layers"] is not None:
        write(os.path.join(avatar, LISTED), json.dumps(decided["layers"]).encode())
    history, tag = os.path.join(avatar, HISTORY), decided["increment"]["tag"]
    reference = decided["commit"].encode() + b"\n"
    write(os.path.join(history, "refs/tags", str(tag)), reference)
    write(os.path.join(history, BRANCH), reference)
    kata, name = os.path.split(avatar)
    with locked(kata):
        _add_increment(os.path.join(kata, INCREMENTS), name, decided["increment"])
    os.unlink(path)


def settle(avatar: str) -> None:
    """Carry out what was decided for an avatar, for somebody who reads without a lock; wait for who is at it. Where
    that cannot be done, what is there is read: it is the avatar's next test event's to tell.
    """
    if os.path.exists(os.path.join(avatar, ACCEPTING)):
        with contextlib.suppress(OSError, ValueError), locked(avatar):
            recover(avatar)


def head(avatar: str) -> tuple[str | None, int]:
    """The last accepted test event: its commit and its tag, or None and 0. Raises OSError."""
    history = os.path.join(avatar, HISTORY)
    try:
        with open(os.path.join(history, BRANCH)) as file:
            commit = file.read().strip()
    except FileNotFoundError:
        return None, 0
    return commit, max(int(name) for name in os.listdir(os.path.join(history, "refs/tags")) if name.isdigit())


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Alone with this folder of the katas: a kata's or an avatar's. Its lock is the folder itself, so that no
    file is left behind. Raises OSError.
    """
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.samestat(os.fstat(lock), os.stat(folder)):
            raise FileNotFoundError(errno.ENOENT, "it was removed meanwhile, try again", folder)
        yield
    finally:
        os.close(lock)


def make_history(folder: str) -> None:
    """An empty git repository, as gitrepository-layout(5) wants it, unless it is there. Raises OSError."""
    if os.path.exists(os.path.join(folder, "HEAD")):
        return
    for each in ("objects", "refs/heads", "refs/tags"):
        os.makedirs(os.path.join(folder, each), exist_ok=True)
    write(os.path.join(folder, "config"), CONFIG)
    write(os.path.join(folder, "HEAD"), f"ref: {BRANCH}\n".encode())


def missing(history: str, names: Iterable[str]) -> set[str]:
    """Those of the objects that are not kept loose; one that was packed since is merely written again."""
    return {name for name in names if not os.path.exists(_object_path(history, name))}


def read_increments(path: str) -> dict[str, list[dict[str, Any]]]:
    """A kata's increments.json; empty before the first test event. Raises OSError and ValueError."""
    try:
        with open(path, "rb") as file:
            found: dict[str, list[dict[str, Any]]] = json.load(file)
    except FileNotFoundError:
        return {}
    return found


def write(path: str, content: bytes, temporary: str = "") -> None:
    """Make the file old or new, never half of it. Raises OSError. The caller holds the lock of the folder.

    What a crash leaves is overwritten next time; git overlooks it, by the `.lock` that its own files in
    the making have too.
    """
    temporary = temporary or f"{path}.lock"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def pack_changes(changes: Changes) -> dict[str, Any]:
    """As JSON."""
    return {
        "gone": [os.fsdecode(path) for path in changes.gone],
        "brought": [os.fsdecode(path) for path in changes.brought],
        "folders": [[os.fsdecode(each.path), each.mode, each.mtime_ns] for each in changes.folders],
    }


def unpack_changes(data: dict[str, Any]) -> Changes:
    """What `pack_changes` made JSON of."""
    return Changes(
        gone=tuple(os.fsencode(path) for path in data["gone"]),
        brought=tuple(os.fsencode(path) for path in data["brought"]),
        folders=tuple(Folder(os.fsencode(path), mode, stamp) for path, mode, stamp in data["folders"]),
    )


def drop_increments(path: str, avatar: str) -> None:
    """Forget an avatar's test events in a kata's increments.json, whose lock the caller holds. Raises OSError, and
    ValueError for a file that is damaged.
    """
    increments = read_increments(path)
    if increments.pop(avatar, None) is not None:
        write(path, json.dumps(increments, indent=1).encode())


def _add_increment(path: str, avatar: str, increment: dict[str, Any]) -> None:
    increments = read_increments(path)
    kept = [each for each in increments.get(avatar, []) if each["tag"] != increment["tag"]]
    increments[avatar] = [*kept, increment]
    write(path, json.dumps(increments, indent=1).encode())


def _write_object(history: str, name: str, content: bytes) -> None:
    path = _object_path(history, name)
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, content, os.path.join(history, "objects", "tmp_obj_harness"))


def _object_path(history: str, name: str) -> str:
    return os.path.join(history, "objects", name[:2], name[2:])
