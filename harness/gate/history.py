"""Many results over time: where a runner's level changed, rather than whether it passed a threshold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from harness.gate.evidence import figures_by_block, measured_arms
from harness.measure import stats
from harness.measure.results import Recording
from harness.measure.stats import ChangePoint
from harness.measure.trials.arms import FLOOR

FEWEST = 5
"""Fewer results have no level that could change."""


@dataclass(frozen=True)
class Point:
    """One result."""

    created: str
    file: str
    ratio: float  # to bare make: the median of the blocks


@dataclass(frozen=True)
class History:
    """One runner in one scenario on one tree and engine, oldest first."""

    subject: str  # tree, engine and storage driver
    runner: str
    scenario: str
    points: tuple[Point, ...]
    changes: tuple[ChangePoint, ...]  # `place` counts points


def histories(recordings: Iterable[Recording], *, chance: float = 0.01) -> list[History]:
    """A history for each runner and scenario that has points; changes are those that chance alone would show in one
    series of a hundred (`chance`).
    """
    points: dict[tuple[str, str, str], list[Point]] = {}
    for each in sorted(recordings, key=lambda each: str(each.facts.get("created", ""))):
        for (runner, scenario), ratio in _ratios(each).items():
            point = Point(str(each.facts.get("created", "")), str(each.path), ratio)
            points.setdefault((_subject(each), runner, scenario), []).append(point)
    return [
        History(*key, tuple(found), tuple(_changes(found, chance)))
        for key, found in sorted(points.items())
    ]


def _changes(points: Sequence[Point], chance: float) -> list[ChangePoint]:
    return (
        stats.change_points([each.ratio for each in points], chance=chance)
        if len(points) >= FEWEST
        else []
    )


def _ratios(recording: Recording) -> dict[tuple[str, str], float]:
    found = {}
    for runner, scenarios in measured_arms([recording.samples]).items():
        for scenario in scenarios if runner != FLOOR else ():
            floor = figures_by_block(recording.samples, FLOOR, scenario, "seconds")
            mine = figures_by_block(recording.samples, runner, scenario, "seconds")
            if ratios := [
                seconds / floor[block] for block, seconds in mine.items() if block in floor
            ]:
                found[runner, scenario] = median(ratios)
    return found


def _subject(recording: Recording) -> str:
    engine = recording.facts["engine"]
    return ", ".join(
        str(each) for each in (recording.facts["tree"], engine["engine"], engine["storage driver"])
    )
