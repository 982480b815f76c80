"""Ratios of shuffled blocks, for several scenarios: counters are asserted, times are printed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from harness import runners
from harness.engines import Engine
from harness.measure.compare import Comparison, compare
from harness.measure.trees import TypicalTree
from harness.measure.trials import FLOOR, INCREMENTAL, BlockPlan, Sample
from harness.runners.base import COMMAND

BLOCKS = 9
LIMIT_SECONDS = 300


def measure(engine: Engine, tree: TypicalTree, *names: str, blocks: int = BLOCKS) -> list[Sample]:
    """Return the incremental samples of the runners and the floor, with their counters checked."""
    variants = tuple(runners.parse_variant(name) for name in names)
    plan = BlockPlan(budget_seconds=0, blocks=blocks)
    comparison = Comparison(tree, variants, engine, None, COMMAND, LIMIT_SECONDS, plan, seed=1)
    samples = [sample for sample in compare(comparison) if sample.build == INCREMENTAL]
    assert all(sample.outcome == "completed" and sample.right for sample in samples)
    assert {sample.recompiled for sample in samples} == {1}
    assert {sample.mtimes_changed for sample in samples} <= {0, None}
    return samples


MOMENTS = {"answered_seconds": "output in hand", "seconds": "in the katas"}
"""The two moments to which a test event is timed, by the field of a sample."""


def ratios(samples: Sequence[Sample], one: str, other: str) -> str:
    """Describe the medians of the ratios within the blocks, to either moment."""
    medians = {
        words: statistics.median(
            mine / theirs for mine, theirs in paired(samples, one, other, moment)
        )
        for moment, words in MOMENTS.items()
    }
    return f"{one} to {other}: {_in_words(medians)}"


def growth(large: Sequence[Sample], small: Sequence[Sample], one: str) -> str:
    """Describe how much more a runner adds to bare make on a large tree than on a small one.

    What it adds is the median of the differences within the blocks.
    """
    factors = {
        words: _added(large, one, moment) / _added(small, one, moment)
        for moment, words in MOMENTS.items()
    }
    return f"what {one} adds to {FLOOR}, the large tree to the small one: {_in_words(factors)}"


def _added(samples: Sequence[Sample], one: str, moment: str) -> float:
    return statistics.median(mine - theirs for mine, theirs in paired(samples, one, FLOOR, moment))


def _in_words(values: Mapping[str, float]) -> str:
    return ", ".join(f"{words} {value:.2f}" for words, value in values.items())


def paired(
    samples: Sequence[Sample], one: str, other: str, moment: str = "seconds"
) -> list[tuple[float, float]]:
    """Return the seconds of both runners to this moment, block by block."""
    times: dict[tuple[str, int], float] = {
        (sample.runner, sample.block): getattr(sample, moment) for sample in samples
    }
    return [
        (seconds, times[other, block]) for (name, block), seconds in times.items() if name == one
    ]
