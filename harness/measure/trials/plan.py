"""Which blocks to play: as many as fit into a time budget, or a given number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.measure.trials.scenario import FULL, INCREMENTAL, SCENARIOS

LEAST_ROUNDS = 3
"""Rounds that are always played."""

ROUNDS_TO_A_FULL = 5
"""Rounds after each full block, which takes as long as many rounds but scatters less."""


@dataclass(frozen=True)
class BlockPlan:
    """One block of each scenario that builds from nothing, five rounds of the others, repeated.

    If no scenario builds from nothing, one full block comes first, since the others need a build to
    start from.
    """

    budget_seconds: float
    """The time budget in seconds."""
    blocks: int | None = None
    """Rounds to play instead, however long they take."""
    scenarios: Sequence[str] = (FULL, INCREMENTAL)
    """What to play, each one of SCENARIOS."""

    def facts(self) -> dict[str, Any]:
        """Return the facts for a result file."""
        return {
            "scenarios": list(self.scenarios),
            "budget_seconds": self.budget_seconds,
            "blocks": self.blocks,
        }

    def kinds(self, clock: Callable[[], float]) -> Iterator[str]:
        """Yield the scenario of each block, to be played before the next; `clock` returns seconds.

        A block begins only if it should end within the budget, judged by the longest of its kind so
        far. LEAST_ROUNDS are always played.
        """
        started = clock()
        counted = _rounds(self.scenarios) or list(self.scenarios)
        longest = dict.fromkeys((FULL, *self.scenarios), 0.0)
        played = dict.fromkeys(longest, 0)
        for kind in _pattern(self.scenarios):
            rounds = min(played[name] for name in counted)
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
    return [name for name in scenarios if SCENARIOS[name].build == INCREMENTAL]


def _pattern(scenarios: Sequence[str]) -> Iterator[str]:
    rounds = _rounds(scenarios)
    dear = [name for name in scenarios if name not in rounds]
    if not dear:
        yield FULL
    while True:
        yield from dear
        yield from rounds * ROUNDS_TO_A_FULL
