"""Ratios of one run, as several scenarios print them: shuffled blocks, whose counters are asserted and whose times are not."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from harness import runners
from harness.compare import Comparison, compare
from harness.engines import Engine
from harness.runners.base import COMMAND
from harness.trees import TypicalTree
from harness.trials import FLOOR, INCREMENTAL, Plan, Sample

BLOCKS = 9
LIMIT_SECONDS = 300


def measure(engine: Engine, tree: TypicalTree, *names: str, blocks: int = BLOCKS) -> list[Sample]:
    """The incremental samples of these runners and the floor, whose counters are right."""
    variants = tuple(runners.parse(name) for name in names)
    plan = Plan(budget_seconds=0, blocks=blocks)
    comparison = Comparison(tree, variants, engine, None, COMMAND, LIMIT_SECONDS, plan, seed=1)
    found = [each for each in compare(comparison) if each.build == INCREMENTAL]
    assert all(each.outcome == "completed" and each.right for each in found)
    assert {each.recompiled for each in found} == {1}
    assert {each.mtimes_changed for each in found} <= {0, None}
    return found


def ratio(samples: Sequence[Sample], one: str, other: str) -> float:
    """The median of the ratios within the blocks."""
    return statistics.median(mine / theirs for mine, theirs in _paired(samples, one, other))


def added(samples: Sequence[Sample], one: str) -> float:
    """Seconds over bare make, the median of the differences within the blocks."""
    return statistics.median(mine - theirs for mine, theirs in _paired(samples, one, FLOOR))


def _paired(samples: Sequence[Sample], one: str, other: str) -> list[tuple[float, float]]:
    times = {(each.runner, each.block): each.seconds for each in samples}
    return [(seconds, times[other, block]) for (name, block), seconds in times.items() if name == one]
