"""Summarizes samples into the table of a comparison, without I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import geometric_mean, median
from typing import TypeVar

from harness.measure import stats
from harness.measure.metrics import METRICS
from harness.measure.trials.arms import FLOOR
from harness.measure.trials.metric import Kind
from harness.measure.trials.sample import Sample
from harness.measure.trials.scenario import FIRST, FULL, HEADER, INCREMENTAL, NO_OP, SCENARIOS
from harness.runners.run import PHASES

_T = TypeVar("_T")

_EDITED = (INCREMENTAL, HEADER)
"""Scenarios in which the player edits something."""

ABOUT = (INCREMENTAL, HEADER, NO_OP, FULL, FIRST)
"""Preferred subjects of a table: first what a player does most, last what is done once."""


@dataclass(frozen=True)
class Row:
    """The figures of one arm.

    Unless said otherwise they are medians, over the scenario that is the subject of the table.
    None means that there is nothing to take the median of.
    """

    runner: str
    """The name of the arm."""
    seconds: dict[str, float]
    """Seconds until the katas held the result, by scenario."""
    ratios: dict[str, float]
    """Ratios to the floor within the blocks, by scenario."""
    interval: stats.Interval | None
    """The interval of this ratio, at `stats.SHOWN_CONFIDENCE`. None: for the floor, or with too few
    blocks.
    """
    recompiled: dict[str, tuple[int, int]]
    """The least and most files recompiled, by scenario that does not build from nothing."""
    right: tuple[int, int]
    """How many answers were right, and how many could be judged, in all scenarios."""
    kept: tuple[int, int]
    """How many mtimes were kept, and how many should have been, in all scenarios."""
    answered: float | None
    """Seconds until the output was in hand."""
    answered_ratio: float | None
    """The ratio of these to the floor within the blocks."""
    grown: int | None
    """Bytes that a test event added to the katas."""
    bytes_in: int | None
    """Bytes piped in."""
    bytes_out: int | None
    """Bytes piped out."""
    phases: dict[str, float]
    """Seconds in each kind of phase."""
    used: dict[str, float]
    """The metrics with words to be shown by: the median, or the peak of memory over all its test
    events.
    """
    timed_out: int
    """How many test events timed out, in all scenarios."""
    faulty: int
    """How many test events were faulty, in all scenarios."""


def summarize(samples: Sequence[Sample], runners: Sequence[str]) -> list[Row]:
    """Return a row for each arm, the floor first."""
    return [_row(name, samples) for name in (FLOOR, *runners)]


def subject(samples: Sequence[Sample]) -> str:
    """Return the subject of the table, the scenario of its single figures."""
    played = {sample.scenario for sample in samples}
    return next((scenario for scenario in ABOUT if scenario in played), INCREMENTAL)


def remarks(samples: Sequence[Sample]) -> list[str]:
    """Return what a reader of the table must know, such as builds that failed or built nothing."""
    floor = [sample for sample in samples if sample.runner == FLOOR]
    done = [sample for sample in samples if sample.outcome == "completed"]
    lines = []
    if failed := sorted({sample.status for sample in done if sample.status}):
        lines.append(
            f"the command exited with status {', '.join(map(str, failed))}; did these builds fail?"
        )
    edited = [
        sample for sample in floor if sample.outcome == "completed" and sample.scenario in _EDITED
    ]
    if edited and all(sample.recompiled is None for sample in edited):
        lines.append(
            "files recompiled are not counted: the count needs object files (*.o) named after "
            "their sources, and this build makes none, or others too"
        )
    elif edited and not any(sample.recompiled for sample in edited):
        lines.append(
            "no edit made an object file (*.o) anew, not even with bare make; other kinds of files "
            "are not counted, or is the edited file not part of the build?"
        )
    if samples and all(sample.outcome == "timed_out" for sample in samples):
        lines.append("no build ended within its time limit; raise --max-seconds")
    reasons = dict.fromkeys(
        f"{sample.runner}: {sample.reason}" for sample in samples if sample.reason
    )
    return [*lines, *_unsteady(done), *_unlike(done), *reasons]


def noise(samples: Sequence[Sample], one: str, other: str) -> stats.Interval | None:
    """Return how far two equal arms seem to differ, the noise; None without a common block."""
    times = {
        (sample.runner, sample.block): sample.seconds
        for sample in samples
        if sample.scenario == subject(samples) and sample.outcome == "completed"
    }
    blocks = [block for runner, block in times if runner == one and (other, block) in times]
    if not blocks:
        return None
    pairs = [[times[runner, block] for block in blocks] for runner in (one, other)]
    return stats.paired(pairs[0], pairs[1], stats.CONFIDENCE)


def _unlike(done: Sequence[Sample]) -> list[str]:
    """Return a line for each machine where a runner's ratio to bare make differs beyond noise."""
    lines = []
    about = [sample for sample in done if sample.scenario == subject(done)]
    floor = {sample.block: sample.seconds for sample in about if sample.runner == FLOOR}
    machines = list(dict.fromkeys(sample.machine for sample in about))
    for runner in dict.fromkeys(sample.runner for sample in about if sample.runner != FLOOR):
        for machine in machines if len(machines) > 1 else ():
            mine, rest = (
                [
                    sample.seconds / floor[sample.block]
                    for sample in about
                    if sample.runner == runner
                    and sample.block in floor
                    and (sample.machine == machine) == here
                ]
                for here in (True, False)
            )
            if not mine or not rest:
                continue
            interval = stats.unpaired(mine, rest, stats.CONFIDENCE)
            if not interval.low <= 1 <= interval.high:
                lines.append(
                    f"machine {machine} is unlike the rest: the ratio of {runner} to bare make is "
                    f"{interval.estimate:.2f} times theirs"
                )
    return lines


