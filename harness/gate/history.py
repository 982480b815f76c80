"""Many results over time: where the level of a runner changed, rather than passed a threshold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from harness.gate.evidence import figures_by_block, measured_arms
from harness.measure import stats
from harness.measure.results import Recording
from harness.measure.stats import ChangePoint
from harness.measure.trials.arms import FLOOR

CHANCE = 0.01
"""The chance at which a series without a change would show one."""

FEWEST = 10
"""With fewer results no change is seen: chance alone puts so few in two levels too often."""


@dataclass(frozen=True)
class Point:
    """One result."""

    created: str
    """When the run began, in ISO 8601."""
    file: str
    """The path of the result file."""
    ratio: float
    """To bare make, the median of the blocks."""
    commit: str = ""
    """The commit that was checked out, as the result says; empty: it does not say."""
    remote: str = ""
    """Where the repository of the commit comes from; empty: the result does not say."""


@dataclass(frozen=True)
class History:
    """One runner in one scenario on one tree and engine, oldest first."""

    subject: str
    """The tree, the engine and the storage driver."""
    runner: str
    """The name of the arm."""
    scenario: str
    """One of SCENARIOS."""
    points: tuple[Point, ...]
    """One for each result."""
    changes: tuple[ChangePoint, ...]
    """The changes of level; `place` is an index of `points`."""


def histories(recordings: Iterable[Recording]) -> list[History]:
    """Make a history for each runner and scenario that has points."""
    points: dict[tuple[str, str, str], list[Point]] = {}
    for recording in sorted(
        recordings, key=lambda recording: str(recording.facts.get("created", ""))
    ):
        for (runner, scenario), ratio in _ratios(recording).items():
            point = Point(
                str(recording.facts.get("created", "")),
                str(recording.path),
                ratio,
                **_checkout(recording),
            )
            points.setdefault((_subject(recording), runner, scenario), []).append(point)
    return [
        History(*key, tuple(series), tuple(_changes(series)))
        for key, series in sorted(points.items())
    ]


def _checkout(recording: Recording) -> dict[str, str]:
    """Return the commit and the remote of a result that has them, whoever wrote them."""
    project = recording.facts.get("project")
    known = project if isinstance(project, dict) else {}
    return {name: str(known[name]) for name in ("commit", "remote") if known.get(name)}


def _changes(points: Sequence[Point]) -> list[ChangePoint]:
    return stats.change_points([point.ratio for point in points], chance=CHANCE)


def _ratios(recording: Recording) -> dict[tuple[str, str], float]:
    medians = {}
    for runner, scenarios in measured_arms([recording.samples]).items():
        for scenario in scenarios if runner != FLOOR else ():
            floor = figures_by_block(recording.samples, FLOOR, scenario, "seconds")
            mine = figures_by_block(recording.samples, runner, scenario, "seconds")
            if ratios := [
                seconds / floor[block] for block, seconds in mine.items() if block in floor
            ]:
                medians[runner, scenario] = median(ratios)
    return medians


def _subject(recording: Recording) -> str:
    engine = recording.facts["engine"]
    return ", ".join(
        str(part) for part in (recording.facts["tree"], engine["engine"], engine["storage driver"])
    )
