"""Draws gates from a recording, and applies other rules to the same figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import stats as scipy_stats

from harness.gate import Evidence, states
from harness.gate.budgets import Budget, budget
from harness.measure import looks, stats
from harness.measure.compare import AGAIN
from harness.measure.stats import VerdictState
from harness.measure.trials import INCREMENTAL, Sample
from scenarios.gate_accuracy.recording import RUNNER

BASE = "base"
TOLERANCE = "at most 5 % above the baseline"
BUDGETS: tuple[Budget, ...] = (budget(RUNNER, INCREMENTAL, "seconds", TOLERANCE, "accuracy"),)

ROUNDS = 20
"""Runs of each version, for rules that run one version after the other."""

Recording = Mapping[str, Sequence[Sample]]


def drawn_gate(
    recording: Recording, slowdown: float, random: np.random.Generator
) -> tuple[VerdictState, int]:
    """Draw blocks until a gate is settled, or may have no more; return its verdict and blocks."""
    one, other = recording[RUNNER], recording[RUNNER + AGAIN]
    samples: list[Sample] = []
    state = VerdictState.INCONCLUSIVE
    for block in range(looks.LOOKS[-1]):
        drawn = int(random.integers(len(one)))
        pair = (one[drawn].seconds, other[drawn].seconds)
        new, old = pair if random.random() < 0.5 else pair[::-1]
        samples.append(replace(one[0], runner=RUNNER, block=block, seconds=new * slowdown))
        samples.append(replace(one[0], runner=BASE, block=block, seconds=old))
        if looks.is_look(block + 1):
            (state,) = states(Evidence([samples], against=BASE), BUDGETS)
            if state is not VerdictState.INCONCLUSIVE:
                break
    return state, block + 1


def drawn_gates(
    recording: Recording, slowdown: float, count: int, seed: int
) -> tuple[Counter[VerdictState], list[int]]:
    """Return the verdicts of `count` gates, and the blocks that each took."""
    random = np.random.default_rng(seed)
    gates = [drawn_gate(recording, slowdown, random) for _ in range(count)]
    return Counter(state for state, _ in gates), [blocks for _, blocks in gates]


Rule = Callable[[np.ndarray, np.ndarray], bool]

RULES: dict[str, Rule] = {
    "pytest-benchmark, compare-fail=mean:5%": lambda new, old: new.mean() > 1.05 * old.mean(),
    "pytest-benchmark, compare-fail=min:5%": lambda new, old: new.min() > 1.05 * old.min(),
    "t-test, p < 0.05, and slower": lambda new, old: bool(
        scipy_stats.ttest_ind(new, old, equal_var=False, alternative="greater").pvalue < 0.025
    ),
    "fixed threshold: means differ by 10 %": lambda new, old: new.mean() > 1.10 * old.mean(),
}
"""Rules that say, from the figures of both versions, whether the new one is slower."""


def alarms(recording: Recording, rule: Rule, slowdown: float, count: int, seed: int) -> int:
    """Count how often, in `count` draws, the rule calls an arm slower than itself just before."""
    random = np.random.default_rng(seed)
    figures = np.array([sample.seconds for sample in recording[RUNNER]])
    starts = random.integers(len(figures) - 2 * ROUNDS + 1, size=count)
    return sum(
        rule(
            figures[start + ROUNDS : start + 2 * ROUNDS] * slowdown, figures[start : start + ROUNDS]
        )
        for start in starts
    )


def intervals(
    recording: Recording, blocks: int, count: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Return how often each kind of interval at 95 % covers the true ratio of 1, and its width."""
    random = np.random.default_rng(seed)
    logs = np.log(
        [
            a.seconds / b.seconds
            for a, b in zip(recording[RUNNER], recording[RUNNER + AGAIN], strict=True)
        ]
    )
    covered: Counter[str] = Counter()
    widths: dict[str, list[float]] = {"signed-rank": [], "bootstrap of the median": []}
    for _ in range(count):
        drawn = random.choice(logs, blocks) * random.choice([-1, 1], blocks)
        interval = stats.paired(np.exp(drawn), np.ones(blocks), 0.95)
        medians = np.median(random.choice(drawn, (1000, blocks)), axis=1)
        bounds = {
            "signed-rank": (np.log(interval.low), np.log(interval.high)),
            "bootstrap of the median": tuple(np.quantile(medians, (0.025, 0.975))),
        }
        for name, (low, high) in bounds.items():
            covered[name] += low <= 0 <= high
            widths[name].append(high - low)
    return {
        name: (covered[name] / count, float(np.median(drawn))) for name, drawn in widths.items()
    }
