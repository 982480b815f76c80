"""Which blocks are played."""

from __future__ import annotations

from collections.abc import Iterator

from harness.trials.plan import INCREMENTAL_TO_A_FULL, LEAST_INCREMENTAL, Plan
from harness.trials.sample import FULL, INCREMENTAL


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def played(plan: Plan, cost: dict[str, float]) -> tuple[list[str], float]:
    """The blocks of a plan where each kind takes so long, and how long they took together."""
    clock = Clock()

    def kinds() -> Iterator[str]:
        for kind in plan.kinds(clock):
            clock.now += cost[kind]
            yield kind

    # The clock must move while the plan waits for the block to end, so the cost is added inside the loop.
    return list(kinds()), clock.now


def test_the_least_is_played_however_small_the_budget() -> None:
    """One full block and three incremental ones, in that order."""
    blocks, _ = played(Plan(0.001), {FULL: 100, INCREMENTAL: 50})
    assert blocks == [FULL] + [INCREMENTAL] * LEAST_INCREMENTAL


def test_the_budget_is_kept() -> None:
    """A block is not begun if the longest of its kind would not end in time."""
    blocks, seconds = played(Plan(100), {FULL: 12, INCREMENTAL: 4})
    assert seconds <= 100
    assert len(blocks) > 1 + LEAST_INCREMENTAL
    assert seconds + 4 > 100 or blocks[-1] == INCREMENTAL


def test_every_sixth_block_is_a_full_one() -> None:
    """Full builds are measured more than once where there is time."""
    blocks, _ = played(Plan(1000), {FULL: 10, INCREMENTAL: 1})
    assert blocks[:: INCREMENTAL_TO_A_FULL + 1] == [FULL] * len(blocks[:: INCREMENTAL_TO_A_FULL + 1])
    assert blocks.count(FULL) > 1


def test_a_number_of_blocks_outranks_the_budget() -> None:
    """So many incremental blocks are played, and a full one before every five."""
    blocks, _ = played(Plan(0, blocks=7), {FULL: 10, INCREMENTAL: 1})
    assert blocks.count(INCREMENTAL) == 7
    assert blocks.count(FULL) == 2
