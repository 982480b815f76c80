"""Handing a whole sandbox over to the user of a run that works in it, and only when it must be.

The owner of the sandbox's own folder says whether everything in it was handed over to that user.
Whoever is about to change the tree takes that folder back first. So no test event has to look
through a tree to learn whose it is, whoever changed it before, and wherever that one died.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Iterator

from harness.inside.descent import Met, descend
from harness.inside.disk import give, hold, sync_folder


def is_handed_over(sandbox: str, owner: tuple[int, int]) -> bool:
    """Return whether a user owns the whole sandbox. Raises OSError."""
    return os.lstat(sandbox).st_uid == owner[0]


@contextlib.contextmanager
def changing(
    sandbox: str, owner: tuple[int, int] | None, *, durable: bool = False
) -> Iterator[None]:
    """Surround changes of a sandbox; if the block ends well, all that it made belongs to `owner`.

    With None, it belongs to the caller. Until it belongs to `owner`, the sandbox counts as not
    handed over; with `durable`, after a power failure too. Raises OSError.
    """
    own = (os.geteuid(), os.getegid())
    # Who may not give files away has never handed a sandbox over.
    with contextlib.suppress(PermissionError):
        if not is_handed_over(sandbox, own):
            _give_top(sandbox, own)
            if durable:
                sync_folder(sandbox)
    yield
    if owner:
        _give_top(sandbox, owner)


def hand_over(sandbox: str, owner: tuple[int, int]) -> None:
    """Make a user the owner of the whole sandbox, as a volume mount needs it. Raises OSError.

    The user may be at work in the sandbox meanwhile, through a team mate's run. Whoever owns a
    folder can put something else into it, so folders are handed over after their contents, and the
    sandbox last. A file that has names outside the sandbox may belong to somebody's history, and
    keeps its owner.
    """
    names: Counter[tuple[int, int]] = Counter()
    for met in descend(sandbox):
        if not stat.S_ISDIR(met.status.st_mode):
            _give(met, owner, folders=False, names=names)
    for met in descend(sandbox):
        if stat.S_ISDIR(met.status.st_mode) and met.path != b".":
            _give(met, owner, folders=True, names=names)
    _give_top(sandbox, owner)


def _give_top(sandbox: str, owner: tuple[int, int]) -> None:
    """Make a user the owner of the sandbox's own folder, whose mode may forbid entering it."""
    top = hold(sandbox)
    try:
        give(top, owner)
    finally:
        os.close(top)


def _give(
    met: Met, owner: tuple[int, int], *, folders: bool, names: Counter[tuple[int, int]]
) -> None:
    """Hand over one entry; a file with several names only when the last of them is met.

    An entry that has become something else meanwhile keeps its owner.
    """
    if (met.status.st_uid, met.status.st_gid) == owner:
        return
    try:
        held = hold(met.name, parent=met.parent)
    except FileNotFoundError:
        return
    try:
        status = os.fstat(held)
        file = (status.st_dev, status.st_ino)
        names[file] += 1
        if stat.S_ISDIR(status.st_mode) == folders and (folders or names[file] == status.st_nlink):
            give(held, owner)
    finally:
        os.close(held)
