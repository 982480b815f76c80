"""Statistics of trials: pure and deterministic, on plain sequences of figures.

Arms are compared by the ratios of their times within a block. The order within a block is shuffled.
So if two arms are equal, a ratio and its inverse are equally likely, whatever the machine did
meanwhile. The signed-rank test assumes nothing else (it is a randomization test, Fisher 1935), so
its interval holds on a busy machine, for noise with heavy tails, and for noise that lasts over many
blocks. The matching estimate is the median of all pairwise means (Hodges and Lehmann 1963).

A bootstrap of the median needs about as many blocks, but it is random and covers less than it
claims for few blocks: with 15 blocks of real recordings, 90 of 100 instead of 95
(results/gate-accuracy has both).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import scipy  # which imports its parts when they are used
from numpy.typing import NDArray

_Figures: TypeAlias = Sequence[float] | NDArray[np.float64]

CONFIDENCE = 0.99
"""Confidence that all verdicts on a run are right; also that of an interval that nobody repeats."""

SHOWN_CONFIDENCE = 0.95
"""Confidence of an interval that is shown beside a figure, each by itself."""

EXACT_SIGNED_RANK, EXACT_MANN_WHITNEY = 200, 2500
"""Up to so many blocks, or pairs of them, the distribution is exact; beyond, it is normal."""

OUTLIER = 3.5
"""A figure with a larger modified z-score is an outlier (Iglewicz and Hoaglin 1993)."""


class VerdictState(StrEnum):
    """What an interval says about a limit."""

    PASSED = "passed"
    """The whole interval lies within the limit."""
    REGRESSED = "regressed"
    """The whole interval lies beyond the limit."""
    INCONCLUSIVE = "inconclusive"
    """The interval straddles the limit."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a ratio, from 0 to infinity if there are too few blocks."""

    low: float
    """The lower end."""
    estimate: float
    """The estimated ratio."""
    high: float
    """The upper end."""
    blocks: int
    """How many blocks it comes from."""
    confidence: float
    """The chance that it holds the true ratio, from 0 to 1."""

    def against(self, limit: float, *, at_least: bool = False) -> VerdictState:
        """Judge whether the ratio is at most, or at least, the limit."""
        within, beyond = self.high <= limit, self.low > limit
        if at_least:
            within, beyond = self.low >= limit, self.high < limit
        return (
            VerdictState.PASSED
            if within
            else VerdictState.REGRESSED
            if beyond
            else VerdictState.INCONCLUSIVE
        )


def least_blocks(confidence: float) -> int:
    """Return the fewest blocks that give an interval; with fewer, no outcome is rare enough."""
    return math.ceil(1 - math.log2(1 - confidence))


def paired(one: _Figures, other: _Figures, confidence: float) -> Interval:
    """Estimate the ratio of `one` to `other`, of the same length, with one figure for each block.

    The interval is that of the signed-rank test (Wilcoxon 1945; Tukey 1949, by Walsh averages), see
    Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3rd edition 2014, section 3.3.

    >>> ratio = paired([1.1, 2.3, 3.2, 4.5, 5.4, 6.8], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 0.9)
    >>> round(ratio.low, 2), round(ratio.estimate, 2), round(ratio.high, 2)
    (1.08, 1.11, 1.14)
    """
    logs = np.log(np.asarray(one, float) / np.asarray(other, float))
    count = len(logs)
    rows, columns = np.triu_indices(count)
    walsh = np.sort((logs[rows] + logs[columns]) / 2)
    below = signed_rank_quantile(count, (1 - confidence) / 2)
    return _interval(walsh, below, count, confidence)


def unpaired(one: _Figures, other: _Figures, confidence: float) -> Interval:
    """Estimate the ratio of `one` to `other`, from different blocks and of any two lengths.

    The interval is that of the rank sum test (Mann and Whitney 1947; Lehmann 1963), see section 4.3
    of the same book.
    """
    first, second = np.log(np.asarray(one, float)), np.log(np.asarray(other, float))
    differences = np.sort(np.subtract.outer(first, second).ravel())
    below = rank_sum_quantile(len(first), len(second), (1 - confidence) / 2)
    return _interval(differences, below, min(len(first), len(second)), confidence)


