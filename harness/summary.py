"""Samples to the one table of a comparison: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness.runners.run import PHASES
from harness.trials.arms import FLOOR
from harness.trials.sample import FULL, INCREMENTAL, Sample


@dataclass(frozen=True)
class Row:
    """One arm. Medians; None where there is nothing to take one of."""

    runner: str
    full: float | None  # seconds
    incremental: float | None  # seconds
    ratio: float | None  # incremental to the floor's, paired in each block
    recompiled: tuple[int, int] | None  # least and most in an incremental build
    right: tuple[int, int]  # answers that were right, of so many that could be judged
    kept: tuple[int, int]  # stamps that were kept, of so many that should have been
    bytes_in: int | None  # of an incremental build
    bytes_out: int | None
    phases: dict[str, float]  # seconds of an incremental build
    timed_out: int
    faulty: int


def summarize(samples: Sequence[Sample], runners: Sequence[str]) -> list[Row]:
    """A row an arm: the floor, then these runners."""
    return [_row(name, samples) for name in (FLOOR, *runners)]


def remarks(samples: Sequence[Sample]) -> list[str]:
    """What a reader of the table must know: builds that failed, or that built nothing."""
    floor = [each for each in samples if each.runner == FLOOR]
    done = [each for each in samples if each.outcome == "completed"]
    found = []
    if failed := sorted({each.status for each in done if each.status}):
        found.append(
            f"the command exited with status {', '.join(map(str, failed))}: are these builds that failed?"
        )
    counted = [each.recompiled for each in floor if each.build == INCREMENTAL and each.recompiled is not None]
    if counted and not any(counted):
        found.append(
            "no edit recompiled anything, with bare make neither: is the edited file part of the build?"
        )
    if samples and not done:
        found.append("no build ended within its limit: raise --max-seconds")
    reasons = dict.fromkeys(f"{each.runner}: {each.reason}" for each in samples if each.reason)
    return [*found, *reasons]


def _row(name: str, samples: Sequence[Sample]) -> Row:
    mine = [each for each in samples if each.runner == name]
    done = [each for each in mine if each.outcome == "completed"]
    full = [each for each in done if each.build == FULL]
    incremental = [each for each in done if each.build == INCREMENTAL]
    floor = {
        each.block: each.seconds for each in samples if each.runner == FLOOR and each.outcome == "completed"
    }
    ratios = [each.seconds / floor[each.block] for each in incremental if each.block in floor]
    recompiled = [each.recompiled for each in incremental if each.recompiled is not None]
    judged = [each.right for each in mine if each.right is not None]
    stamped = [each for each in mine if each.mtimes_kept is not None and each.mtimes_changed is not None]
    kept = sum(each.mtimes_kept or 0 for each in stamped)
    return Row(
        runner=name,
        full=_median([each.seconds for each in full]),
        incremental=_median([each.seconds for each in incremental]),
        ratio=_median(ratios),
        recompiled=(min(recompiled), max(recompiled)) if recompiled else None,
        right=(sum(judged), len(judged)),
        kept=(kept, kept + sum(each.mtimes_changed or 0 for each in stamped)),
        bytes_in=_whole(_median([each.bytes_in for each in incremental])),
        bytes_out=_whole(_median([each.bytes_out for each in incremental])),
        phases={
            kind: median(each.phases.get(kind, 0.0) for each in incremental)
            for kind in PHASES
            if any(kind in each.phases for each in incremental)
        },
        timed_out=sum(each.outcome == "timed_out" for each in mine),
        faulty=sum(each.outcome == "faulty" for each in mine),
    )


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
