"""Which blocks to play: as many as fit into a budget of time, or a number of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.trials.sample import FULL, INCREMENTAL

LEAST_INCREMENTAL = 3
INCREMENTAL_TO_A_FULL = 5
"""A full block takes as long as many incremental ones, and its figures scatter less in proportion."""


@dataclass(frozen=True)
class Plan:
    """One full block, then incremental ones, every sixth block full again."""

    budget_seconds: float
    blocks: int | None = None  # so many incremental blocks instead, however long they take

    def kinds(self, clock: Callable[[], float]) -> Iterator[str]:
        """The kinds of block, to be played as they are taken; `clock` returns seconds.

        A block is begun only if it should end within the budget, by the longest of its kind so far, but one
        full and three incremental ones always are.
        """
        started = clock()
        longest = {FULL: 0.0, INCREMENTAL: 0.0}
        incremental = 0
        for kind in _pattern():
            if self.blocks is not None:
                if incremental >= self.blocks:
                    return
            elif incremental >= LEAST_INCREMENTAL and clock() - started + longest[kind] > self.budget_seconds:
                return
            begun = clock()
            yield kind
            longest[kind] = max(longest[kind], clock() - begun)
            incremental += kind == INCREMENTAL


def _pattern() -> Iterator[str]:
    while True:
        yield FULL
        yield from [INCREMENTAL] * INCREMENTAL_TO_A_FULL
