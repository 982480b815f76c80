"""A source tree to play with: it can be written to a folder, and then edited, with known answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class TreeEdit:
    """One known edit of a source tree: the file, its whole new content, and what the program then prints
    last."""

    path: str  # relative to the tree, "/" between folders
    content: bytes  # the complete new content
    answer: (
        str | None
    )  # last line that cyber-dojo.sh prints after this edit; None: not known beforehand


class SourceTree(Protocol):
    """A tree that can be played: written to a folder, then edited, edit 1, 2, 3, ... of each kind in this
    order. Its answers are those after so many edits of either kind.
    """

    name: str
    answer: str | None  # last line printed by the unedited tree

    def write(self, folder: Path) -> None: ...

    def edit(self, number: int, *, headers: int = 0) -> TreeEdit:
        """Edit `number` of a source that one object depends on, after so many edits of the header."""

    def edit_header(self, number: int, *, sources: int = 0) -> TreeEdit:
        """Edit `number` of a header that many objects depend on, after so many edits of the source. Raises
        UsageError for a tree that is not known to have one.
        """
