"""Handing a whole sandbox over to the user of the next run."""

from __future__ import annotations

import os
import stat
from collections import Counter

from harness.inside.descent import Met, descend, enter
from harness.inside.disk import give, hold


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
    top = enter(sandbox, None)
    try:
        os.chown(top, *owner)
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
