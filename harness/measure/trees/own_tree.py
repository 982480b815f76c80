"""A user's own tree; the harness never writes to it."""

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
    """The tree in a folder; an edit adds empty lines to a file's end, which rarely matters."""

    answer: str | None = None
    """Unknown before a build."""

    def __init__(
        self, folder: Path, edit: str, *, header: str | None = None, exclude: Sequence[str] = ()
    ) -> None:
        """Read the files; `exclude` is as for VisibleFiles.from_folder.

        Raises UsageError for a tree that cannot be played, or an edit that names none of its files.
        """
        self.name = str(folder)
        self.files = VisibleFiles.from_folder(folder, exclude=exclude)
        self._folder = folder
        self._source = self._find(edit)
        self._header = self._find(header) if header is not None else None

    def write(self, folder: Path) -> None:
        """Copy it to an empty or missing folder, with its mtimes. Raises TreeError."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.files.write(folder)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise TreeError(
                f"{self._folder} cannot be copied to {folder}: {error.strerror}"
            ) from error

    def edit(self, number: int, *, headers: int = 0) -> TreeEdit:
        """Return edit 1, 2, 3, ...: by turns one more empty line and one less."""
        return lengthened(self._source, number)

    def edit_header(self, number: int, *, sources: int = 0) -> TreeEdit:
        """Return such an edit of the header. Raises UsageError if none was named."""
        if self._header is None:
            raise UsageError(
                f"which header of {self.name} is to be edited? give --edit-header FILE"
            )
        return lengthened(self._header, number)

    def _find(self, edit: str) -> TreeEdit:
        """Return the unedited content of the named file."""
        path = os.path.normpath(edit)
        if (name := os.fsencode(path)) not in self.files:
            raise UsageError(
                f"{self._folder} has no file {edit} to edit; give its path relative to the tree"
            )
        if self.files[name].mode == LINK:
            raise UsageError(f"{edit} is a symlink; name the file that it points to")
        return TreeEdit(path, self.files[name].read(), None)


def lengthened(unedited: TreeEdit, number: int) -> TreeEdit:
    """Return the file with one or two more empty lines at its end, by turns."""
    return replace(unedited, content=unedited.content + b"\n" * (1 + number % 2))
