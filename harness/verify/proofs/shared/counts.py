"""How much of the space of what could be tried a search has touched."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from harness.inside.tree import Snapshot


@dataclass
class Tally:
    """Of one search."""

    events: int = 0  # test events that were played
    entries: int = 0  # of trees, that were held against what they must be
    tried: Counter[str] = field(
        default_factory=Counter
    )  # kind of thing to the number of examples that had it

    def compared(self, *trees: Snapshot) -> None:
        """These trees are compared with each other, or one with a model."""
        self.entries += max(map(len, trees))

    def label(self, *kinds: str) -> None:
        """An example has these; each counts once."""
        self.tried.update(set(kinds))
