"""The statistics: intervals cover, verdicts are monotone, and chance alone is not called a
change.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measure import stats
from harness.measure.stats import Interval, VerdictState

times = st.lists(st.floats(0.01, 100), min_size=1, max_size=40)
pairs = st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=1, max_size=40)
limits = st.floats(0.1, 10)


def split(found: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [one for one, _ in found], [other for _, other in found]


@pytest.mark.parametrize("count", [1, 4, 9])
def test_the_signed_rank_quantile_is_that_of_all_signs(count: int) -> None:
    """Counted out over every way in which the coins can fall."""
    sums = [
        sum(rank for rank, up in enumerate(signs, 1) if up)
        for signs in product([0, 1], repeat=count)
    ]
    for tail in (0.01, 0.1, 0.3):
        rare = [k for k in range(max(sums)) if sum(each <= k for each in sums) <= tail * len(sums)]
        assert stats.signed_rank_quantile(count, tail) == max(rare, default=-1)


def test_the_quantiles_are_those_of_the_tables() -> None:
    """Of 20 signed ranks and of two samples of 10, at 2.5 % (Hollander, Wolfe and Chicken, tables
    A.4 and A.6).
    """
    assert stats.signed_rank_quantile(20, 0.025) == 52
    assert stats.rank_sum_quantile(10, 10, 0.025) == 23
    assert stats.rank_sum_quantile(3, 2, 0.01) == -1


def test_the_normal_quantiles_join_the_exact_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one gives way to the other, they differ by less than a hundredth of the spread."""
    count = stats.EXACT_SIGNED_RANK
    exact = stats.signed_rank_quantile(count, 0.0005), stats.rank_sum_quantile(50, 50, 0.0005)
    monkeypatch.setattr(stats, "EXACT_SIGNED_RANK", 1)
    monkeypatch.setattr(stats, "EXACT_MANN_WHITNEY", 1)
    normal = (
        stats.signed_rank_quantile.__wrapped__(count, 0.0005),
        stats.rank_sum_quantile.__wrapped__(50, 50, 0.0005),
    )
    assert normal == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize("ratio", [1.0, 1.1])
def test_intervals_cover_the_true_ratio_as_often_as_they_say(ratio: float) -> None:
    """Under noise with heavy tails that lasts over many blocks, as on a busy machine: 95 of 100,
    give or take.
    """
    random = np.random.default_rng(4)
    covered = {"paired": 0, "unpaired": 0}
    for _ in range(400):
        busy = np.exp(np.repeat(random.standard_t(2, 5), 5) * 0.3)  # five blocks at a time
        one, other = (busy * np.exp(random.standard_t(2, 25) * 0.1) for _ in range(2))
        found = stats.paired(one * ratio, other, 0.95)
        covered["paired"] += found.low <= ratio <= found.high
        calm = np.exp(random.standard_t(2, 20) * 0.1)
        found = stats.unpaired(one / busy * ratio, calm, 0.95)
        covered["unpaired"] += found.low <= ratio <= found.high
    for each in covered.values():
        assert 400 * 0.95 - 4 * math.sqrt(400 * 0.95 * 0.05) <= each <= 400


@given(pairs, st.floats(0.5, 2))
def test_an_interval_scales_with_its_figures(
    found: list[tuple[float, float]], factor: float
) -> None:
    """Twice as slow is twice the ratio, and the estimate lies within."""
    one, other = split(found)
    for measure in (stats.paired, stats.unpaired):
        before, after = (
            measure(one, other, 0.9),
            measure([factor * each for each in one], other, 0.9),
        )
        assert before.low <= before.estimate * (1 + 1e-9)
        assert before.estimate <= before.high * (1 + 1e-9)
        for name in ("low", "estimate", "high"):
            assert getattr(after, name) == pytest.approx(getattr(before, name) * factor)


@given(pairs)
def test_the_other_way_round_is_the_inverse(found: list[tuple[float, float]]) -> None:
    """No verdict depends on which arm is named first."""
    one, other = split(found)
    there, back = stats.paired(one, other, 0.9), stats.paired(other, one, 0.9)
    assert there.estimate == pytest.approx(1 / back.estimate)
    assert there.high == (math.inf if back.low == 0 else pytest.approx(1 / back.low))


