"""The formulas of the statistics, against the published examples and against scipy's tests."""

from __future__ import annotations

import math
from itertools import combinations, permutations, product

import numpy as np
import pytest
import scipy.stats

from harness.measure import stats
from harness.measure.stats import ChangePoint, Interval, VerdictState

TAILS = (0.0005, 0.01, 0.1, 0.4)


def signed(count: int, total: int) -> list[int]:
    """The ranks of `count` differences, of which the positive ones sum to `total`."""
    ranks = []
    for rank in range(count, 0, -1):
        ranks.append(rank if rank <= total else -rank)
        total -= rank if rank <= total else 0
    return ranks


def above(first: int, second: int, pairs: int) -> tuple[list[float], list[float]]:
    """Two samples with so many pairs in which the one of the first is greater, and no ties."""
    whole, rest = divmod(pairs, second)
    levels = [second] * whole + ([rest] if len(range(whole)) < first else [])
    levels += [0] * (first - len(levels))
    return [level - 0.5 + 0.01 * place for place, level in enumerate(levels)], [*range(second)]


@pytest.mark.parametrize("tail", TAILS)
def test_the_normal_quantile_of_signed_ranks_is_that_of_scipy(tail: float) -> None:
    """Beyond the exact distribution: the last count whose chance, by scipy, is small enough."""
    count = stats.EXACT_SIGNED_RANK + 1
    found = stats.signed_rank_quantile(count, tail)
    at, beyond = (
        scipy.stats.wilcoxon(
            signed(count, each), alternative="less", correction=True, method="asymptotic"
        ).pvalue
        for each in (found, found + 1)
    )
    assert at <= tail < beyond


@pytest.mark.parametrize("tail", TAILS)
def test_the_normal_quantile_of_rank_sums_is_that_of_scipy(tail: float) -> None:
    found = stats.rank_sum_quantile(41, 61, tail)
    at, beyond = (
        scipy.stats.mannwhitneyu(
            *above(41, 61, each), alternative="less", method="asymptotic"
        ).pvalue
        for each in (found, found + 1)
    )
    assert at <= tail < beyond


