"""Which blocks are played."""

from __future__ import annotations

from collections.abc import Iterator

from harness.measure.trials.plan import LEAST_ROUNDS, ROUNDS_TO_A_FULL, BlockPlan
from harness.measure.trials.scenario import FIRST, FULL, HEADER, INCREMENTAL, NO_OP


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def played(plan: BlockPlan, cost: dict[str, float]) -> tuple[list[str], float]:
    """The blocks of a plan where each kind takes so long, and how long they took together."""
    clock = Clock()

    def kinds() -> Iterator[str]:
        for kind in plan.kinds(clock):
            clock.now += cost[kind]
            yield kind

    # The clock must move while the plan waits for the block to end, so the cost is added inside the
    # loop.
    return list(kinds()), clock.now


def test_the_least_is_played_however_small_the_budget() -> None:
    """One full block and three incremental ones, in that order."""
    blocks, _ = played(BlockPlan(0.001), {FULL: 100, INCREMENTAL: 50})
    assert blocks == [FULL] + [INCREMENTAL] * LEAST_ROUNDS


def test_the_budget_is_kept() -> None:
    """A block is not begun if the longest of its kind would not end in time."""
    blocks, seconds = played(BlockPlan(100), {FULL: 12, INCREMENTAL: 4})
    assert seconds <= 100
    assert len(blocks) > 1 + LEAST_ROUNDS
    assert seconds + 4 > 100 or blocks[-1] == INCREMENTAL


def test_every_sixth_block_is_a_full_one() -> None:
    """Full builds are measured more than once where there is time."""
    blocks, _ = played(BlockPlan(1000), {FULL: 10, INCREMENTAL: 1})
    assert blocks[:: ROUNDS_TO_A_FULL + 1] == [FULL] * len(blocks[:: ROUNDS_TO_A_FULL + 1])
    assert blocks.count(FULL) > 1


def test_a_number_of_blocks_outranks_the_budget() -> None:
    """So many incremental blocks are played, and a full one before every five."""
    blocks, _ = played(BlockPlan(0, blocks=7), {FULL: 10, INCREMENTAL: 1})
    assert blocks.count(INCREMENTAL) == 7
    assert blocks.count(FULL) == 2


def test_scenarios_that_need_a_build_take_their_turns() -> None:
    """Those from nothing come first, and then five rounds of the others, each as often as every
    other.
    """
    cost = dict.fromkeys((FULL, FIRST, INCREMENTAL, NO_OP, HEADER), 1.0)
    blocks, _ = played(
        BlockPlan(0, blocks=2, scenarios=(FULL, FIRST, INCREMENTAL, NO_OP, HEADER)), cost
    )
    assert blocks == [FULL, FIRST, *[INCREMENTAL, NO_OP, HEADER] * 2]


def test_a_build_to_begin_from_comes_first_where_none_was_asked_for() -> None:
    """And not again: all the time there is goes to what was asked for."""
    blocks, _ = played(BlockPlan(0, blocks=9, scenarios=(NO_OP,)), {FULL: 1.0, NO_OP: 1.0})
    assert blocks == [FULL] + [NO_OP] * 9


def test_scenarios_from_nothing_alone_are_counted_themselves() -> None:
    blocks, _ = played(BlockPlan(0, blocks=2, scenarios=(FIRST,)), {FIRST: 1.0})
    assert blocks == [FIRST] * 2
    blocks, _ = played(BlockPlan(0.5, scenarios=(FULL, FIRST)), {FULL: 1.0, FIRST: 1.0})
    assert blocks == [FULL, FIRST] * LEAST_ROUNDS