@given(pairs, limits, limits)
def test_verdicts_are_monotone(found: list[tuple[float, float]], one: float, other: float) -> None:
    """What passes a limit passes every looser one, and what breaks it breaks every tighter one."""
    interval = stats.paired(*split(found), 0.9)
    tight, loose = sorted((one, other))
    if interval.against(tight) is VerdictState.PASSED:
        assert interval.against(loose) is VerdictState.PASSED
    if interval.against(loose) is VerdictState.REGRESSED:
        assert interval.against(tight) is VerdictState.REGRESSED
    if interval.against(loose, at_least=True) is VerdictState.PASSED:
        assert interval.against(tight, at_least=True) is VerdictState.PASSED


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [
        (0.9, 1.05, VerdictState.PASSED),
        (1.06, 1.2, VerdictState.REGRESSED),
        (1.0, 1.06, VerdictState.INCONCLUSIVE),
        (0.0, math.inf, VerdictState.INCONCLUSIVE),
    ],
)
def test_a_verdict_has_three_values(low: float, high: float, state: VerdictState) -> None:
    """Passed and regressed only if the whole interval says so."""
    assert Interval(low, 1.0, high, 20, 0.99).against(1.05) is state


def test_too_few_blocks_decide_nothing() -> None:
    """However clear they look; and one more than too few do."""
    least = stats.least_blocks(0.99)
    for blocks, high in ((least - 1, math.inf), (least, pytest.approx(2.0))):
        assert stats.paired([2.0] * blocks, [1.0] * blocks, 0.99).high == high


def test_outliers_are_named() -> None:
    """By their place, fast ones too; equal figures have none."""
    calm = [1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.01]
    assert stats.outliers([*calm, 3.0, *calm, 0.2]) == [7, 15]
    assert stats.outliers([1.0] * 5) == []
    assert stats.outliers([1.0, 9.0]) == []


def test_a_change_of_level_is_found_where_it_is() -> None:
    """With its size; a single wild figure is none."""
    random = np.random.default_rng(3)
    calm = np.exp(random.normal(0, 0.05, 30))
    found = stats.change_point([*calm[:20], *(1.2 * calm[20:])])
    assert found is not None
    assert abs(found.place - 20) <= 1
    assert found.ratio == pytest.approx(1.2, rel=0.05)
    assert stats.change_point([*calm[:29], 50.0]) is None


def test_several_changes_come_in_order() -> None:
    random = np.random.default_rng(3)
    levels = np.repeat([1.0, 1.5, 0.8], 15)
    places = [
        each.place for each in stats.change_points(levels * np.exp(random.normal(0, 0.03, 45)))
    ]
    assert places == [15, 30]


def test_chance_is_called_a_change_as_seldom_as_it_says() -> None:
    """At most 1 series in 100 that has none; 8 of 200 would be far from that."""
    random = np.random.default_rng(5)
    assert sum(stats.change_point(random.normal(1, 0.1, 20)) is not None for _ in range(200)) < 8
    assert stats.change_point([1.0, 2.0, 3.0]) is None


def test_a_warm_up_is_found_and_none_is_assumed() -> None:
    """A change in the second half is no warm-up."""
    random = np.random.default_rng(6)
    calm = np.exp(random.normal(0, 0.03, 40))
    assert stats.warm_up([*(2 * calm[:8]), *calm[8:]]) == 8
    assert stats.warm_up(calm) == 0
    assert stats.warm_up([*calm[:30], *(2 * calm[30:])]) == 0


@given(st.floats(-1, 2), st.floats(0.01, 10))
def test_a_power_law_is_recovered(exponent: float, cost: float) -> None:
    """From figures without noise exactly; one wild figure in nine does not move it far."""
    sizes = [1.6] * 3 + [16.0] * 3 + [160.0] * 3
    figures = [cost * size**exponent for size in sizes]
    found = stats.power_law(sizes, figures)
    assert found.exponent == pytest.approx(exponent, abs=1e-6)
    assert found.low <= found.exponent + 1e-9
    assert found.exponent <= found.high + 1e-9
    wild = stats.power_law(sizes, [figures[0] * 3, *figures[1:]])
    assert wild.exponent == pytest.approx(exponent, abs=0.3)


def test_a_power_law_takes_two_sizes() -> None:
    with pytest.raises(ValueError, match="two different sizes"):
        stats.power_law([1, 1], [1, 2])


def test_the_scatter_of_a_block_is_a_factor() -> None:
    """About 1.11 for ratios with a standard deviation of 10 %, whatever their level."""
    random = np.random.default_rng(7)
    assert stats.scatter(3 * np.exp(random.normal(0, 0.1, 1000)), [1.0] * 1000) == pytest.approx(
        1.105, rel=0.02
    )
