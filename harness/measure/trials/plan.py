"""Which blocks to play: as many as fit into a budget of time, or a number of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.measure.trials.scenario import FULL, INCREMENTAL, SCENARIOS

LEAST_ROUNDS = 3
ROUNDS_TO_A_FULL = 5
"""A full block takes as long as many incremental ones, and its figures scatter less in proportion."""


@dataclass(frozen=True)
class BlockPlan:
    """One block of each scenario that builds from nothing, then five rounds of the others, and again.

    A build needs one to begin from: where no scenario builds from nothing, one full block comes first all the
    same.
    """

    budget_seconds: float
    blocks: int | None = (
        None  # so many blocks of each scenario of the rounds instead, however long they take
    )
    scenarios: Sequence[str] = (FULL, INCREMENTAL)

    def facts(self) -> dict[str, Any]:
        """For a result file."""
        return {
            "scenarios": list(self.scenarios),
            "budget_seconds": self.budget_seconds,
            "blocks": self.blocks,
        }

    def kinds(self, clock: Callable[[], float]) -> Iterator[str]:
        """The scenarios of the blocks, to be played as they are taken; `clock` returns seconds.

        A block is begun only if it should end within the budget, by the longest of its kind so far, but three
        rounds always are played.
        """
        started = clock()
        counted = _rounds(self.scenarios) or list(self.scenarios)
        longest = dict.fromkeys((FULL, *self.scenarios), 0.0)
        played = dict.fromkeys(longest, 0)
        for kind in _pattern(self.scenarios):
            rounds = min(played[each] for each in counted)
            if self.blocks is not None:
                if rounds >= self.blocks:
                    return
            elif rounds >= LEAST_ROUNDS and clock() - started + longest[kind] > self.budget_seconds:
                return
            begun = clock()
            yield kind
            longest[kind] = max(longest[kind], clock() - begun)
            played[kind] += 1


def _rounds(scenarios: Sequence[str]) -> list[str]:
    return [each for each in scenarios if SCENARIOS[each].build == INCREMENTAL]


def _pattern(scenarios: Sequence[str]) -> Iterator[str]:
    rounds = _rounds(scenarios)
    dear = [each for each in scenarios if each not in rounds]
    if not dear:
        yield FULL
    while True:
        yield from dear
        yield from rounds * ROUNDS_TO_A_FULL
