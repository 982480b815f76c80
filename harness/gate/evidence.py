"""What budgets are judged by, and the figures that each budget needs from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from harness.gate.budgets import BASELINE, Budget
from harness.inside.errors import UsageError
from harness.measure.metrics import METRICS
from harness.measure.trials.arms import FLOOR
from harness.measure.trials.metric import Kind
from harness.measure.trials.sample import Sample
from harness.measure.trials.scenario import SCENARIOS

Samples: TypeAlias = Sequence[Sample]

Against: TypeAlias = str | Mapping[str, str] | None
"""The arm that is the baseline in the same blocks, of all runners or of each by its name."""


@dataclass(frozen=True)
class Evidence:
    """What budgets are judged by."""

    runs: Sequence[Samples]
    """The samples of each run; blocks are paired within a run."""
    baseline: Samples = ()
    """The samples of the baseline, another run, perhaps an old one."""
    against: Against = None
    """What was measured in the same blocks as the baseline; None: nothing was."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The facts of the first run, for readers of the verdict."""
    remarks: Sequence[str] = ()
    """What a reader must know, such as a run that was cut short or an unlike machine."""

    def base_of(self, runner: str) -> str | None:
        """Return the arm that is the baseline of this runner; None: it has none in its blocks."""
        if self.against is None or isinstance(self.against, str):
            return self.against
        return self.against.get(runner)


@dataclass(frozen=True)
class Figures:
    """The figures of the two sides of a comparison."""

    one: Sequence[float]
    """Those of the budget's own runner and scenario."""
    other: Sequence[float]
    """Those of what it is compared with."""
    paired: bool
    """Whether figures at the same place in both come from the same block."""

    @property
    def blocks(self) -> int:
        return min(len(self.one), len(self.other))


def check_budgets(evidence: Evidence, budgets: Iterable[Budget]) -> None:
    """Raise UsageError for a budget that this evidence cannot answer."""
    measured = measured_arms(evidence.runs)
    for budget in budgets:
        if _apart(evidence, budget):
            _check_baseline(evidence, budget)
        _check_arm(measured, budget.runner, budget.scenario, budget.place, "the result")
        if budget.than is not None:
            _check_arm(measured, *compared_with(evidence, budget), budget.place, "the result")


def check_baseline_given(budget: Budget, *, given: bool) -> None:
    """Raise UsageError for a budget that needs a baseline if there is none."""
    if budget.than == BASELINE and not given:
        raise UsageError(
            f"{budget.place}: there is no baseline; give --baseline RESULT or --against BASE"
        )


def _check_baseline(evidence: Evidence, budget: Budget) -> None:
    check_baseline_given(budget, given=bool(evidence.baseline))
    for arm in (budget.runner, *([FLOOR] if METRICS[budget.metric].kind is Kind.TIME else [])):
        for where, runs in (("the baseline", [evidence.baseline]), ("the result", evidence.runs)):
            _check_arm(measured_arms(runs), arm, budget.scenario, budget.place, where)


def _check_arm(
    measured: Mapping[str, set[str]], runner: str, scenario: str, place: str, where: str
) -> None:
    if runner not in measured:
        raise UsageError(f"{place}: {where} has no runner {runner}; it has: {', '.join(measured)}")
    if scenario not in measured[runner]:
        has = ", ".join(sorted(measured[runner]))
        raise UsageError(f"{place}: {where} has no scenario {scenario} of {runner}; it has: {has}")


def measured_arms(runs: Iterable[Samples]) -> dict[str, set[str]]:
    """Return the runners that were measured, each with its scenarios."""
    scenarios: dict[str, set[str]] = {}
    for samples in runs:
        for sample in samples:
            scenarios.setdefault(sample.runner, set()).add(sample.scenario)
    return scenarios


def compared_with(evidence: Evidence, budget: Budget) -> tuple[str, str]:
    """Return the runner and the scenario that a budget compares with."""
    assert budget.than is not None
    if budget.than == BASELINE:
        return evidence.base_of(budget.runner) or budget.runner, budget.scenario
    if budget.than in SCENARIOS:
        return budget.runner, budget.than
    return budget.than, budget.scenario


