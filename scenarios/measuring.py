"""Ratios of one run, as several scenarios print them: shuffled blocks, whose counters are asserted and whose times are not."""

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
    """The incremental samples of these runners and the floor, whose counters are right."""
    variants = tuple(runners.parse_variant(name) for name in names)
    plan = BlockPlan(budget_seconds=0, blocks=blocks)
    comparison = Comparison(tree, variants, engine, None, COMMAND, LIMIT_SECONDS, plan, seed=1)
    found = [each for each in compare(comparison) if each.build == INCREMENTAL]
    assert all(each.outcome == "completed" and each.right for each in found)
    assert {each.recompiled for each in found} == {1}
    assert {each.mtimes_changed for each in found} <= {0, None}
    return found


MOMENTS = {"answered_seconds": "output in hand", "seconds": "in the katas"}
"""The two moments that a test event is measured to, by the fields of a sample."""


def ratios(samples: Sequence[Sample], one: str, other: str) -> str:
    """The medians of the ratios within the blocks, to either moment, in words."""
    found = {
        words: statistics.median(
            mine / theirs for mine, theirs in paired(samples, one, other, moment)
        )
        for moment, words in MOMENTS.items()
    }
    return f"{one} to {other}: {_in_words(found)}"


def growth(large: Sequence[Sample], small: Sequence[Sample], one: str) -> str:
    """What it adds to bare make on a large tree against what it adds on a small one, the medians of the differences within
    the blocks, in words.
    """
    found = {
        words: _added(large, one, moment) / _added(small, one, moment)
        for moment, words in MOMENTS.items()
    }
    return f"what {one} adds to {FLOOR}, the large tree to the small one: {_in_words(found)}"


def _added(samples: Sequence[Sample], one: str, moment: str) -> float:
    return statistics.median(mine - theirs for mine, theirs in paired(samples, one, FLOOR, moment))


def _in_words(found: Mapping[str, float]) -> str:
    return ", ".join(f"{words} {value:.2f}" for words, value in found.items())


def paired(
    samples: Sequence[Sample], one: str, other: str, moment: str = "seconds"
) -> list[tuple[float, float]]:
    """Seconds of the one and of the other to this moment, block by block."""
    times: dict[tuple[str, int], float] = {
        (each.runner, each.block): getattr(each, moment) for each in samples
    }
    return [
        (seconds, times[other, block]) for (name, block), seconds in times.items() if name == one
    ]
