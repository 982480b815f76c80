"""Two results side by side: how far each runner's figures moved, and what else is not the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from statistics import median
from typing import Any

from harness.gate.evidence import events_of, figures_by_block, measured_arms, metric_of
from harness.gate.reading import LIKE, SAME, circumstances, refuse_mixture
from harness.inside.errors import UsageError
from harness.measure import stats
from harness.measure.metrics import METRICS
from harness.measure.results import Recording
from harness.measure.stats import Interval
from harness.measure.summary import ABOUT
from harness.measure.trials.arms import FLOOR
from harness.measure.trials.metric import Kind
from harness.measure.trials.sample import Sample

BESIDE_METRICS = ("seconds", "answered_seconds", "memory")
"""The metrics whose figures stand side by side: all of them for what a player does most, the first
one for the other scenarios. Counters are told only where they differ.
"""

BYTES_ALIKE = 0.01
"""Counts of bytes that differ by less than this share are alike: a history is compressed."""


@dataclass(frozen=True)
class MovedFigure:
    """One metric of one runner in one scenario, in two results."""

    runner: str
    """The name of the arm."""
    scenario: str
    """One of SCENARIOS."""
    metric: str
    """One of BESIDE_METRICS."""
    medians: tuple[float | None, float | None]
    """In the metric's unit, of each result; None: it was not measured there."""
    ratios: tuple[float | None, float | None]
    """The medians of the ratios to the floor within the blocks; None for what is no time, and for
    the floor.
    """
    change: Interval | None
    """How many times the first the second is, at `stats.SHOWN_CONFIDENCE`. A time is compared by
    its ratios to the floor, that of the floor itself as it is. None: one result lacks it, or the
    floor.
    """

    @property
    def says(self) -> str:
        """What the interval says, in a few words."""
        if None in self.medians:
            return "only A" if self.medians[1] is None else "only B"
        if self.change is None:
            return "no floor"
        if self.change.low <= 1 <= self.change.high:
            return "unclear"
        words = (
            ("more", "less") if METRICS[self.metric].kind is Kind.MEMORY else ("slower", "faster")
        )
        return words[0] if self.change.estimate > 1 else words[1]


@dataclass(frozen=True)
class Counted:
    """A counter that differs between two results."""

    runner: str
    """The name of the arm."""
    scenario: str
    """One of SCENARIOS."""
    metric: str
    """One of METRICS, a counter."""
    ranges: tuple[tuple[float, float], tuple[float, float]]
    """The least and the most, in each result."""

    @property
    def alike(self) -> bool:
        """Whether they differ by less than is worth telling."""
        share = BYTES_ALIKE if METRICS[self.metric].unit == "B" else 0.0
        return all(isclose(*ends, rel_tol=share) for ends in zip(*self.ranges, strict=True))


@dataclass(frozen=True)
class UnlikeFact:
    """A fact about where and how was measured that is not the same."""

    fact: str
    """What it is."""
    values: tuple[str, str]
    """What each result says; `unknown` if it says nothing."""
    allowed_for: bool
    """Whether a ratio to bare make allows for it, in part."""


@dataclass(frozen=True)
class Beside:
    """Two results side by side."""

    results: tuple[Recording, Recording]
    """The one, then the other."""
    moved: Sequence[MovedFigure]
    """By scenario in the order of ABOUT, then by metric, then by runner, the floor first."""
    counted: Sequence[Counted]
    """The counters that differ."""
    differences: Sequence[UnlikeFact]
    """What else differs; empty if both are of the same machine, engine and image."""


def put_beside(one: Recording, other: Recording) -> Beside:
    """Put two results of `harness compare` or `harness gate` side by side.

    Raises UsageError for a result of `harness scale` or `harness load`, and for one result given
    twice.
    """
    for recording in (one, other):
        refuse_mixture(recording)
    if one.facts == other.facts:
        raise UsageError(f"{other.path} is the same run as {one.path}; give another result")
    return Beside(
        (one, other),
        tuple(_moved(one.samples, other.samples)),
        tuple(_counted(one.samples, other.samples)),
        tuple(_differences(one, other)),
    )


