"""What the sequence of looks costs: gates replayed by the looks of before, and by those of now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.measure import looks, stats
from harness.measure.compare import AGAIN
from harness.measure.trials import FLOOR
from scenarios.gate_accuracy.recording import RUNNER
from scenarios.gate_accuracy.rules import Recording

Logs = NDArray[np.float64]

ARMS = (FLOOR, RUNNER, RUNNER + AGAIN)


@dataclass(frozen=True)
class Schedule:
    """When a gate looks, and with which interval."""

    looks: tuple[int, ...]
    """The numbers of blocks."""
    confidence: float
    """Of the interval at each look."""


BEFORE = Schedule((15, 30, 60, 120, 240, 480, 960), 1 - 0.01 / 7)
"""Doubled each time, and sharing 1 % equally at both ends (Bonferroni)."""

NOW = Schedule(looks.LOOKS, looks.share(1))
"""As the gate looks."""

WITHIN = 480
"""Blocks within which a slowdown should be found."""

ONCE = Schedule((WITHIN,), 1 - 2 * 0.01)
"""One look alone, with the whole chance of a mistake: no sequence finds more within its blocks."""


@dataclass(frozen=True)
class Case:
    """A true slowdown, and the budget that it is held to."""

    slowdown: float
    """Of the new version, as a share."""
    tolerance: float
    """How much slower it may be, as a share."""


CASES = (
    Case(0.0, 0.05),
    Case(0.05, 0.05),
    Case(0.1, 0.05),
    Case(0.2, 0.05),
    Case(0.05, 0.025),
    Case(0.05, 0.01),
)
"""Equal; just at the limit, where a gate is wrong most often; and slower by more and less."""


@dataclass(frozen=True)
class Replay:
    """What became of the gates."""

    regressed: float
    """The share that found the new version slower."""
    found: float
    """The share that did so within WITHIN blocks."""
    passed: float
    """The share that passed the new version."""
    median: float
    """Blocks of a gate."""
    mean: float
    """Blocks of a gate."""


def replay(recording: Recording, case: Case, gates: int, seed: int) -> list[Replay]:
    """Replay the same gates by BEFORE, by NOW and by ONCE.

    They are drawn from every second block. The looks were chosen on the other ones.
    """
    one, other = (
        np.log([sample.seconds for sample in recording[arm][1::2]])
        for arm in (RUNNER, RUNNER + AGAIN)
    )
    random = np.random.default_rng(seed)
    size = (gates, max(BEFORE.looks[-1], NOW.looks[-1]))
    # Which arm is called the new version is the toss of a coin in each block.
    drawn = random.choice(one - other, size) * random.choice([-1, 1], size)
    drawn += np.log1p(case.slowdown) - np.log1p(case.tolerance)
    return [_outcome(drawn, schedule) for schedule in (BEFORE, NOW, ONCE)]


def verdicts(beyond: Logs, schedule: Schedule) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each gate 1 (regressed), -1 (passed) or 0, and its blocks.

    Each row has the logarithms of the ratios, less that of the limit. The interval of the
    signed-rank test lies beyond the limit if the test rejects the limit: so it takes sums of ranks
    alone, and thousands of gates at once.
    """
    states = np.zeros(len(beyond), np.int64)
    blocks = np.full(len(beyond), schedule.looks[-1])
    for look in schedule.looks:
        (open_,) = np.nonzero(states == 0)
        seen = beyond[open_, :look]
        ranks = np.abs(seen).argsort(axis=1).argsort(axis=1) + 1
        above = (ranks * (seen > 0)).sum(axis=1)
        least = stats.signed_rank_quantile(look, (1 - schedule.confidence) / 2)
        below = look * (look + 1) // 2 - above
        states[open_] = np.where(below <= least, 1, np.where(above <= least, -1, 0))
        blocks[open_[states[open_] != 0]] = look
    return states, blocks


def _outcome(beyond: Logs, schedule: Schedule) -> Replay:
    states, blocks = verdicts(beyond, schedule)
    regressed = states == 1
    return Replay(
        float(regressed.mean()),
        float((regressed & (blocks <= WITHIN)).mean()),
        float((states == -1).mean()),
        float(np.median(blocks)),
        float(blocks.mean()),
    )


def left_by_bare_make(recording: Recording, *, folds: int = 10) -> dict[str, float]:
    """Return the share of the variance of the log-ratios that bare make leaves unexplained.

    Of the run that came later to the one that came earlier, by least squares, each fold by the
    other folds: 1 and more means that it explains nothing. What it is regressed on is bare make's
    time in the same block, apart for each place that it had there; or how bare make's time and that
    of both arms changed from the block before to the block after.
    """
    places = np.array([[sample.place for sample in recording[arm]] for arm in ARMS])
    logs = np.log([[sample.seconds for sample in recording[arm]] for arm in ARMS])
    later = np.sign(places[1] - places[2]) * (logs[1] - logs[2])
    floor = logs[0] - np.median(logs[0])
    within = np.stack([floor * (places[0] == place) for place in range(len(ARMS))])
    around = np.stack([_change(logs[0]), _change(logs[1] + logs[2])])
    return {
        "within the block": _left(within.T, later, folds),
        "from the block before to the block after": _left(around.T, later, folds),
    }


def _change(logs: Logs) -> Logs:
    padded = np.concatenate([logs[:1], logs, logs[-1:]])
    return padded[2:] - padded[:-2]


def _left(causes: Logs, effect: Logs, folds: int) -> float:
    rest = np.array(effect)
    for chosen in _folds(len(effect), folds):
        slopes, *_ = np.linalg.lstsq(causes[~chosen], effect[~chosen], rcond=None)
        rest[chosen] -= causes[chosen] @ slopes
    return float(rest.var() / effect.var())


def _folds(count: int, folds: int) -> Iterator[NDArray[np.bool_]]:
    for fold in range(folds):
        yield np.arange(count) % folds == fold
