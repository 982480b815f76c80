"""The one verdict, of which everything that is shown or written is a view: values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.measure.stats import Interval, VerdictState

EXIT = {VerdictState.PASSED: 0, VerdictState.REGRESSED: 1, VerdictState.INCONCLUSIVE: 3}
"""Exit statuses of `harness gate`; 2 is what cannot be judged."""


@dataclass(frozen=True)
class Ruling:
    """The verdict on one budget."""

    runner: str
    scenario: str
    metric: str
    budget: str  # the sentence
    state: VerdictState
    says: str  # what was found, in one line
    blocks: int
    interval: Interval | None = None  # of the ratio; None for what no noise reaches
    limit: float | None = None  # of the ratio
    to_settle: int | None = None  # blocks in all, where it is inconclusive
    scatter: float | None = None  # of the ratio from block to block, as a factor
    outliers: int = 0  # blocks; they are part of the interval
    warm_up: int = 0  # first blocks that were unlike the rest; so are these

    @property
    def name(self) -> str:
        return f"{self.runner}, {self.scenario}: {self.metric.replace('_', ' ')} {self.budget}"


@dataclass(frozen=True)
class Noise:
    """What a runner differs by from itself: the A/A pair."""

    runner: str
    scenario: str
    interval: Interval
    scatter: float  # from block to block, as a factor


@dataclass(frozen=True)
class Verdict:
    """The one verdict, of which everything that is shown or written is a view."""

    rulings: tuple[Ruling, ...]
    noise: tuple[Noise, ...]
    remarks: tuple[str, ...]
    facts: Mapping[str, Any]

    @property
    def state(self) -> VerdictState:
        """The worst of all."""
        states = {each.state for each in self.rulings}
        return next(
            each
            for each in (VerdictState.REGRESSED, VerdictState.INCONCLUSIVE, VerdictState.PASSED)
            if each in states
        )

    @property
    def exit_status(self) -> int:
        return EXIT[self.state]
