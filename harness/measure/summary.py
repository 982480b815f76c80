"""Samples to the one table of a comparison: pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import geometric_mean, median
from typing import TypeVar

from harness.measure import stats
from harness.measure.trials.arms import FLOOR
from harness.measure.trials.sample import Sample
from harness.measure.trials.scenario import FIRST, FULL, HEADER, INCREMENTAL, NO_OP, SCENARIOS
from harness.runners.run import PHASES

_T = TypeVar("_T")

_EDITED = (INCREMENTAL, HEADER)
"""Scenarios in which the player has edited something."""

ABOUT = (INCREMENTAL, HEADER, NO_OP, FULL, FIRST)
"""What a table is about first of all: what a player does most, before what is done once."""


@dataclass(frozen=True)
class Row:
    """One arm. Medians; None where there is nothing to take one of."""

    runner: str
    seconds: dict[str, float]  # by scenario
    ratios: dict[str, float]  # to the floor, paired in each block, by scenario
    recompiled: dict[
        str, tuple[int, int]
    ]  # least and most, by scenario that does not build from nothing; where it is known
    right: tuple[int, int]  # answers that were right, of so many that could be judged
    kept: tuple[int, int]  # stamps that were kept, of so many that should have been
    answered: float | None  # seconds to the output in hand, of the scenario that the rest is about
    answered_ratio: float | None  # to the floor, paired in each block
    grown: int | None  # bytes that the katas grew by in a test event
    bytes_in: int | None  # of the scenario that the rest is about
    bytes_out: int | None
    phases: dict[str, float]  # seconds
    processor_seconds: float | None  # of the command
    harness_seconds: float | None  # of the harness itself
    memory: int | None  # bytes, the most in any of its test events
    timed_out: int
    faulty: int


def summarize(samples: Sequence[Sample], runners: Sequence[str]) -> list[Row]:
    """A row an arm: the floor, then these runners."""
    return [_row(name, samples) for name in (FLOOR, *runners)]


def subject(samples: Sequence[Sample]) -> str:
    """The scenario that figures are about which are given for one alone: the incremental build if it was
    played.
    """
    played = {each.scenario for each in samples}
    return next((each for each in ABOUT if each in played), INCREMENTAL)


def remarks(samples: Sequence[Sample]) -> list[str]:
    """What a reader of the table must know: builds that failed, or that built nothing."""
    floor = [each for each in samples if each.runner == FLOOR]
    done = [each for each in samples if each.outcome == "completed"]
    found = []
    if failed := sorted({each.status for each in done if each.status}):
        found.append(
            f"the command exited with status {', '.join(map(str, failed))}: are these builds that failed?"
        )
    edited = [each for each in floor if each.outcome == "completed" and each.scenario in _EDITED]
    if edited and all(each.recompiled is None for each in edited):
        found.append(
            "files recompiled are not counted: what tells them is object files (*.o) that have the name of a source, and this "
            "build makes none, or others too"
        )
    elif edited and not any(each.recompiled for each in edited):
        found.append(
            "no edit made an object file (*.o) anew, with bare make neither: files of other kinds are not counted; or is the "
            "edited file no part of the build?"
        )
    if samples and all(each.outcome == "timed_out" for each in samples):
        found.append("no build ended within its limit: raise --max-seconds")
    reasons = dict.fromkeys(f"{each.runner}: {each.reason}" for each in samples if each.reason)
    return [*found, *_unsteady(done), *_unlike(done), *reasons]


def noise(samples: Sequence[Sample], one: str, other: str) -> stats.Interval | None:
    """How far two arms that are the same seem to differ: what is within is noise. None without a common block."""
    times = {
        (each.runner, each.block): each.seconds
        for each in samples
        if each.scenario == subject(samples) and each.outcome == "completed"
    }
    blocks = [block for runner, block in times if runner == one and (other, block) in times]
    if not blocks:
        return None
    pairs = [[times[runner, block] for block in blocks] for runner in (one, other)]
    return stats.paired(pairs[0], pairs[1], stats.CONFIDENCE)


def _unlike(done: Sequence[Sample]) -> list[str]:
    """Machines on which a runner costs another multiple of bare make than on the rest, beyond what is noise."""
    found = []
    about = [each for each in done if each.scenario == subject(done)]
    floor = {each.block: each.seconds for each in about if each.runner == FLOOR}
    machines = list(dict.fromkeys(each.machine for each in about))
    for runner in dict.fromkeys(each.runner for each in about if each.runner != FLOOR):
        for machine in machines if len(machines) > 1 else ():
            mine, rest = (
                [
                    each.seconds / floor[each.block]
                    for each in about
                    if each.runner == runner
                    and each.block in floor
                    and (each.machine == machine) == here
                ]
                for here in (True, False)
            )
            if not mine or not rest:
                continue
            interval = stats.unpaired(mine, rest, stats.CONFIDENCE)
            if not interval.low <= 1 <= interval.high:
                found.append(
                    f"machine {machine} is unlike the rest: the ratio of {runner} to bare make is "
                    f"{interval.estimate:.2f} times theirs"
                )
    return found


@dataclass(frozen=True)
class Share:
    """What one machine contributed."""

    machine: str
    blocks: int
    ratios: dict[
        str, float
    ]  # of each runner to the floor, within this machine, in the scenario of the table


def by_machine(samples: Sequence[Sample], runners: Sequence[str]) -> list[Share]:
    """A share a machine: how far each is like the others."""
    about = [
        each
        for each in samples
        if each.scenario == subject(samples) and each.outcome == "completed"
    ]
    found = []
    for machine in dict.fromkeys(each.machine for each in samples):
        mine = [each for each in about if each.machine == machine]
        ratios = {
            runner: ratio
            for runner in runners
            if (ratio := ratio_to_floor([each for each in mine if each.runner == runner], mine))
            is not None
        }
        found.append(
            Share(machine, len({each.block for each in samples if each.machine == machine}), ratios)
        )
    return found


def _unsteady(done: Sequence[Sample]) -> list[str]:
    """Warm-ups and outliers: they are told, and count like everything else."""
    found = []
    about = subject(done)
    for runner in dict.fromkeys(each.runner for each in done):
        times = [each.seconds for each in done if each.runner == runner and each.scenario == about]
        if first := stats.warm_up(times):
            found.append(
                f"{runner}: the first {first} of {len(times)} differ from the rest: a warm-up?"
            )
        if odd := stats.outliers(times):
            shown = ", ".join(f"{times[each]:.3g} s" for each in odd[:5])
            found.append(
                f"{runner}: {len(odd)} of {len(times)} are outliers, and count all the same: {shown}"
            )
    return found


def _row(name: str, samples: Sequence[Sample]) -> Row:
    mine = [each for each in samples if each.runner == name]
    done = [each for each in mine if each.outcome == "completed"]
    about = [each for each in done if each.scenario == subject(samples)]
    judged = [each.right for each in mine if each.right is not None]
    stamped = [
        each for each in mine if each.mtimes_kept is not None and each.mtimes_changed is not None
    ]
    kept = sum(each.mtimes_kept or 0 for each in stamped)
    return Row(
        runner=name,
        seconds=_by_scenario(done, lambda each: median(sample.seconds for sample in each)),
        ratios=_by_scenario(done, lambda each: ratio_to_floor(each, samples)),
        recompiled=_recompiled(done, samples),
        right=(sum(judged), len(judged)),
        kept=(kept, kept + sum(each.mtimes_changed or 0 for each in stamped)),
        answered=_median(
            [each.answered_seconds for each in about if each.answered_seconds is not None]
        ),
        answered_ratio=ratio_to_floor(about, samples, "answered_seconds"),
        grown=_whole(
            _median([grown for each in about if (grown := disk_growth(each)) is not None])
        ),
        bytes_in=_whole(_median([each.bytes_in for each in about])),
        bytes_out=_whole(_median([each.bytes_out for each in about])),
        phases={
            kind: median(each.phases.get(kind, 0.0) for each in about)
            for kind in PHASES
            if any(kind in each.phases for each in about)
        },
        processor_seconds=_median(
            [each.processor_seconds for each in about if each.processor_seconds is not None]
        ),
        harness_seconds=_median(
            [each.harness_seconds for each in about if each.harness_seconds is not None]
        ),
        memory=max((each.memory for each in mine if each.memory is not None), default=None),
        timed_out=sum(each.outcome == "timed_out" for each in mine),
        faulty=sum(each.outcome == "faulty" for each in mine),
    )


def disk_growth(sample: Sample) -> int | None:
    """Bytes by which a test event made the katas grow, of all kinds; None where nobody looked."""
    parts = (sample.disk_visible, sample.disk_extra, sample.disk_history)
    return sum(each for each in parts if each is not None) if None not in parts else None


def ratio_to_floor(
    mine: Sequence[Sample], samples: Sequence[Sample], moment: str = "seconds"
) -> float | None:
    """The median of the ratios within the blocks, of the time to this moment (a field of samples). A block never
    straddles machines: of several, the medians of each are combined by their geometric mean, so that none counts for
    more because it was faster.
    """
    floor = {
        each.block: time
        for each in samples
        if each.runner == FLOOR and each.outcome == "completed" and (time := getattr(each, moment))
    }
    ratios: dict[str, list[float]] = {}
    for each in mine:
        if each.block in floor and (time := getattr(each, moment)):
            ratios.setdefault(each.machine, []).append(time / floor[each.block])
    medians = [median(each) for each in ratios.values()]
    return geometric_mean(medians) if len(medians) > 1 else _median(medians)


def _by_scenario(
    done: Sequence[Sample], figure: Callable[[Sequence[Sample]], _T | None]
) -> dict[str, _T]:
    """A figure for each scenario that was played and has one."""
    found = {}
    for name in SCENARIOS:
        if mine := [each for each in done if each.scenario == name]:
            value = figure(mine)
            if value is not None:
                found[name] = value
    return found


def _recompiled(done: Sequence[Sample], samples: Sequence[Sample]) -> dict[str, tuple[int, int]]:
    """Of what does not build from nothing. None at all after an edit after which bare make wrote no object file either is no
    count: the edited file may be of a kind that is compiled to something else.
    """
    found = _by_scenario([each for each in done if each.build == INCREMENTAL], _range)
    floor = [each for each in samples if each.runner == FLOOR and each.outcome == "completed"]
    blind = {
        name
        for name in _EDITED
        if not any(each.recompiled for each in floor if each.scenario == name)
        and any(each.scenario == name for each in floor)
    }
    return {name: counts for name, counts in found.items() if any(counts) or name not in blind}


def _range(samples: Sequence[Sample]) -> tuple[int, int] | None:
    counted = [each.recompiled for each in samples if each.recompiled is not None]
    return (min(counted), max(counted)) if counted else None


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