@dataclass(frozen=True)
class Share:
    """What one machine contributed."""

    machine: str
    """Its id."""
    blocks: int
    """How many blocks it played."""
    ratios: dict[str, float]
    """The ratio of each runner to the floor on this machine, in the subject of the table."""


def by_machine(samples: Sequence[Sample], runners: Sequence[str]) -> list[Share]:
    """Return a share for each machine, which shows how alike they are."""
    about = [
        sample
        for sample in samples
        if sample.scenario == subject(samples) and sample.outcome == "completed"
    ]
    shares = []
    for machine in dict.fromkeys(sample.machine for sample in samples):
        mine = [sample for sample in about if sample.machine == machine]
        ratios = {
            runner: ratio
            for runner in runners
            if (
                ratio := ratio_to_floor(
                    [sample for sample in mine if sample.runner == runner], mine
                )
            )
            is not None
        }
        shares.append(
            Share(
                machine,
                len({sample.block for sample in samples if sample.machine == machine}),
                ratios,
            )
        )
    return shares


def _unsteady(done: Sequence[Sample]) -> list[str]:
    """Return a line for each warm-up and for outliers, which count like all other samples."""
    lines = []
    about = subject(done)
    for runner in dict.fromkeys(sample.runner for sample in done):
        times = [
            sample.seconds
            for sample in done
            if sample.runner == runner and sample.scenario == about
        ]
        if first := stats.warm_up(times):
            lines.append(
                f"{runner}: the first {first} of {len(times)} samples differ from the rest; "
                "a warm-up?"
            )
        if odd := stats.outliers(times):
            shown = ", ".join(f"{times[place]:.3g} s" for place in odd[:5])
            lines.append(
                f"{runner}: {len(odd)} of {len(times)} samples are outliers, which count like the "
                f"rest: {shown}"
            )
    return lines


def _row(name: str, samples: Sequence[Sample]) -> Row:
    mine = [sample for sample in samples if sample.runner == name]
    done = [sample for sample in mine if sample.outcome == "completed"]
    about = [sample for sample in done if sample.scenario == subject(samples)]
    judged = [sample.right for sample in mine if sample.right is not None]
    stamped = [
        sample
        for sample in mine
        if sample.mtimes_kept is not None and sample.mtimes_changed is not None
    ]
    kept = sum(sample.mtimes_kept or 0 for sample in stamped)
    return Row(
        runner=name,
        seconds=_by_scenario(done, lambda played: median(sample.seconds for sample in played)),
        ratios=_by_scenario(done, lambda played: ratio_to_floor(played, samples)),
        interval=_interval(about, samples) if name != FLOOR else None,
        recompiled=_recompiled(done, samples),
        right=(sum(judged), len(judged)),
        kept=(kept, kept + sum(sample.mtimes_changed or 0 for sample in stamped)),
        answered=_median(
            [sample.answered_seconds for sample in about if sample.answered_seconds is not None]
        ),
        answered_ratio=ratio_to_floor(about, samples, "answered_seconds"),
        grown=_whole(
            _median([grown for sample in about if (grown := disk_growth(sample)) is not None])
        ),
        bytes_in=_whole(_median([sample.bytes_in for sample in about])),
        bytes_out=_whole(_median([sample.bytes_out for sample in about])),
        phases={
            kind: median(sample.phases.get(kind, 0.0) for sample in about)
            for kind in PHASES
            if any(kind in sample.phases for sample in about)
        },
        used={
            metric: figure
            for metric, known in METRICS.items()
            if known.shown and (figure := _used(metric, mine, about)) is not None
        },
        timed_out=sum(sample.outcome == "timed_out" for sample in mine),
        faulty=sum(sample.outcome == "faulty" for sample in mine),
    )


