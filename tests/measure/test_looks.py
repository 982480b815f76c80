"""The looks at a growing run: however often the gate looks, it is wrong as seldom as it says."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from harness.measure import looks, stats
from harness.measure.stats import Interval


def mistakes(magnitudes: np.ndarray, confidence: float, *, runs: int) -> float:
    """The share of runs, with these distances from the limit, that any look calls beyond it.

    The true ratio is the limit, so each sign is a toss of a coin.
    """
    below = np.random.default_rng(1).integers(2, size=(runs, looks.LOOKS[-1])).astype(np.float32)
    wrong = np.zeros(runs, bool)
    for look in looks.LOOKS:
        ranks = scipy.stats.rankdata(magnitudes[:look]).astype(np.float32)
        least = stats.signed_rank_quantile(look, (1 - confidence) / 2)
        wrong |= below[:, :look] @ ranks <= least
    return float(wrong.mean())


def test_there_are_three_looks_for_each_doubling_of_the_blocks() -> None:
    assert tuple(math.floor(15 * 2 ** (step / 3) + 0.5) for step in range(19)) == looks.LOOKS
    assert [looks.is_look(each) for each in (0, 15, 16, 480, 960, 1000, 1920, 2880)] == [
        *(False, True, False, True, True, False, True, True)
    ]
    assert [looks.next_look(each) for each in (0, 15, 959, 960, 1919, 1920)] == [
        *(15, 19, 960, 1920, 1920, 2880)
    ]


@pytest.mark.parametrize(
    ("count", "score"), [(2, 2.772), (3, 2.873), (4, 2.939), (5, 2.986), (10, 3.117), (20, 3.225)]
)
def test_the_chance_is_that_of_the_tables(count: int, score: float) -> None:
    """Pocock's constants for looks after equal numbers, 1 % at both sides (Jennison and Turnbull
    2000, table 2.1).
    """
    found = looks.chance_of_crossing(score, range(1, count + 1))
    assert 2 * found == pytest.approx(0.01, rel=0.003)


def test_one_look_is_the_normal_tail() -> None:
    assert looks.chance_of_crossing(2.0, [7.0]) == pytest.approx(scipy.stats.norm.sf(2.0))
    two = scipy.stats.multivariate_normal(cov=[[1, 0.5], [0.5, 1]]).cdf([2.0, 2.0])
    assert looks.chance_of_crossing(2.0, [1.0, 4.0]) == pytest.approx(1 - two, rel=1e-6)


def test_what_each_look_needs() -> None:
    """A score of 3.222 for one verdict; several share the chance, none counts as one."""
    score = scipy.stats.norm.isf((1 - looks.share(1)) / 2)
    times = [looks.information(look) for look in looks.LOOKS]
    assert score == pytest.approx(3.2220, abs=1e-4)
    assert looks.chance_of_crossing(score, times) == pytest.approx(0.01)
    assert looks.share(0) == looks.share(1) == pytest.approx(0.9987271, abs=1e-7)
    assert looks.share(5) == looks.share(1, confidence=0.998) == pytest.approx(0.99976165, abs=1e-8)


def test_the_times_are_the_variances_of_the_signed_ranks() -> None:
    """A twenty-fourth of `information` is the variance of the sum of the positive ranks."""
    for blocks in (1, 4, 15):
        variance = sum(rank**2 / 4 for rank in range(1, blocks + 1))
        assert looks.information(blocks) / 24 == pytest.approx(variance)


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=30, unique=True), st.data())
def test_two_looks_are_correlated_at_least_as_the_boundary_assumes(
    magnitudes: list[float], data: st.DataObject
) -> None:
    """Whatever the order of the noise; just as much if it grows with each block."""
    early = data.draw(st.integers(1, len(magnitudes) - 1))
    for order in (magnitudes, sorted(magnitudes)):
        then = scipy.stats.rankdata(order[:early])
        now = scipy.stats.rankdata(order)
        covariance = float(then @ now[:early])
        correlation = covariance / math.sqrt(float(then @ then) * float(now @ now))
        assumed = math.sqrt(looks.information(early) / looks.information(len(order)))
        assert correlation >= assumed - 1e-9
    assert correlation == pytest.approx(assumed)


def test_it_is_wrong_as_seldom_as_it_says_however_the_noise_goes() -> None:
    """1 run of 100, and 4 standard errors, at the worst: noise that grows with each block. Less if
    it fades, comes in bursts, or has no order.
    """
    blocks, runs = np.arange(1.0, looks.LOOKS[-1] + 1), 20_000
    bound = 0.01 + 4 * math.sqrt(0.01 * 0.99 / runs)
    shuffled = np.random.default_rng(2).permutation(blocks)
    worst = mistakes(blocks, looks.share(1), runs=runs)
    assert 0.007 < worst < bound
    for order in (blocks[::-1], shuffled, np.where(blocks % 60 < 20, 10 * shuffled, shuffled)):
        assert 0.002 < mistakes(order, looks.share(1), runs=runs) < worst


def test_a_single_interval_looked_at_so_often_would_be_wrong_far_more() -> None:
    """That is why looks take a wider one."""
    shuffled = np.random.default_rng(2).permutation(np.arange(1.0, looks.LOOKS[-1] + 1))
    assert mistakes(shuffled, 0.98, runs=5_000) > 0.04


def test_looks_are_further_apart_the_more_blocks_there_are() -> None:
    gaps = [now - before for before, now in pairwise(looks.LOOKS)]
    assert gaps == sorted(gaps)


@pytest.mark.parametrize("confidence", [0.9, 0.99])
@pytest.mark.parametrize("limit", [1.0, 1.15, 0.97])
def test_the_blocks_to_settle_follow_from_two_normal_quantiles(
    confidence: float, limit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the interval and that of 9 chances in 10, on the side of the limit."""
    monkeypatch.setattr(looks, "LOOKS", tuple(range(1, 5000)))
    interval = Interval(0.9, 1.1, 1.2, 20, confidence)
    ours, power = scipy.stats.norm.ppf([(1 + confidence) / 2, 0.9])
    end = 0.9 if limit < 1.1 else 1.2
    deviations = abs(math.log(end / 1.1)) / ours * (ours + power) / abs(math.log(1.1 / limit))
    assert looks.blocks_to_settle(interval, limit) == max(math.ceil(20 * deviations**2), 21)