@lru_cache
def signed_rank_quantile(count: int, tail: float) -> int:
    """Return the largest k with P(T <= k) <= tail, or -1; T sums the positive ranks of `count`."""
    total = count * (count + 1) // 2
    if count > EXACT_SIGNED_RANK:
        deviation = math.sqrt(total * (2 * count + 1) / 12)
        return math.floor(total / 2 + float(scipy.stats.norm.ppf(tail)) * deviation - 0.5)
    chance = np.zeros(total + 1)
    chance[0] = 1.0
    for rank in range(1, count + 1):  # each rank is positive with probability 1/2
        chance[rank:] += chance[:-rank].copy()
        chance /= 2
    return int(np.searchsorted(np.cumsum(chance), tail * (1 + 1e-9), side="right")) - 1


@lru_cache
def rank_sum_quantile(first: int, second: int, tail: float) -> int:
    """Return the largest k with P(U <= k) <= tail, or -1; U is the Mann-Whitney count."""
    pairs = first * second
    if pairs > EXACT_MANN_WHITNEY:
        deviation = math.sqrt(pairs * (first + second + 1) / 12)
        return math.floor(pairs / 2 + float(scipy.stats.norm.ppf(tail)) * deviation - 0.5)
    ways = [1] + [0] * pairs  # the coefficients of the Gaussian binomial
    for factor in range(1, first + 1):
        for power in range(pairs, second + factor - 1, -1):
            ways[power] -= ways[power - second - factor]
        for power in range(factor, pairs + 1):
            ways[power] += ways[power - factor]
    allowed, so_far = tail * math.comb(first + second, first) * (1 + 1e-9), 0
    for power, count in enumerate(ways):
        so_far += count
        if so_far > allowed:
            return power - 1
    return pairs


def scatter(one: _Figures, other: _Figures) -> float:
    """Return how far the ratio of a block typically lies from the median, as a factor above 1.

    It is the median absolute deviation of the log-ratios, scaled to a standard deviation of normal
    noise.
    """
    logs = np.log(np.asarray(one, float) / np.asarray(other, float))
    return float(np.exp(scipy.stats.median_abs_deviation(logs, scale="normal")))


def outliers(figures: _Figures) -> list[int]:
    """Return the places of figures that lie far from the rest; they are reported, never dropped.

    It uses modified z-scores of the logarithms, by the median and the median absolute deviation
    (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993).
    """
    logs = np.log(np.asarray(figures, float))
    spread = scipy.stats.median_abs_deviation(logs, scale="normal")
    if not spread > 0:  # no figure, or more than half of them equal
        return []
    return [
        int(place) for place in np.flatnonzero(np.abs(logs - np.median(logs)) / spread > OUTLIER)
    ]


@dataclass(frozen=True)
class ChangePoint:
    """A point in a series where its level changed."""

    place: int
    """The index of the first figure at the new level."""
    ratio: float
    """Of the median after the change to the median before it."""
    chance: float
    """Of a change as clear in a series that has none, from 0 to 1."""


