"""A source tree to play: it can be written to a folder and then edited."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class TreeEdit:
    """One edit of a source tree."""

    path: str
    """The file, relative to the tree, with "/" between folders."""
    content: bytes
    """Its complete new content."""
    answer: str | None
    """The last line that cyber-dojo.sh prints after the edit; None if unknown beforehand."""


class SourceTree(Protocol):
    """A tree that can be played: written to a folder, then edited.

    The edits of each kind come in the order 1, 2, 3, ... An answer depends on how many edits of
    each kind came before.
    """

    name: str
    """As results call it."""
    answer: str | None
    """The last line that the unedited tree prints; None if unknown beforehand."""

    def write(self, folder: Path) -> None:
        """Write the unedited tree to an empty or missing folder. Raises TreeError."""

    def edit(self, number: int, *, headers: int = 0) -> TreeEdit:
        """Return edit `number` of a source that one object needs, after so many header edits."""

    def edit_header(self, number: int, *, sources: int = 0) -> TreeEdit:
        """Return edit `number` of a header that many objects need, after so many source edits.

        Raises UsageError if the tree has no known header.
        """
