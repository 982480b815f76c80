"""The verdict of a gate, as a value; everything shown or written is a view of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.measure.stats import Interval, VerdictState

EXIT = {VerdictState.PASSED: 0, VerdictState.REGRESSED: 1, VerdictState.INCONCLUSIVE: 3}
"""Exit statuses of `harness gate`; 2 means that it could not judge."""


@dataclass(frozen=True)
class Ruling:
    """The verdict on one budget."""

    runner: str
    """The name of the arm."""
    scenario: str
    """One of SCENARIOS."""
    metric: str
    """One of METRICS, or "test events"."""
    budget: str
    """The sentence."""
    state: VerdictState
    """The verdict."""
    says: str
    """What was found, in one line."""
    blocks: int
    """How many blocks were judged."""
    figure: float | None = None
    """The estimate of a ratio, the worst count, or how many test events failed; None: there is
    none, since nothing was counted.
    """
    interval: Interval | None = None
    """The interval of the ratio; None for a counter, which has no noise."""
    limit: float | None = None
    """The limit of the ratio."""
    to_settle: int | None = None
    """Blocks in all that should settle an inconclusive budget."""
    scatter: float | None = None
    """How the ratio varies from block to block, as a factor above 1."""
    outliers: int = 0
    """Blocks that lie far from the rest; the interval includes them."""
    warm_up: int = 0
    """First blocks that differ from the rest; the interval includes them."""

    @property
    def name(self) -> str:
        return f"{self.runner}, {self.scenario}: {self.metric.replace('_', ' ')} {self.budget}"


@dataclass(frozen=True)
class Noise:
    """How far a runner differs from itself, from its A/A pair."""

    runner: str
    """The name of the arm."""
    scenario: str
    """One of SCENARIOS."""
    interval: Interval
    """The interval of the ratio, which is 1 without noise."""
    scatter: float
    """How the ratio varies from block to block, as a factor above 1."""


@dataclass(frozen=True)
class RunnerVerdict:
    """The part of a verdict that is about one runner."""

    runner: str
    """The name of the arm."""
    state: VerdictState
    """The worst of its rulings."""
    decisive: Ruling
    """A ruling of this state, one about a time if there is one."""

    @property
    def says(self) -> str:
        """What decided it, in a few words; the ruling has the advice."""
        found = self.decisive.says.partition(";")[0]
        return f"{self.decisive.scenario}: {self.decisive.metric.replace('_', ' ')} {found}"


@dataclass(frozen=True)
class Verdict:
    """The verdict on all budgets."""

    rulings: tuple[Ruling, ...]
    """One for each budget, after one for the test events of each heading."""
    noise: tuple[Noise, ...]
    """What the A/A pairs show."""
    remarks: tuple[str, ...]
    """What else a reader must know."""
    facts: Mapping[str, Any]
    """The facts of the first result."""

    @property
    def state(self) -> VerdictState:
        """The worst of all rulings."""
        return _worst(self.rulings)

    @property
    def exit_status(self) -> int:
        return EXIT[self.state]

    @property
    def runners(self) -> tuple[RunnerVerdict, ...]:
        """The verdict on each runner, in the order of the rulings."""
        return tuple(
            _of_runner(runner, [ruling for ruling in self.rulings if ruling.runner == runner])
            for runner in dict.fromkeys(ruling.runner for ruling in self.rulings)
        )


def _worst(rulings: Sequence[Ruling]) -> VerdictState:
    states = {ruling.state for ruling in rulings}
    return next(
        state
        for state in (VerdictState.REGRESSED, VerdictState.INCONCLUSIVE, VerdictState.PASSED)
        if state in states
    )


def _of_runner(runner: str, rulings: Sequence[Ruling]) -> RunnerVerdict:
    """Return the verdict on one runner from its rulings."""
    worst = _worst(rulings)
    alike = [ruling for ruling in rulings if ruling.state is worst]
    # Whoever passes wants to see by how much, which a counter does not tell.
    decisive = next((ruling for ruling in alike if ruling.interval), alike[0])
    return RunnerVerdict(runner, worst, decisive)
