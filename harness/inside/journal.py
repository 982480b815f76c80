"""Accepting a test event in one atomic step, whatever dies in the middle.

What has to change is written to `accepting.json` first; that file appearing, by a rename, is the moment of
acceptance. Then it is carried out: the staged tree is exchanged for the sandbox, or what the run changed is put
into it, the commit becomes the head and gets its tag, and the kata's increments.json gets its entry. Each step
can be repeated, so whoever comes next finishes what a crash has left.

A crash of processes, that is. Where the power fails, the order in which things get to the disk is the file system's, unless
something is forced there. So `durable` forces three times: all that is decided, before the file that decides it has its name;
that name, before anybody is told; and all that was carried out, before that file goes. Objects of the history get their names
only when they are carried out, since one that is torn would be taken for whole ever after.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Iterable
from typing import Any

from harness.inside import atomic_file, increments, objects, refs, staged_changes
from harness.inside.changes import Changes, Folder
from harness.inside.disk import (
    can_exchange,
    exchange,
    remove_tree,
    sync_disk,
    sync_file,
    sync_folder,
)
from harness.inside.errors import Busy, KatasError
from harness.inside.layout import (
    ACCEPTING,
    HISTORY,
    INCOMING,
    INCREMENTS,
    LAYER_LIST,
    SANDBOX,
    STAGING,
    VISIBLE,
)
from harness.inside.locks import STEP_SECONDS, locked

CONFIG = b"""\
[core]
\trepositoryformatversion = 0
\tbare = true
[gc]
\tauto = 0
"""
"""Of a history. It is packed by whoever keeps it (`repack`), never by a git that is only to read it."""


def make_staging(avatar: str, mode: int = 0o755) -> None:
    """Make an empty folder beside the sandbox, whose place it can take. Raises KatasError where it could not, so that this is
    known before a test event is accepted, and OSError.
    """
    staging, sandbox = os.path.join(avatar, STAGING), os.path.join(avatar, SANDBOX)
    remove_tree(staging)
    os.mkdir(staging, mode)
    try:
        if not can_exchange(staging):
            raise KatasError(
                f"the file system of {avatar} cannot exchange two folders in one step, without which no test "
                "event is accepted whole or not at all; keep the katas on ext4, xfs, btrfs or tmpfs"
            )
        _try_to_move(sandbox, staging)
    except BaseException:
        os.rmdir(staging)
        raise


def _try_to_move(sandbox: str, staging: str) -> None:
    """No folder takes the place of one that is not empty: if nothing else is in the way, that is the answer (rename(2))."""
    obstacle = os.path.join(staging, "one")
    os.mkdir(obstacle)
    try:
        os.rename(sandbox, staging)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EXDEV):
            raise KatasError(
                f"{sandbox} cannot be exchanged for another folder ({error.strerror}), without which no test event is accepted "
                "whole or not at all: it must be no mount point, and have no flag that chattr(1) sets"
            ) from error
    finally:
        os.rmdir(obstacle)


def accept(
    avatar: str,
    contents: Iterable[tuple[str, bytes]],
    commit: str,
    increment: dict[str, Any],
    changes: Changes | None = None,
    layers: dict[str, Any] | None = None,
    *,
    durable: bool = False,
    sent: bytes | None = None,
) -> None:
    """Accept the test event of the avatar in this folder, with its staged tree if there is one; with `changes` only
    what they bring is staged, and with a new list of its `layers` nothing. `sent` is what is to stand in visible.json once it
    is accepted. Raises OSError, and KatasError where what is to be staged is not there.

    With `durable` no failure of the power undoes it once this returns.
    After an error the state is the one before, or the next `recover` makes it the one after.
    """
    history = os.path.join(avatar, HISTORY)
    staged = []
    for name, content in contents:
        if not durable:
            objects.write_object(history, name, content)
        elif objects.stage(history, name, content, os.path.join(avatar, INCOMING)):
            staged.append(name)
    staging = os.path.join(avatar, STAGING)
    decided: dict[str, Any] = {
        "commit": commit,
        "increment": increment,
        "staged": None,
        "changes": None,
        "layers": layers,
    }
    if changes:
        staged_changes.check_staged(os.path.join(avatar, SANDBOX), staging, changes)
        decided["changes"] = pack_changes(changes)
    elif os.path.isdir(staging):
        decided["staged"] = os.stat(staging).st_ino
    if durable:
        decided |= {"objects": staged, "sent": None if sent is None else sent.decode()}
    content = json.dumps(decided).encode()
    atomic_file.write(os.path.join(avatar, ACCEPTING), content, sync=sync_disk if durable else None)
    if durable:
        sync_folder(avatar)
    with contextlib.suppress(OSError, Busy):  # accepted already: a full disk only puts off the rest
        recover(avatar)


def is_pending(avatar: str) -> bool:
    """Whether a test event is accepted, and not all of that is carried out."""
    return os.path.exists(os.path.join(avatar, ACCEPTING))


def recover(avatar: str) -> None:
    """Carry out an acceptance that was decided. Raises OSError, Busy, and KatasError for a damaged file."""
    if not is_pending(avatar):
        return
    path = os.path.join(avatar, ACCEPTING)
    decided = _decided(path)
    sandbox, staging = os.path.join(avatar, SANDBOX), os.path.join(avatar, STAGING)
    if decided["staged"] is not None and _inode(sandbox) != decided["staged"]:
        _take_the_place(sandbox, staging)
    if decided["changes"] is not None:
        staged_changes.carry_out(sandbox, staging, unpack_changes(decided["changes"]))
    if decided["layers"] is not None:
        atomic_file.write(os.path.join(avatar, LAYER_LIST), json.dumps(decided["layers"]).encode())
    history, increment = os.path.join(avatar, HISTORY), decided["increment"]
    durable = "objects" in decided
    if durable:
        for each in decided["objects"]:
            objects.place_object(history, each, os.path.join(avatar, INCOMING))
        if decided["sent"] is not None:
            atomic_file.write(os.path.join(avatar, VISIBLE), decided["sent"].encode())
    refs.write_tag(history, increment["tag"], decided["commit"])
    refs.write_branch(history, decided["commit"])
    kata, name = os.path.split(avatar)
    with locked(kata, time.monotonic() + STEP_SECONDS):
        # A torn one would be repaired for this test event alone: those before it, and of other avatars, are nowhere else.
        sync = sync_file if durable else None
        increments.add(os.path.join(kata, INCREMENTS), name, increment, sync=sync)
    if durable:
        with open(path, "rb") as file:
            sync_disk(file.fileno())
    os.unlink(path)


def _decided(path: str) -> dict[str, Any]:
    decided = atomic_file.parse_json(path, atomic_file.read(path))
    parts = {"commit", "increment", "staged", "changes", "layers"}
    of_durable = {"objects", "sent"}
    if (
        not isinstance(decided, dict)
        or decided.keys() not in (parts, parts | of_durable)
        or "tag" not in decided["increment"]
    ):
        raise atomic_file.damaged(path)
    return decided


def _inode(folder: str) -> int:
    """0 where there is none."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(folder).st_ino
    return 0


