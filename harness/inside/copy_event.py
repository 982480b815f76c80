"""A test event whose run writes into a copy of the sandbox, which replaces it when accepted."""

from __future__ import annotations

import os

from harness.inside import journal, ownership, tarpipe
from harness.inside.changes import Changes
from harness.inside.descent import LONGEST, goes_deeper
from harness.inside.errors import KatasError
from harness.inside.folder_event import FolderEvent
from harness.inside.layout import STAGING
from harness.inside.store import Acceptance


class CopyEvent(FolderEvent):
    """One test event in a copy."""

    def place(self) -> str:
        """Make an empty folder for the copy, which the run can mount. Raises KatasError.

        Returns its path, relative to the avatar's folder.
        """
        with self._katas_errors("written"):
            journal.make_staging(str(self._folder))
        return STAGING

    @property
    def roots(self) -> tuple[int, ...]:
        """The inode of the copy, once `place` has made it."""
        with self._katas_errors("read"):
            return (os.stat(self._staging).st_ino,)

    def copy(self, owner: tuple[int, int] | None) -> None:
        """Fill the copy, and give it to `owner`.

        Raises KatasError, and StreamCut if the disk is full.
        """
        with self._katas_errors("written"):
            if owner and not ownership.is_handed_over(self._sandbox, owner):
                ownership.hand_over(self._sandbox, owner)
        tarpipe.copy(self._sandbox, self._staging)

    def accept(
        self, acceptance: Acceptance, changes: Changes | None = None, *, mounted: bool = False
    ) -> None:
        """Accept the copy unless its paths are too long to be copied for the next test event."""
        with self._katas_errors("read"):
            if goes_deeper(self._staging, LONGEST):
                raise KatasError(
                    f"the run left nested folders with paths of more than {LONGEST} bytes, "
                    "which cannot be copied"
                )
        super().accept(acceptance, changes, mounted=mounted)