def _used(metric: str, mine: Sequence[Sample], about: Sequence[Sample]) -> float | None:
    if METRICS[metric].kind is Kind.MEMORY:
        return max(_known(metric, mine), default=None)
    return _median(_known(metric, about))


def _known(metric: str, samples: Sequence[Sample]) -> list[float]:
    return [figure for sample in samples if (figure := getattr(sample, metric)) is not None]


def disk_growth(sample: Sample) -> int | None:
    """Return the bytes of all kinds that a test event added to the katas; None if not measured."""
    parts = (sample.disk_visible, sample.disk_extra, sample.disk_history)
    return sum(part for part in parts if part is not None) if None not in parts else None


def ratio_to_floor(
    mine: Sequence[Sample], samples: Sequence[Sample], moment: str = "seconds"
) -> float | None:
    """Return the median of the ratios within the blocks; `moment` is a field of samples, a time.

    A block never straddles machines. The medians of several machines are combined by their
    geometric mean, so that a faster machine does not count for more.
    """
    ratios: dict[str, list[float]] = {}
    for sample, time, floor in _beside_floor(mine, samples, moment):
        ratios.setdefault(sample.machine, []).append(time / floor)
    medians = [median(of_machine) for of_machine in ratios.values()]
    return geometric_mean(medians) if len(medians) > 1 else _median(medians)


def _beside_floor(
    mine: Sequence[Sample], samples: Sequence[Sample], moment: str
) -> Iterator[tuple[Sample, float, float]]:
    """Yield each sample that has a floor in its block, with both times until this moment."""
    floor = {
        sample.block: time
        for sample in samples
        if sample.runner == FLOOR
        and sample.outcome == "completed"
        and (time := getattr(sample, moment))
    }
    for sample in mine:
        if sample.block in floor and (time := getattr(sample, moment)):
            yield sample, time, floor[sample.block]


def _interval(mine: Sequence[Sample], samples: Sequence[Sample]) -> stats.Interval | None:
    """Return the interval of the ratio to the floor; None with too few blocks to have one."""
    pairs = [(time, floor) for _, time, floor in _beside_floor(mine, samples, "seconds")]
    if len(pairs) < stats.least_blocks(stats.SHOWN_CONFIDENCE):
        return None
    times, beneath = zip(*pairs, strict=True)
    return stats.paired(times, beneath, stats.SHOWN_CONFIDENCE)


def _by_scenario(
    done: Sequence[Sample], figure: Callable[[Sequence[Sample]], _T | None]
) -> dict[str, _T]:
    """Return the figure for each scenario that was played and has one."""
    figures = {}
    for name in SCENARIOS:
        if mine := [sample for sample in done if sample.scenario == name]:
            value = figure(mine)
            if value is not None:
                figures[name] = value
    return figures


def _recompiled(done: Sequence[Sample], samples: Sequence[Sample]) -> dict[str, tuple[int, int]]:
    """Return the range of files recompiled, for scenarios that do not build from nothing.

    Zero is not a count if bare make wrote no object file after the edit either: the edited file may
    be compiled to something else.
    """
    ranges = _by_scenario([sample for sample in done if sample.build == INCREMENTAL], _range)
    floor = [
        sample for sample in samples if sample.runner == FLOOR and sample.outcome == "completed"
    ]
    blind = {
        name
        for name in _EDITED
        if not any(sample.recompiled for sample in floor if sample.scenario == name)
        and any(sample.scenario == name for sample in floor)
    }
    return {name: counts for name, counts in ranges.items() if any(counts) or name not in blind}


def _range(samples: Sequence[Sample]) -> tuple[int, int] | None:
    counted = [sample.recompiled for sample in samples if sample.recompiled is not None]
    return (min(counted), max(counted)) if counted else None


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
