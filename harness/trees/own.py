"""A user's own tree, which is never written to."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from harness.errors import TreeError, UsageError
from harness.katas.visible import VisibleFiles
from harness.trees.source import Edit


class OwnTree:
    """The tree in a folder; an edit puts empty lines at the end of one file, which next to no language minds."""

    answer: str | None = None  # only building tells what it prints

    def __init__(self, folder: Path, edit: str) -> None:
        """Raises UsageError for a tree that cannot be played, or an edit that names no file of it."""
        self.name = str(folder)
        self._files = VisibleFiles.from_folder(folder)
        name = os.fsencode(os.path.normpath(edit))
        if name not in self._files:
            raise UsageError(f"the edit names no file of {folder}: {edit}; give it relative to the tree")
        self._edit, self._folder = os.path.normpath(edit), folder
        self._content = self._files[name].read()

    def write(self, folder: Path) -> None:
        """Copy it to an empty or missing folder. Raises TreeError."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._files.write(folder)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise TreeError(f"{self._folder} cannot be copied to {folder}: {error.strerror}") from error

    def edit(self, number: int) -> Edit:
        """Edit 1, 2, 3, ...: by turns one empty line more and one less."""
        return Edit(self._edit, self._content + b"\n" * (1 + number % 2), None)
