"""A user's own tree, which is never written to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.inside.errors import TreeError, UsageError
from harness.katas.visible import LINK, VisibleFiles
from harness.measure.trees.source import TreeEdit


class OwnTree:
    """The tree in a folder; an edit puts empty lines at the end of one file, which next to no language minds."""

    answer: str | None = None  # only building tells what it prints

    def __init__(
        self, folder: Path, edit: str, *, header: str | None = None, exclude: Sequence[str] = ()
    ) -> None:
        """`exclude` is what VisibleFiles.from_folder takes. Raises UsageError for a tree that cannot be played, or an edit that
        names no file of it.
        """
        self.name = str(folder)
        self.files = VisibleFiles.from_folder(folder, exclude=exclude)
        self._folder = folder
        self._source = self._find(edit)
        self._header = self._find(header) if header is not None else None

    def write(self, folder: Path) -> None:
        """Copy it to an empty or missing folder, with its stamps. Raises TreeError."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.files.write(folder)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise TreeError(
                f"{self._folder} cannot be copied to {folder}: {error.strerror}"
            ) from error

    def edit(self, number: int, *, headers: int = 0) -> TreeEdit:
        """Edit 1, 2, 3, ...: by turns one empty line more and one less."""
        return lengthened(self._source, number)

    def edit_header(self, number: int, *, sources: int = 0) -> TreeEdit:
        """The same of the header. Raises UsageError if none was named."""
        if self._header is None:
            raise UsageError(
                f"which header of {self.name} shall be edited? give --edit-header FILE"
            )
        return lengthened(self._header, number)

    def _find(self, edit: str) -> TreeEdit:
        """The named file as it is."""
        path = os.path.normpath(edit)
        if (name := os.fsencode(path)) not in self.files:
            raise UsageError(
                f"the edit names no file of {self._folder}: {edit}; give it relative to the tree"
            )
        if self.files[name].mode == LINK:
            raise UsageError(
                f"{edit} is a symlink: an edit would change where it points; name the file itself"
            )
        return TreeEdit(path, self.files[name].read(), None)


def lengthened(unedited: TreeEdit, number: int) -> TreeEdit:
    """The same file with one empty line more at its end, or two, by turns."""
    return replace(unedited, content=unedited.content + b"\n" * (1 + number % 2))
