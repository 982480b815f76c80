"""Removing a kata, or an avatar of one, for good.

A folder is renamed first, in one step, to a name that everything else ignores. What a crash leaves
after that, the next removal takes away.
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
"""Ending of the names that listings and downloads ignore."""


def remove_avatar(folder: str) -> None:
    """Remove the avatar in this folder and its history, once no test event of it is in progress.

    Raises OSError and KatasError.
    """
    kata, _ = os.path.split(folder)
    with locks.still(folder), locks.locked(kata):
        _forget(folder)
        os.rename(folder, folder + GONE)
        _forget(folder)


def finish(folder: str) -> None:
    """Finish an interrupted removal of this avatar, so that its name can be used again.

    Raises OSError and KatasError.
    """
    if os.path.exists(folder + GONE):
        with locks.locked(os.path.dirname(folder), time.monotonic() + locks.STEP_SECONDS):
            # A history means that another avatar of this name has played since.
            if os.path.exists(os.path.join(folder, HISTORY)):
                remove_tree(folder + GONE)
            else:
                _forget(folder)


def _forget(folder: str) -> None:
    """Remove a renamed avatar and its increments. The caller holds the kata's lock."""
    kata, name = os.path.split(folder)
    if os.path.exists(folder + GONE):
        increments.drop(os.path.join(kata, INCREMENTS), name)
        remove_tree(folder + GONE)


def remove_kata(folder: str) -> None:
    """Remove the kata in this folder, once no test event of it is in progress.

    Raises OSError and KatasError.
    """
    with contextlib.ExitStack() as stack:
        for name in avatars(folder):
            stack.enter_context(locks.still(os.path.join(folder, name)))
        stack.enter_context(locks.locked(folder))
        gone = folder + GONE
        # A crash may have left this folder.
        remove_tree(gone)
        os.rename(folder, gone)
        _take_away(gone)


def finish_katas(root: str) -> None:
    """Finish interrupted removals of katas below this folder. Raises OSError."""
    for gone in glob.glob(os.path.join(glob.escape(root), "??", "?" * 8 + GONE)):
        with contextlib.suppress(Busy, FileNotFoundError), locks.locked(gone, time.monotonic()):
            _take_away(gone)


def _take_away(gone: str) -> None:
    remove_tree(gone)
    # The folder above may hold other katas.
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(gone))


def avatars(kata: str) -> list[str]:
    """Return the names of a kata's avatars, sorted. Raises OSError."""
    return sorted(
        name
        for name in os.listdir(kata)
        if AVATAR_NAME.fullmatch(name) and os.path.isdir(os.path.join(kata, name, SANDBOX))
    )
