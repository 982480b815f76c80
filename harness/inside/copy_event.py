"""A test event whose run writes into a copy of the sandbox beside it: to accept it is to exchange the two."""

from __future__ import annotations

import os

from harness.inside import journal, saving, tarpipe
from harness.inside.changes import Changes
from harness.inside.descent import LONGEST, goes_deeper
from harness.inside.errors import KatasError
from harness.inside.folder_event import FolderEvent
from harness.inside.layout import STAGING
from harness.inside.store import Acceptance


class CopyEvent(FolderEvent):
    """One test event in a copy."""

    def place(self) -> str:
        """Make the folder of the copy, empty yet, to be mounted; returns it relative to the avatar's. Raises KatasError."""
        with self._katas_errors("written"):
            journal.make_staging(str(self._folder))
        return STAGING

    @property
    def roots(self) -> tuple[int, ...]:
        """Of the copy, once there is a place for it."""
        with self._katas_errors("read"):
            return (os.stat(self._staging).st_ino,)

    def copy(self, owner: tuple[int, int] | None) -> None:
        """Fill it, for a player who is to own it. Raises KatasError, and StreamCut where the disk is full."""
        with self._katas_errors("written"):
            if owner and os.stat(self._sandbox).st_uid != owner[0]:
                saving.hand_over(self._sandbox, owner)
        tarpipe.copy(self._sandbox, self._staging)

    def accept(self, acceptance: Acceptance, changes: Changes | None = None) -> None:
        """What the next test event could not copy is refused."""
        with self._katas_errors("read"):
            if goes_deeper(self._staging, LONGEST):
                raise KatasError(
                    f"the run left a nest of folders with paths of more than {LONGEST} bytes, of which no copy can be made"
                )
        super().accept(acceptance, changes)
