"""Removing a kata, or an avatar of one, for good.

What is removed is renamed first, which is one step, to a name that nobody looks at; a crash in the middle leaves only
what the next removal takes away. Runs in the keeper too: standard library only.
"""

from __future__ import annotations

import contextlib
import os

from harness.disk import remove_tree
from harness.katas import journal
from harness.katas.layout import AVATAR_NAME, INCREMENTS, SANDBOX

GONE = ".lock"
"""Ends the names that neither listing nor download looks at."""


def remove_avatar(folder: str) -> None:
    """The avatar in this folder with its history, once no test event of it is under way. Raises OSError."""
    kata, name = os.path.split(folder)
    with journal.locked(folder), journal.locked(kata):
        journal.drop_increments(os.path.join(kata, INCREMENTS), name)
        _remove(folder)


def remove_kata(folder: str) -> None:
    """The kata in this folder with all its avatars, once no test event of it is under way. Raises OSError."""
    with contextlib.ExitStack() as stack:
        for name in avatars(folder):
            stack.enter_context(journal.locked(os.path.join(folder, name)))
        stack.enter_context(journal.locked(folder))
        _remove(folder)
    with contextlib.suppress(OSError):  # other katas are in it
        os.rmdir(os.path.dirname(folder))


def avatars(kata: str) -> list[str]:
    """The names of a kata's avatars, in order. Raises OSError."""
    return sorted(
        name
        for name in os.listdir(kata)
        if AVATAR_NAME.fullmatch(name) and os.path.isdir(os.path.join(kata, name, SANDBOX))
    )


def _remove(folder: str) -> None:
    gone = folder + GONE
    remove_tree(gone)  # left by a crash
    os.rename(folder, gone)
    remove_tree(gone)
