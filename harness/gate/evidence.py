"""What there is to judge by, and the figures that a budget asks of it: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from harness.gate.budgets import BASELINE, TIMES, Budget
from harness.inside.errors import UsageError
from harness.measure.trials.arms import FLOOR
from harness.measure.trials.sample import Sample
from harness.measure.trials.scenario import SCENARIOS

Samples: TypeAlias = Sequence[Sample]


@dataclass(frozen=True)
class Evidence:
    """What there is to judge by."""

    runs: Sequence[Samples]  # a run's samples each; blocks are paired within a run
    baseline: Samples = ()  # of another run, long ago perhaps
    against: str | None = (
        None  # the arm that is the baseline, where it was measured in the same blocks
    )
    facts: Mapping[str, Any] = field(
        default_factory=dict
    )  # of the first run, for whoever reads the verdict
    remarks: Sequence[
        str
    ] = ()  # what a reader must know: a run that was cut short, an unlike machine


@dataclass(frozen=True)
class Figures:
    """What is to be compared. The figures of one block stand at the same place in both, if they are paired."""

    one: Sequence[float]
    other: Sequence[float]
    paired: bool

    @property
    def blocks(self) -> int:
        return min(len(self.one), len(self.other))


def check_budgets(evidence: Evidence, budgets: Iterable[Budget]) -> None:
    """Raise UsageError for a budget that this evidence cannot answer."""
    measured = measured_arms(evidence.runs)
    for each in budgets:
        if each.than == BASELINE and evidence.against is None:
            _check_baseline(evidence, each)
        _check_arm(measured, each.runner, each.scenario, each.place, "the result")
        if each.than is not None:
            _check_arm(measured, *compared_with(evidence, each), each.place, "the result")


def check_baseline_given(budget: Budget, *, given: bool) -> None:
    """Raise UsageError for a budget of the baseline where none was given."""
    if budget.than == BASELINE and not given:
        raise UsageError(
            f"{budget.place}: there is no baseline; give --baseline RESULT or --against BASE"
        )


def _check_baseline(evidence: Evidence, budget: Budget) -> None:
    check_baseline_given(budget, given=bool(evidence.baseline))
    for arm in (budget.runner, *([FLOOR] if budget.metric in TIMES else [])):
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
    """The runners that were measured, and their scenarios."""
    found: dict[str, set[str]] = {}
    for samples in runs:
        for each in samples:
            found.setdefault(each.runner, set()).add(each.scenario)
    return found


def compared_with(evidence: Evidence, budget: Budget) -> tuple[str, str]:
    """The runner and the scenario that a budget compares with."""
    assert budget.than is not None
    if budget.than == BASELINE:
        return evidence.against or budget.runner, budget.scenario
    if budget.than in SCENARIOS:
        return budget.runner, budget.than
    return budget.than, budget.scenario


def events(evidence: Evidence, runner: str, scenario: str) -> list[Sample]:
    """All of an arm, those that failed as well."""
    return [each for samples in evidence.runs for each in _of(samples, runner, scenario)]


def counts(evidence: Evidence, budget: Budget) -> list[tuple[int, float]]:
    """The metric in each block. Raises UsageError where it was never measured."""
    return _counts(events(evidence, budget.runner, budget.scenario), budget, budget.runner)


def others(evidence: Evidence, budget: Budget) -> list[float]:
    """The metric of what the budget compares with. Raises UsageError where it was never measured."""
    runner, scenario = compared_with(evidence, budget)
    apart = budget.than == BASELINE and evidence.against is None
    samples = (
        list(_of(evidence.baseline, runner, scenario))
        if apart
        else events(evidence, runner, scenario)
    )
    return [found for _, found in _counts(samples, budget, runner)]


def untold(evidence: Evidence, budget: Budget) -> bool:
    """Whether a comparison of files recompiled has none on either side: no object files tell of such a build."""
    if budget.metric != "recompiled" or budget.than is None:
        return False
    runner, scenario = compared_with(evidence, budget)
    theirs = events(evidence, runner, scenario)
    if budget.than == BASELINE and evidence.against is None:
        theirs = list(_of(evidence.baseline, runner, scenario))
    both = (*events(evidence, budget.runner, budget.scenario), *theirs)
    return all(each.recompiled is None for each in both)


def figures(evidence: Evidence, budget: Budget) -> Figures:
    """What a budget compares, of the test events that completed."""
    runner, scenario = compared_with(evidence, budget)
    if budget.than == BASELINE and evidence.against is None:
        now = [each for samples in evidence.runs for each in _comparable(samples, budget)]
        return Figures(now, list(_comparable(evidence.baseline, budget)), paired=False)
    one: list[float] = []
    other: list[float] = []
    paired = scenario == budget.scenario
    for samples in evidence.runs:
        mine = figures_by_block(samples, budget.runner, budget.scenario, budget.metric)
        theirs = figures_by_block(samples, runner, scenario, budget.metric)
        both = mine.keys() & theirs.keys()
        one += [found for block, found in mine.items() if block in both or not paired]
        other += [found for block, found in theirs.items() if block in both or not paired]
    return Figures(one, other, paired)


def figures_by_block(samples: Samples, runner: str, scenario: str, metric: str) -> dict[int, float]:
    """The figures of an arm by block, of the test events that completed."""
    return {
        each.block: found
        for each in _of(samples, runner, scenario)
        if each.outcome == "completed" and (found := _value(each, metric))
    }


def _comparable(samples: Samples, budget: Budget) -> Iterator[float]:
    """Figures that mean the same on another day: times as ratios to the floor of their block."""
    mine = figures_by_block(samples, budget.runner, budget.scenario, budget.metric)
    if budget.metric not in TIMES:
        yield from mine.values()
        return
    floor = figures_by_block(samples, FLOOR, budget.scenario, "seconds")
    yield from (found / floor[block] for block, found in mine.items() if block in floor)


def _counts(samples: Samples, budget: Budget, runner: str) -> list[tuple[int, float]]:
    found = [
        (each.block, one) for each in samples if (one := _value(each, budget.metric)) is not None
    ]
    if not found:
        raise UsageError(f"{budget.place}: {budget.metric} of {runner} was not measured")
    return found


def _value(sample: Sample, metric: str) -> float | None:
    if metric.startswith("phase_"):
        return sample.phases.get(metric.removeprefix("phase_"))
    found: float | None = getattr(sample, metric)
    return found


def _of(samples: Samples, runner: str, scenario: str) -> Iterator[Sample]:
    return (each for each in samples if each.runner == runner and each.scenario == scenario)