def _take_the_place(sandbox: str, staging: str) -> None:
    try:
        exchange(sandbox, staging)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.ENOENT):
            raise
        # A folder of an overlay's lower layer can be removed, but not renamed. Whoever finds it half removed does the rest.
        remove_tree(sandbox)
        os.rename(staging, sandbox)


def settle(avatar: str, deadline: float | None = None) -> None:
    """Carry out what was decided for an avatar, for somebody who reads without a lock; wait for who is at it. Where
    that cannot be done, what is there is read: it is the avatar's next test event's to tell.
    """
    if is_pending(avatar):
        deadline = time.monotonic() + STEP_SECONDS if deadline is None else deadline
        with contextlib.suppress(OSError, KatasError), locked(avatar, deadline):
            recover(avatar)


def recover_if_possible(avatar: str) -> None:
    """The same for somebody who has the avatar's lock, and only reads."""
    with contextlib.suppress(OSError, KatasError):
        recover(avatar)


def head(avatar: str) -> tuple[str | None, int]:
    """The last accepted test event: its commit and its tag, or None and 0. Raises OSError, and KatasError where the history
    and increments.json do not agree: from what was lost nothing may go on, least of all from the beginning.
    """
    history, (kata, name) = os.path.join(avatar, HISTORY), os.path.split(avatar)
    listing = os.path.join(kata, INCREMENTS)
    tag = increments.last(listing, name)
    commit = refs.read_reference(history, refs.BRANCH)
    tagged = refs.read_reference(history, refs.tag_name(tag or 1))
    if tag and commit and commit == tagged:
        return commit, tag
    if not (tag or commit or tagged):
        return None, 0
    git = f"`git --git-dir={history}"
    if not tag:
        why = f"{listing} does not list the test events that {history} holds; put it back from a backup"
    elif not commit and not tagged:
        why = f"{listing} lists {tag} test events, and {history} has no reference to them; put it back from a backup"
    elif not tagged:
        why = f"{history} has lost tag {tag}; {git} tag {tag} main` puts it back, if main is where it was"
    else:
        lost = (
            "has lost its branch main"
            if not commit
            else f"has its branch main elsewhere than at tag {tag}"
        )
        why = f"{history} {lost}, the last test event; {git} update-ref {refs.BRANCH} {refs.tag_name(tag)}` puts it back"
    raise KatasError(f"{why}; until then no test event is accepted")


def make_history(folder: str, *, durable: bool = False) -> None:
    """An empty git repository, as gitrepository-layout(5) wants it, unless it is there; with `durable` it is there as a whole or
    not at all even where the power fails. Raises OSError.
    """
    if os.path.exists(os.path.join(folder, "HEAD")):
        return
    for each in ("objects", "refs/heads", "refs/tags"):
        os.makedirs(os.path.join(folder, each), exist_ok=True)
    atomic_file.write(os.path.join(folder, "config"), CONFIG)
    head = f"ref: {refs.BRANCH}\n".encode()
    atomic_file.write(os.path.join(folder, "HEAD"), head, sync=sync_disk if durable else None)


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
        folders=tuple(
            Folder(os.fsencode(path), mode, stamp) for path, mode, stamp in data["folders"]
        ),
    )