@pytest.mark.parametrize(("first", "second"), [(1, 1), (3, 2), (2, 5), (4, 4)])
def test_the_exact_quantile_of_rank_sums_is_that_of_all_orders(first: int, second: int) -> None:
    """Counted out; a chance that is just as large as the tail is small enough."""
    orders = list(combinations(range(first + second), first))
    found = [sum(places) - first * (first - 1) // 2 for places in orders]
    for tail in (*TAILS, 1 / len(orders), 2 / len(orders), 1.0):
        rare = [
            k
            for k in range(first * second + 1)
            if sum(each <= k for each in found) <= tail * len(orders) * (1 + 1e-12)
        ]
        assert stats.rank_sum_quantile(first, second, tail) == max(rare, default=-1)


def test_a_chance_as_large_as_the_tail_is_small_enough() -> None:
    """Of four coins that all fall the same way, 1 in 16."""
    assert stats.signed_rank_quantile(4, 1 / 16) == 0
    assert stats.signed_rank_quantile(4, 0.999 / 16) == -1


def test_the_largest_sum_of_ranks_has_a_place_of_its_own() -> None:
    """The quantile of certainty is the sum of all ranks, whether that is odd or even."""
    assert [stats.signed_rank_quantile(count, 1.0) for count in (2, 3, 5)] == [3, 6, 15]


def test_the_exact_distributions_reach_as_far_as_they_say() -> None:
    """There, and one block further, the quantiles are those of counting and of the normal curve."""
    tail, count = 0.0005, stats.EXACT_SIGNED_RANK
    ways = [1] + [0] * (count * (count + 1) // 2)
    for rank in range(1, count + 1):
        for total in range(len(ways) - 1, rank - 1, -1):
            ways[total] += ways[total - rank]
    so_far, found = 0, -1
    while (so_far := so_far + ways[found + 1]) <= tail * 2**count:
        found += 1
    assert stats.signed_rank_quantile(count, tail) == found
    chance = scipy.stats.mannwhitneyu(
        *above(50, 50, stats.rank_sum_quantile(50, 50, tail)), alternative="less", method="exact"
    ).pvalue
    further = scipy.stats.mannwhitneyu(
        *above(50, 50, stats.rank_sum_quantile(50, 50, tail) + 1),
        alternative="less",
        method="exact",
    ).pvalue
    assert chance <= tail < further


def test_the_interval_of_pairs_is_that_of_the_book() -> None:
    """Hollander, Wolfe and Chicken, example 3.1 (depression): -0.46, from -0.786 to -0.010 with a
    confidence of 96.1 %.
    """
    before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    found = stats.paired(np.exp(after), np.exp(before), 1 - 20 / 512)
    assert math.log(found.estimate) == pytest.approx(-0.46)
    assert math.log(found.low) == pytest.approx(-0.786)
    assert math.log(found.high) == pytest.approx(-0.010)
    assert (found.blocks, found.confidence) == (9, 1 - 20 / 512)


def test_the_interval_of_two_samples_is_that_of_the_book() -> None:
    """Example 4.1 (permeability): 0.305, from -0.15 to 0.76 with a confidence of 95 %."""
    term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
    early = [1.15, 0.88, 0.90, 0.74, 1.21]
    found = stats.unpaired(np.exp(term), np.exp(early), 0.95)
    assert math.log(found.estimate) == pytest.approx(0.305)
    assert math.log(found.low) == pytest.approx(-0.15)
    assert math.log(found.high) == pytest.approx(0.76)
    assert found.blocks == 5


@pytest.mark.parametrize(
    ("low", "high", "at_most", "at_least"),
    [
        (0.9, 1.0, VerdictState.PASSED, VerdictState.INCONCLUSIVE),
        (1.0, 1.1, VerdictState.INCONCLUSIVE, VerdictState.PASSED),
        (0.8, 0.9, VerdictState.PASSED, VerdictState.REGRESSED),
        (1.1, 1.2, VerdictState.REGRESSED, VerdictState.PASSED),
        (0.9, 1.1, VerdictState.INCONCLUSIVE, VerdictState.INCONCLUSIVE),
    ],
)
def test_an_end_at_the_limit_keeps_to_it(
    low: float, high: float, at_most: VerdictState, at_least: VerdictState
) -> None:
    interval = Interval(low, 1.0, high, 20, 0.99)
    assert interval.against(1.0) is at_most
    assert interval.against(1.0, at_least=True) is at_least


def test_the_fewest_blocks_are_those_of_the_sign_test() -> None:
    """All signs alike, either way, has a chance of 2 in 2**n."""
    for confidence in (0.5, 0.9, 0.95, 0.99, 0.9985714):
        least = stats.least_blocks(confidence)
        assert 2 / 2**least <= 1 - confidence < 2 / 2 ** (least - 1)


def test_what_a_verdict_rests_on() -> None:
    """The documented constants."""
    assert (stats.CONFIDENCE, stats.OUTLIER) == (0.99, 3.5)
    assert (stats.EXACT_SIGNED_RANK, stats.EXACT_MANN_WHITNEY) == (200, 2500)


def test_the_clearness_of_a_cut_is_that_of_the_rank_sum_test() -> None:
    """At each place, by scipy; ties take no correction, as shuffles have the same."""
    figures = np.random.default_rng(2).normal(size=12)
    ranks = scipy.stats.rankdata(figures)
    wanted = [
        scipy.stats.norm.isf(
            scipy.stats.mannwhitneyu(
                figures[:cut], figures[cut:], method="asymptotic", use_continuity=False
            ).pvalue
            / 2
        )
        for cut in range(1, 12)
    ]
    assert stats.clearness(ranks) == pytest.approx(wanted)
    assert stats.clearness(np.array([ranks, ranks[::-1]])) == pytest.approx(
        np.array([wanted, wanted[::-1]])
    )


@pytest.mark.parametrize("figures", [(1, 2, 3, 4, 5, 6), (1, 2, 9, 3, 8, 7), (2, 2, 1, 3, 3, 3)])
def test_the_chance_of_a_change_is_that_of_all_orders(figures: tuple[int, ...]) -> None:
    """Within what 1,999 shuffles can miss it by."""
    ranks = scipy.stats.rankdata(figures)
    clearest = stats.clearness(ranks).max()
    orders = stats.clearness(np.array(list(permutations(ranks))))
    exact = float((orders.max(axis=1) > clearest - 1e-6).mean())
    found = stats.change_point(figures, chance=1.0)
    assert found is not None
    assert found.chance == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 1999))


def test_a_level_that_never_changes_has_every_chance() -> None:
    """All 1,999 shuffles of equal figures are as clear; five figures are enough to look."""
    assert stats.change_point([2.0] * 5, chance=1.0) == ChangePoint(1, 1.0, 1.0)
    assert stats.change_point([2.0] * 5, chance=0.9995) is None
    assert stats.change_point([2.0] * 4, chance=1.0) is None