def clearness(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the absolute standardized Mann-Whitney statistic at each place to cut a series.

    `ranks` are those of a series of length n, or of one series in each row; for each there are
    n - 1 places.
    """
    count = ranks.shape[-1]
    before = np.arange(1, count)
    scale = np.sqrt(before * (count - before) * (count + 1) / 12)
    sums = np.cumsum(ranks - (count + 1) / 2, axis=-1)[..., :-1]
    scores: NDArray[np.float64] = np.abs(sums) / scale
    return scores


def change_point(figures: _Figures, *, chance: float = 0.01, seed: int = 1) -> ChangePoint | None:
    """Find the clearest change of level in a series in order of time, unless chance explains it.

    It is the largest standardized Mann-Whitney statistic over all places to cut (Pettitt 1979;
    standardized, so that the ends of the series count too: Hawkins and Deng 2010). Its chance comes
    from 1,999 shuffles of the series. It uses ranks only, so that one wild figure is not a change.
    Unlike thresholds, change points also find small steps (Daly et al., The Use of Change Point
    Detection to Identify Software Performance Regressions, 2020).
    """
    values = np.asarray(figures, float)
    count = len(values)
    if count < 5:
        return None
    ranks = scipy.stats.rankdata(values)
    cuts = clearness(ranks)
    shuffled = np.random.default_rng(seed).permuted(np.tile(ranks, (1_999, 1)), axis=1)
    as_clear = clearness(shuffled).max(axis=1) >= cuts.max() - 1e-9
    likely = (1 + int(as_clear.sum())) / 2_000
    if likely > chance:
        return None
    place = int(cuts.argmax()) + 1
    return ChangePoint(place, float(np.median(values[place:]) / np.median(values[:place])), likely)


def change_points(figures: _Figures, *, chance: float = 0.01, seed: int = 1) -> list[ChangePoint]:
    """Find all changes of level: cut the series at the clearest one and search both parts."""
    clearest = change_point(figures, chance=chance, seed=seed)
    if clearest is None:
        return []
    before = change_points(figures[: clearest.place], chance=chance, seed=seed)
    after = change_points(figures[clearest.place :], chance=chance, seed=seed)
    return [
        *before,
        clearest,
        *(ChangePoint(clearest.place + later.place, later.ratio, later.chance) for later in after),
    ]


def warm_up(figures: _Figures) -> int:
    """Return how many of the first figures differ from the level that follows, 0 if none do.

    That is the last change of level within the first half. Barrett et al., Virtual Machine Warmup
    Blows Hot and Cold, 2017, use change points too, rather than assume a number.
    """
    values = np.asarray(figures, float)
    places = [change.place for change in change_points(values) if change.place <= len(values) // 2]
    return max(places, default=0)


@dataclass(frozen=True)
class PowerLaw:
    """How figures grow as a power of the size."""

    exponent: float
    """0 does not grow, 1 grows in proportion."""
    low: float
    """The lower end of its interval."""
    high: float
    """The upper end of its interval."""
    confidence: float
    """The chance that the interval holds the true exponent, from 0 to 1."""


def power_law(sizes: _Figures, figures: _Figures, confidence: float = 0.95) -> PowerLaw:
    """Estimate the exponent of growth: the median slope of the logarithms over all pairs.

    The interval is that of Sen (1968), which extends Theil's (1950) to repeated sizes. Raises
    ValueError unless there are two different sizes, and all figures are positive.
    """
    where, what = np.log(np.asarray(sizes, float)), np.log(np.asarray(figures, float))
    if len(np.unique(where)) < 2 or not np.isfinite([*where, *what]).all():
        raise ValueError(
            "a power law needs at least two different sizes, and figures greater than 0"
        )
    if np.ptp(what) < 1e-9:
        # Nothing grows; Sen's interval cannot handle so many ties.
        return PowerLaw(0.0, 0.0, 0.0, confidence)
    slope, _, low, high = scipy.stats.theilslopes(what, where, alpha=confidence)
    return PowerLaw(float(slope), float(low), float(high), confidence)


def _interval(ordered: NDArray[np.float64], below: int, blocks: int, confidence: float) -> Interval:
    """Make the interval of sorted pairwise figures; `below` of them lie outside at each end, or it
    is unbounded if that is negative.
    """
    center = math.exp(np.median(ordered))
    if below < 0:
        return Interval(0.0, center, math.inf, blocks, confidence)
    return Interval(
        math.exp(ordered[below]),
        center,
        math.exp(ordered[len(ordered) - 1 - below]),
        blocks,
        confidence,
    )
