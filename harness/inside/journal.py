"""Accepting a test event in one atomic step, even if a process dies in the middle.

All changes are written to `accepting.json` first. The rename that makes this file appear is the
moment of acceptance. Then the changes are carried out: the staged tree is exchanged for the
sandbox, or what the run changed is put into it; the commit becomes the head and gets its tag; and
the kata's `increments.json` gets its entry. Each step can be repeated, so the next process finishes
what a crash has left.

That covers crashes of processes. After a power failure, the file system decides which writes
reached the disk, unless they were forced there. So `durable` forces three times: everything that
was decided, before `accepting.json` gets its name; that name, before the caller is told; and
everything that was carried out, before `accepting.json` is removed. New objects get their names in
the history only when they are carried out, because a torn object would be taken for a whole one
ever after.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
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
"""Git configuration of a history. The harness packs it (`repack`); a reading git must not."""


def make_staging(avatar: str, mode: int = 0o755) -> None:
    """Make an empty folder beside the sandbox, which can be exchanged for it.

    Raises OSError, and KatasError if the two could not be exchanged; so the caller learns this
    before the test event is accepted.
    """
    staging, sandbox = os.path.join(avatar, STAGING), os.path.join(avatar, SANDBOX)
    try:
        remove_tree(staging)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        # The run of a harness that was killed still writes into it. It may go on, out of the way.
        incoming = os.path.join(avatar, INCOMING)
        os.makedirs(incoming, exist_ok=True)
        os.rename(staging, os.path.join(incoming, f"orphan-{secrets.token_hex(8)}"))
    os.mkdir(staging, mode)
    try:
        if not can_exchange(staging):
            raise KatasError(
                f"the file system of {avatar} cannot exchange two folders in one step, "
                "which atomic test events need; keep the katas on ext4, xfs, btrfs or tmpfs"
            )
        _try_to_move(sandbox, staging)
    except BaseException:
        os.rmdir(staging)
        raise


def _try_to_move(sandbox: str, staging: str) -> None:
    """Raise KatasError unless the sandbox can be renamed.

    Renaming it onto a folder that is not empty fails with ENOTEMPTY only if nothing else prevents
    it (rename(2)).
    """
    obstacle = os.path.join(staging, "one")
    os.mkdir(obstacle)
    try:
        os.rename(sandbox, staging)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EXDEV):
            raise KatasError(
                f"{sandbox} cannot be exchanged for another folder ({error.strerror}), "
                "which atomic test events need: it must not be a mount point "
                "or have a flag that chattr(1) sets"
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
    """Accept the test event of the avatar in this folder, with its staged tree if there is one.

    With `changes`, only what they bring is staged; with `layers`, a new list of its layers, nothing
    is. `sent` is the new content of `visible.json`. With `durable`, the acceptance survives a power
    failure once this returns.

    Raises OSError, and KatasError if something that should be staged is missing. After an error,
    the state is the one before, or the next `recover` makes it the one after.
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
    # It is accepted by now: a full disk only delays the rest.
    with contextlib.suppress(OSError, Busy):
        recover(avatar)


def is_pending(avatar: str) -> bool:
    """Return whether an acceptance has not been carried out completely."""
    return os.path.exists(os.path.join(avatar, ACCEPTING))


