"""A test event whose run writes into a copy of the sandbox beside it: to accept it is to exchange the two.

Runs in the keeper too: standard library only.
"""

from __future__ import annotations

import os

from harness import tarpipe
from harness.disk import remove_tree
from harness.katas import saving
from harness.katas.layout import STAGING
from harness.katas.store import FolderEvent


class TrialEvent(FolderEvent):
    """One test event in a copy."""

    def place(self) -> str:
        """Make the folder of the copy, empty yet, to be mounted; returns it relative to the avatar's. Raises KatasError."""
        with self._saying("written"):
            remove_tree(self._staging)
            os.mkdir(self._staging, 0o755)
        return STAGING

    def copy(self, owner: tuple[int, int] | None) -> None:
        """Fill it, for a player who is to own it. Raises KatasError, and StreamCut where the disk is full."""
        with self._saying("written"):
            if owner and os.stat(self._sandbox).st_uid != owner[0]:
                saving.hand_over(self._sandbox, owner)
        tarpipe.copy(self._sandbox, self._staging)