def events(evidence: Evidence, runner: str, scenario: str) -> list[Sample]:
    """Return all samples of an arm in a scenario, failed ones included."""
    return [sample for samples in evidence.runs for sample in events_of(samples, runner, scenario)]


def counts(evidence: Evidence, budget: Budget) -> list[tuple[int, float]]:
    """Return the metric in each block. Raises UsageError if it was never measured."""
    return _counts(events(evidence, budget.runner, budget.scenario), budget, budget.runner)


def others(evidence: Evidence, budget: Budget) -> list[float]:
    """Return the metric of the other side. Raises UsageError if it was never measured."""
    runner, scenario = compared_with(evidence, budget)
    samples = (
        list(events_of(evidence.baseline, runner, scenario))
        if _apart(evidence, budget)
        else events(evidence, runner, scenario)
    )
    return [figure for _, figure in _counts(samples, budget, runner)]


def untold(evidence: Evidence, budget: Budget) -> bool:
    """Whether files recompiled were counted on neither side, because there are no object files."""
    if budget.metric != "recompiled" or budget.than is None:
        return False
    runner, scenario = compared_with(evidence, budget)
    theirs = events(evidence, runner, scenario)
    if _apart(evidence, budget):
        theirs = list(events_of(evidence.baseline, runner, scenario))
    both = (*events(evidence, budget.runner, budget.scenario), *theirs)
    return all(sample.recompiled is None for sample in both)


def figures(evidence: Evidence, budget: Budget) -> Figures:
    """Return the two sides that a budget compares, from the completed test events."""
    runner, scenario = compared_with(evidence, budget)
    if _apart(evidence, budget):
        now = [figure for samples in evidence.runs for figure in _comparable(samples, budget)]
        return Figures(now, list(_comparable(evidence.baseline, budget)), paired=False)
    one: list[float] = []
    other: list[float] = []
    paired = scenario == budget.scenario
    for samples in evidence.runs:
        mine = figures_by_block(samples, budget.runner, budget.scenario, budget.metric)
        theirs = figures_by_block(samples, runner, scenario, budget.metric)
        both = mine.keys() & theirs.keys()
        one += [figure for block, figure in mine.items() if block in both or not paired]
        other += [figure for block, figure in theirs.items() if block in both or not paired]
    return Figures(one, other, paired)


def figures_by_block(samples: Samples, runner: str, scenario: str, metric: str) -> dict[int, float]:
    """Return the figures of an arm by block, from the completed test events."""
    return {
        sample.block: figure
        for sample in events_of(samples, runner, scenario)
        if sample.outcome == "completed" and (figure := metric_of(sample, metric))
    }


def _apart(evidence: Evidence, budget: Budget) -> bool:
    """Whether the budget compares with a baseline that was measured in another run."""
    return budget.than == BASELINE and evidence.base_of(budget.runner) is None


def _comparable(samples: Samples, budget: Budget) -> Iterator[float]:
    """Yield figures that mean the same on another day: times become ratios to the floor."""
    mine = figures_by_block(samples, budget.runner, budget.scenario, budget.metric)
    if METRICS[budget.metric].kind is not Kind.TIME:
        yield from mine.values()
        return
    floor = figures_by_block(samples, FLOOR, budget.scenario, "seconds")
    yield from (figure / floor[block] for block, figure in mine.items() if block in floor)


def _counts(samples: Samples, budget: Budget, runner: str) -> list[tuple[int, float]]:
    counted = [
        (sample.block, figure)
        for sample in samples
        if (figure := metric_of(sample, budget.metric)) is not None
    ]
    if not counted:
        raise UsageError(f"{budget.place}: {budget.metric} of {runner} was not measured")
    return counted


def metric_of(sample: Sample, metric: str) -> float | None:
    """Return a sample's figure of one of METRICS; None: it is unknown."""
    if metric.startswith("phase_"):
        return sample.phases.get(metric.removeprefix("phase_"))
    figure: float | None = getattr(sample, metric)
    return figure


def events_of(samples: Samples, runner: str, scenario: str) -> Iterator[Sample]:
    """Yield the samples of an arm in a scenario, in the order of the run."""
    return (sample for sample in samples if sample.runner == runner and sample.scenario == scenario)