def test_what_more_blocks_cannot_settle_or_have_settled() -> None:
    """An estimate at the limit, or nearer than a millionth; and one that is far from it."""
    assert looks.blocks_to_settle(Interval(0.9, 1.0, 1.1, 20, 0.99), 1 + 5e-7) is None
    assert looks.blocks_to_settle(Interval(0.9, 1.0, 1.1, 20, 0.99), 1 - 2e-6) is not None
    assert looks.blocks_to_settle(Interval(0.99, 1.0, 1.01, 30, 0.99), 9.0) == 38
    few = Interval(0.0, 1.0, math.inf, 3, 1 - 2**-14)
    assert looks.blocks_to_settle(few, 1.05) == 15  # the fewest blocks that give an interval
    assert looks.blocks_to_settle(few, 0.95) == 15
    assert looks.blocks_to_settle(Interval(0.0, 1.0, math.inf, 3, 1 - 2**-15), 1.05) == 19
    assert looks.blocks_to_settle(Interval(0.0, 1.0, math.inf, 15, 0.9), 1.0) == 19


def test_the_blocks_that_would_settle_it_do() -> None:
    """With noise of the same kind, half as near to the limit takes four times the blocks, up to the
    next look.

    Just to halve the interval is not enough: the estimate moves as well, and settles it then only
    half of the time.
    """
    interval = Interval(0.95, 1.0, 1.0 / 0.95, 40, 0.99)
    assert looks.blocks_to_settle(interval, 1 / 0.95) == 95
    assert looks.blocks_to_settle(interval, math.sqrt(1 / 0.95)) == 381
    assert looks.blocks_to_settle(interval, 1.0) is None
    assert looks.blocks_to_settle(Interval(0.0, 1.0, math.inf, 3, 0.99), 1.05) == 15


@given(st.integers(0, 5000))
def test_looks_come_one_after_the_other(blocks: int) -> None:
    """The next look is a look, and there is none between."""
    following = looks.next_look(blocks)
    assert following > blocks
    assert looks.is_look(following)
    assert not any(looks.is_look(each) for each in range(blocks + 1, following))
