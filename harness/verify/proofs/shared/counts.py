"""Counts of what a search has tried."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from harness.inside.tree import Snapshot


@dataclass
class Tally:
    """The counts of one search."""

    # Test events that were played.
    events: int = 0
    # Entries of trees that were compared.
    entries: int = 0
    # Kind of content to the number of examples that had it.
    tried: Counter[str] = field(default_factory=Counter)

    def compared(self, *trees: Snapshot) -> None:
        """Count the entries of trees that are compared with each other, or with a model."""
        self.entries += max(map(len, trees))

    def label(self, *kinds: str) -> None:
        """Count the kinds of content of one example; each counts once."""
        self.tried.update(set(kinds))