def _arms(one: Sequence[Sample], other: Sequence[Sample]) -> Iterator[tuple[str, list[str]]]:
    """Yield each scenario that was measured, with its runners, the floor first."""
    measured = measured_arms([one, other])
    for scenario in ABOUT:
        runners = [name for name, scenarios in measured.items() if scenario in scenarios]
        if runners:
            yield scenario, sorted(runners, key=lambda name: name != FLOOR)


def _moved(one: Sequence[Sample], other: Sequence[Sample]) -> Iterator[MovedFigure]:
    for place, (scenario, runners) in enumerate(_arms(one, other)):
        for metric in BESIDE_METRICS if place == 0 else BESIDE_METRICS[:1]:
            for runner in runners:
                sides = [
                    figures_by_block(samples, runner, scenario, metric) for samples in (one, other)
                ]
                if not any(sides):
                    continue
                relative = [
                    _to_floor(samples, runner, scenario, metric) for samples in (one, other)
                ]
                compared = relative if _by_ratio(runner, metric) else sides
                yield MovedFigure(
                    runner,
                    scenario,
                    metric,
                    (_median(sides[0]), _median(sides[1])),
                    (_median(relative[0]), _median(relative[1])),
                    _change([list(figures.values()) for figures in compared]),
                )


def _by_ratio(runner: str, metric: str) -> bool:
    return runner != FLOOR and METRICS[metric].kind is Kind.TIME


def _to_floor(
    samples: Sequence[Sample], runner: str, scenario: str, metric: str
) -> dict[int, float]:
    """Return the ratio to the floor by block; empty for what is not compared by ratios."""
    if not _by_ratio(runner, metric):
        return {}
    mine = figures_by_block(samples, runner, scenario, metric)
    floor = figures_by_block(samples, FLOOR, scenario, metric)
    return {block: figure / floor[block] for block, figure in mine.items() if block in floor}


def _change(sides: Sequence[Sequence[float]]) -> Interval | None:
    one, other = sides
    return stats.unpaired(other, one, stats.SHOWN_CONFIDENCE) if one and other else None


def _counted(one: Sequence[Sample], other: Sequence[Sample]) -> Iterator[Counted]:
    counters = [name for name, metric in METRICS.items() if metric.kind is Kind.COUNTER]
    for scenario, runners in _arms(one, other):
        for runner in runners:
            for metric in counters:
                ranges = [_range(samples, runner, scenario, metric) for samples in (one, other)]
                if ranges[0] and ranges[1]:
                    counted = Counted(runner, scenario, metric, (ranges[0], ranges[1]))
                    if not counted.alike:
                        yield counted


def _range(
    samples: Sequence[Sample], runner: str, scenario: str, metric: str
) -> tuple[float, float] | None:
    figures = [
        figure
        for sample in events_of(samples, runner, scenario)
        if sample.outcome == "completed" and (figure := metric_of(sample, metric)) is not None
    ]
    return (min(figures), max(figures)) if figures else None


def _differences(one: Recording, other: Recording) -> Iterator[UnlikeFact]:
    ours, theirs = _facts(one), _facts(other)
    for fact in ours:
        if ours[fact] != theirs[fact]:
            yield UnlikeFact(fact, (ours[fact], theirs[fact]), fact not in SAME)


def _facts(recording: Recording) -> dict[str, str]:
    """Return what figures depend on, in words."""
    facts: Mapping[str, Any] = recording.facts
    known = {**circumstances(facts), "harness": facts.get("harness"), "limit of a build": None}
    if (limit := facts.get("max_seconds")) is not None:
        known["limit of a build"] = f"{limit:g} s"
    machines = facts["machines"]
    known["machine"] = ", ".join(machines) or facts.get("machine")
    models = [machine.get("cpu") for machine in machines.values()]
    known["processor"] = ", ".join(dict.fromkeys(filter(None, models)))
    order = (*SAME, *LIKE, "processor", "harness", "limit of a build")
    return {fact: str(known[fact] or "unknown") for fact in order}


def _median(figures: Mapping[int, float]) -> float | None:
    return median(figures.values()) if figures else None