def test_a_clear_change_has_its_place_ratio_and_chance() -> None:
    """No shuffle is as clear: 1 in 2,000."""
    low, high = [2.0, 2.1, 1.9, 2.2, 1.8, 2.05, 1.95], [6.0, 6.1, 5.9, 6.3, 5.7, 6.2, 5.8, 6.4]
    found = stats.change_point([*low, *low, *high, *high])
    assert found == ChangePoint(14, 6.05 / 2.0, 0.0005)
    noise = list(np.random.default_rng(8).normal(5, 1, 9))
    alike = stats.change_point(noise, chance=1.0)
    assert alike == stats.change_point(noise, chance=1.0, seed=1)
    assert alike != stats.change_point(noise, chance=1.0, seed=2)


@pytest.mark.parametrize("levels", [(1.0, 1.5, 0.8), (0.8, 1.5, 1.0), (1.0, 9.0, 5.0)])
def test_changes_before_and_after_the_clearest_are_found(levels: tuple[float, ...]) -> None:
    """Each with the ratio of its own levels, and a chance that was asked for."""
    random = np.random.default_rng(3)
    figures = np.repeat(levels, 15) * np.exp(random.normal(0, 0.03, 45))
    found = stats.change_points(figures)
    assert [each.place for each in found] == [15, 30]
    for each in found:
        assert each.chance <= 0.01
    assert found == stats.change_points(figures, chance=0.01, seed=1)
    assert [each.place for each in stats.change_points(figures, chance=0.001)] == [15, 30]
    assert stats.change_points(figures, chance=0.0001) == []


def test_a_warm_up_lasts_for_half_of_the_figures_at_most() -> None:
    random = np.random.default_rng(6)
    calm = np.exp(random.normal(0, 0.03, 40))
    assert stats.warm_up([*(2 * calm[:20]), *calm[20:]]) == 20
    assert stats.warm_up([*(2 * calm[:21]), *calm[21:]]) == 0


def test_scatter_and_outliers_are_scaled_to_normal_noise() -> None:
    """The median absolute deviation of -2, -1, 0, 1, 2 is 1, and that of normal noise 0.6745."""
    logs = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert stats.scatter(np.exp(logs), [1.0] * 5) == pytest.approx(math.exp(1 / 0.6744898))
    edge = 3.5 / 0.6744898
    assert stats.outliers(np.exp([*logs, 0.0, edge - 0.01])) == []
    assert stats.outliers(np.exp([*logs, 0.0, edge + 0.01])) == [6]
    assert stats.outliers(np.exp([*logs, 0.0, -edge - 0.01])) == [6]
    assert stats.outliers(np.exp([0.0, 1.0, 9.0])) == [2]


def test_the_power_law_is_that_of_sen() -> None:
    """The example of Sen 1968, page 1388: 4, from 3.71 to 4.38 with a confidence of 93 %."""
    sizes, figures = [1, 2, 3, 4, 10, 12, 18], [9, 15, 19, 20, 45, 55, 78]
    found = stats.power_law(np.exp(sizes), np.exp(figures), 0.93)
    assert found.exponent == pytest.approx(4.0)
    assert (round(found.low, 2), round(found.high, 2)) == (3.71, 4.38)
    assert found.confidence == 0.93


def test_a_power_law_of_equal_figures_is_flat() -> None:
    """With the usual confidence, of 95 %; two sizes are enough."""
    assert stats.power_law([1, 2], [5, 5]) == stats.PowerLaw(0.0, 0.0, 0.0, 0.95)
    assert stats.power_law([1, 2], [5, 10]).exponent == pytest.approx(1.0)
    for figures in ([0.0, 1.0], [1.0, math.inf]):
        with pytest.raises(ValueError, match="greater than 0"), np.errstate(divide="ignore"):
            stats.power_law([1, 2], figures)


def test_the_quantile_of_signed_ranks_is_that_of_all_signs() -> None:
    """Of seven, at each chance that there is."""
    sums = sorted(
        sum(rank for rank, up in enumerate(signs, 1) if up) for signs in product([0, 1], repeat=7)
    )
    for place in range(1, len(sums)):
        if sums[place] > sums[place - 1]:
            assert stats.signed_rank_quantile(7, place / len(sums)) == sums[place - 1]
    assert stats.signed_rank_quantile(7, 1.0) == 28