def recover(avatar: str) -> None:
    """Carry out a pending acceptance. Raises OSError, Busy, and KatasError for a damaged file."""
    if not is_pending(avatar):
        return
    path = os.path.join(avatar, ACCEPTING)
    decided = _decided(path)
    sandbox, staging = os.path.join(avatar, SANDBOX), os.path.join(avatar, STAGING)
    if decided["staged"] is not None and _inode(sandbox) != decided["staged"]:
        _replace_sandbox(sandbox, staging)
    if decided["changes"] is not None:
        staged_changes.carry_out(sandbox, staging, unpack_changes(decided["changes"]))
    if decided["layers"] is not None:
        atomic_file.write(os.path.join(avatar, LAYER_LIST), json.dumps(decided["layers"]).encode())
    history, increment = os.path.join(avatar, HISTORY), decided["increment"]
    durable = "objects" in decided
    if durable:
        for name in decided["objects"]:
            objects.place_object(history, name, os.path.join(avatar, INCOMING))
        if decided["sent"] is not None:
            atomic_file.write(os.path.join(avatar, VISIBLE), decided["sent"].encode())
    refs.write_tag(history, increment["tag"], decided["commit"])
    refs.write_branch(history, decided["commit"])
    kata, name = os.path.split(avatar)
    with locked(kata, time.monotonic() + STEP_SECONDS):
        # This file is the only list of earlier test events and of other avatars' test events.
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
    """Return the inode of a folder; 0 if it does not exist."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(folder).st_ino
    return 0


def _replace_sandbox(sandbox: str, staging: str) -> None:
    try:
        exchange(sandbox, staging)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.ENOENT):
            raise
        # A folder of an overlay's lower layer can be removed, but not renamed. If this process
        # dies here, the next one finishes the removal.
        remove_tree(sandbox)
        os.rename(staging, sandbox)


def settle(avatar: str, deadline: float | None = None) -> None:
    """Carry out a pending acceptance for a caller that reads without a lock.

    Waits until `deadline` for another process that is doing so. If it cannot be carried out, the
    caller reads what is there; the avatar's next test event will report the problem.
    """
    if is_pending(avatar):
        deadline = time.monotonic() + STEP_SECONDS if deadline is None else deadline
        with contextlib.suppress(OSError, KatasError), locked(avatar, deadline):
            recover(avatar)


def recover_if_possible(avatar: str) -> None:
    """Carry out a pending acceptance, for a caller that has the avatar's lock and only reads."""
    with contextlib.suppress(OSError, KatasError):
        recover(avatar)


def head(avatar: str) -> tuple[str | None, int]:
    """Return commit and tag of the last accepted test event, or None and 0.

    Raises OSError, and KatasError if the history and `increments.json` do not agree: after a loss,
    nothing may be accepted, least of all as a first test event.
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
        why = (
            f"{listing} does not list the test events that {history} holds; "
            "restore it from a backup"
        )
    elif not commit and not tagged:
        why = (
            f"{listing} lists {tag} test events, and {history} has no reference to them; "
            "restore it from a backup"
        )
    elif not tagged:
        why = (
            f"{history} has lost tag {tag}; {git} tag {tag} main` restores it, "
            "if main has not moved"
        )
    else:
        lost = (
            "has lost its branch main"
            if not commit
            else f"has its branch main elsewhere than at tag {tag}"
        )
        why = (
            f"{history} {lost}, the last test event; "
            f"{git} update-ref {refs.BRANCH} {refs.tag_name(tag)}` restores it"
        )
    raise KatasError(f"{why}; until then no test event is accepted")


def make_history(folder: str, *, durable: bool = False) -> None:
    """Make an empty git repository, as gitrepository-layout(5) describes, if there is none.

    With `durable`, a power failure leaves a whole repository or none. Raises OSError.
    """
    if os.path.exists(os.path.join(folder, "HEAD")):
        return
    for name in ("objects", "refs/heads", "refs/tags"):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    atomic_file.write(os.path.join(folder, "config"), CONFIG)
    head = f"ref: {refs.BRANCH}\n".encode()
    atomic_file.write(os.path.join(folder, "HEAD"), head, sync=sync_disk if durable else None)


def pack_changes(changes: Changes) -> dict[str, Any]:
    """Return the changes as a value that JSON can hold."""
    return {
        "gone": [os.fsdecode(path) for path in changes.gone],
        "brought": [os.fsdecode(path) for path in changes.brought],
        "folders": [
            [os.fsdecode(folder.path), folder.mode, folder.mtime_ns] for folder in changes.folders
        ],
    }


def unpack_changes(data: dict[str, Any]) -> Changes:
    """Return the changes that `pack_changes` made JSON of."""
    return Changes(
        gone=tuple(os.fsencode(path) for path in data["gone"]),
        brought=tuple(os.fsencode(path) for path in data["brought"]),
        folders=tuple(
            Folder(os.fsencode(path), mode, stamp) for path, mode, stamp in data["folders"]
        ),
    )
