"""The looks at a growing run of blocks: when a verdict may be looked at, and how sure each must be.

A gate that looks after each block at the same interval, and stops when it likes what it sees, is
wrong far more often than the interval claims (Armitage, McPherson and Rowe 1969). So the looks are
few and fixed, and each takes a wider interval, the same at all of them (Pocock 1977).

How wide follows from two facts. A budget has one limit, and the true ratio lies on one side of it.
So only one of the two verdicts can be wrong, and each may spend the whole chance of a mistake
(Finner and Strassburger 2002, the partitioning principle). And the looks share most of their
blocks, so several seldom mislead where one does not; see `chance_of_crossing`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import scipy  # which imports its parts when they are used
from numpy.typing import NDArray

from harness.measure.stats import CONFIDENCE, Interval, least_blocks

LOOKS = (
    *(15, 19, 24, 30, 38, 48, 60, 76, 95, 120),
    *(151, 190, 240, 302, 381, 480, 605, 762, 960),
)
"""The numbers of blocks after which a verdict may be looked at: three for each doubling.

Fewer looks come late, and more cost confidence; with two to six for each doubling, gates take about
as many blocks (results/gate-accuracy).
"""

NODES, LEAST_SCORE = 64, -8.0
"""Points of the integration, and the standard score below which there is nothing to integrate."""


def share(verdicts: int, *, confidence: float = CONFIDENCE) -> float:
    """Return the confidence that each of so many intervals needs at each of LOOKS.

    Then all verdicts are right together with `confidence`, however the noise changes from block to
    block. Verdicts share it equally (Bonferroni). Holm's procedure would decide a little sooner,
    but it orders tests by their p-values and gives no interval to show beside a verdict.
    """
    return 1 - 2 * NormalDist().cdf(-_boundary((1 - confidence) / max(verdicts, 1)))


def is_look(blocks: int) -> bool:
    """Whether a verdict may be looked at after so many blocks."""
    return blocks == next_look(blocks - 1)


def next_look(blocks: int) -> int:
    """Return the first look after more than this many blocks."""
    return next((look for look in LOOKS if look > blocks), (blocks // LOOKS[-1] + 1) * LOOKS[-1])


def blocks_to_settle(interval: Interval, limit: float) -> int | None:
    """Return the number of blocks, a look, that settles the verdict with 9 chances in 10.

    It assumes that the true ratio is the estimate, and that an interval narrows with the square
    root of the blocks. None: the estimate is the limit, so no number of blocks will do.
    """
    distance = math.log(interval.estimate / limit)
    bound = interval.low if distance > 0 else interval.high
    if bound in (0.0, math.inf):
        return next_look(max(interval.blocks, least_blocks(interval.confidence) - 1))
    if abs(distance) < 1e-6:
        return None
    scores = (NormalDist().inv_cdf((1 + interval.confidence) / 2), NormalDist().inv_cdf(0.9))
    reach = abs(math.log(bound / interval.estimate)) * sum(scores) / scores[0]
    needed = math.ceil(interval.blocks * (reach / distance) ** 2)
    return next_look(max(interval.blocks, needed - 1))


def information(blocks: int) -> float:
    """Return the variance of the sum of so many ranks with random signs, times 6."""
    return blocks * (blocks + 1) * (2 * blocks + 1)


def chance_of_crossing(score: float, times: Sequence[float]) -> float:
    """Return the chance that a Brownian motion exceeds a standard score at any of the times.

    Let the true ratio be the limit. Then the blocks are ranked by their distance from it, and their
    signs are tosses of a coin. A block keeps its rank, or gets a higher one, as more blocks come.
    So the covariance of two looks is at least the variance at the earlier one: they are correlated
    at least as a Brownian motion is at the times of `information`, and one that is more correlated
    crosses less often (Slepian 1962). Noise that grows with each block comes up to this chance;
    no other order of the noise exceeds it.

    It is integrated from look to look (Armitage, McPherson and Rowe 1969; Jennison and Turnbull,
    Group Sequential Methods, 2000, chapter 19), by Gauss and Legendre.
    """
    points, weights = np.polynomial.legendre.leggauss(NODES)
    half = (score - LEAST_SCORE) / 2
    places, weights = LEAST_SCORE + half * (points + 1), half * weights
    density = _normal_density(places)
    for before, now in pairwise(times):
        kept = math.sqrt(before / now)
        spread = math.sqrt(1 - before / now)
        steps = _normal_density((places[:, None] - kept * places) / spread) / spread
        density = steps @ (weights * density)
    return 1 - float(weights @ density)


@lru_cache
def _boundary(chance: float) -> float:
    """Return the standard score that is crossed at any of LOOKS with this chance at most."""
    times = [information(look) for look in LOOKS]
    normal = NormalDist()
    # One look alone needs less than this, and looks that have nothing in common need more.
    least, most = -normal.inv_cdf(chance), -normal.inv_cdf(chance / len(LOOKS))
    return float(
        scipy.optimize.brentq(lambda score: chance_of_crossing(score, times) - chance, least, most)
    )


def _normal_density(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-(scores**2) / 2) / math.sqrt(2 * math.pi)
