"""Removing a kata, or an avatar of one, for good.

What is removed is renamed first, which is one step, to a name that nobody looks at; a crash in the middle leaves only
what the next removal takes away.
"""

from __future__ import annotations

import contextlib
import glob
import os
import time

from harness.inside import increments, locks
from harness.inside.disk import remove_tree
from harness.inside.errors import Busy
from harness.inside.layout import AVATAR_NAME, HISTORY, INCREMENTS, SANDBOX

GONE = ".lock"
"""Ends the names that neither listing nor download looks at."""


def remove_avatar(folder: str) -> None:
    """The avatar in this folder with its history, once no test event of it is under way. Raises OSError and KatasError."""
    kata, _ = os.path.split(folder)
    with locks.still(folder), locks.locked(kata):
        _forget(folder)
        os.rename(folder, folder + GONE)
        _forget(folder)


def finish(folder: str) -> None:
    """Do what a crash has left to be done of a removal of the avatar in this folder, for one who takes its name. Raises
    OSError and KatasError.
    """
    if os.path.exists(folder + GONE):
        with locks.locked(os.path.dirname(folder), time.monotonic() + locks.STEP_SECONDS):
            if os.path.exists(os.path.join(folder, HISTORY)):  # one of that name has played since
                remove_tree(folder + GONE)
            else:
                _forget(folder)


def _forget(folder: str) -> None:
    """Whoever was removed is still listed until this; the caller holds the kata's lock."""
    kata, name = os.path.split(folder)
    if os.path.exists(folder + GONE):
        increments.drop(os.path.join(kata, INCREMENTS), name)
        remove_tree(folder + GONE)


def remove_kata(folder: str) -> None:
    """The kata in this folder with all its avatars, once no test event of it is under way. Raises OSError and KatasError."""
    with contextlib.ExitStack() as stack:
        for name in avatars(folder):
            stack.enter_context(locks.still(os.path.join(folder, name)))
        stack.enter_context(locks.locked(folder))
        gone = folder + GONE
        remove_tree(gone)  # left by a crash
        os.rename(folder, gone)
        _take_away(gone)


def finish_katas(root: str) -> None:
    """Take away what crashes have left of katas that were being removed from these. Raises OSError."""
    for gone in glob.glob(os.path.join(glob.escape(root), "??", "?" * 8 + GONE)):
        with contextlib.suppress(Busy, FileNotFoundError), locks.locked(gone, time.monotonic()):
            _take_away(gone)  # which nobody else is at


def _take_away(gone: str) -> None:
    remove_tree(gone)
    with contextlib.suppress(OSError):  # other katas are in it
        os.rmdir(os.path.dirname(gone))


def avatars(kata: str) -> list[str]:
    """The names of a kata's avatars, in order. Raises OSError."""
    return sorted(
        name
        for name in os.listdir(kata)
        if AVATAR_NAME.fullmatch(name) and os.path.isdir(os.path.join(kata, name, SANDBOX))
    )
