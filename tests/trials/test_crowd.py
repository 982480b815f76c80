"""Many avatars at once, on the local engine."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from harness import load, runners
from harness.compare import Comparison
from harness.engines.local import LocalEngine
from harness.errors import UsageError
from harness.runners.base import COMMAND
from harness.trees import OwnTree, TypicalTree
from harness.trials import FLOOR, Plan, Sample
from harness.trials.crowd import Crowds, levels, percentile
from tests.test_results import sample


def play(
    tree: TypicalTree | OwnTree, home: Path, crowds: Crowds, *names: str, limit: float = 60
) -> list[Sample]:
    with closing(LocalEngine(home)) as engine:
        kinds = [runners.parse(each) for each in names]
        asked = Comparison(tree, kinds, engine, None, COMMAND, limit, Plan(0), 1)
        return list(load.load(asked, crowds))


def test_avatars_play_at_once_and_each_gets_the_answer_to_its_own_edits(tmp_path: Path) -> None:
    """In one kata, with every arm in every block; nobody waits for the others between its test events."""
    crowds = Crowds(sizes=(1, 3), events=6, budget_seconds=0.001)
    samples = play(TypicalTree("cost=0.01"), tmp_path, crowds, "katas-data-container")
    assert all(each.outcome == "completed" and each.right for each in samples)
    blocks = {each.block: each.avatars for each in samples}
    assert sorted(blocks.values()) == [1, 3]
    for block, avatars in blocks.items():
        for runner in (FLOOR, "katas-data-container"):
            mine = [each for each in samples if each.block == block and each.runner == runner]
            assert len(mine) == 6
            ends = sorted((each.at or 0.0) + each.seconds for each in mine)
            starts = sorted(each.at or 0.0 for each in mine)
            overlapping = any(start < end for start, end in zip(starts[1:], ends, strict=False))
            assert overlapping == (avatars > 1)
            assert len({each.harness_seconds for each in mine}) == 1


def test_each_avatar_plays_twice_at_least(tmp_path: Path) -> None:
    """However few test events were asked for."""
    samples = play(TypicalTree("cost=0.01"), tmp_path, Crowds((2,), 1, 0.001), "katas-volume")
    assert len(samples) == 2 * 2 * 2
    assert {each.scenario for each in samples} == {"incremental"}


def test_a_first_build_that_does_not_end_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "cyber-dojo.sh").write_text("#!/bin/sh\nsleep 60\n")
    (tree / "cyber-dojo.sh").chmod(0o755)
    with pytest.raises(
        UsageError, match="first build of avatar 1 with bare-make did not end: it passed the limit"
    ):
        play(OwnTree(tree, "cyber-dojo.sh"), tmp_path / "home", Crowds((1,), 1, 1), "tmp", limit=0.2)


def test_throughput_is_of_completed_test_events_from_the_first_press_to_the_last_output() -> None:
    """The median of the blocks; what failed is counted, and has no time."""
    block = [
        sample(at=10.0, seconds=1.0, avatars=2),
        sample(at=10.5, seconds=3.5, avatars=2),
        sample(at=11.0, seconds=1.0, avatars=2, outcome="faulty", right=None),
    ]
    other = [sample(at=0.0, seconds=1.0, block=1, avatars=2)]
    (level,) = levels([*block, *other], ["tmp"])
    assert (level.avatars, level.events, level.failed, level.right) == (2, 4, 1, (3, 3))
    assert level.throughput == pytest.approx((2 / 4 + 1) / 2)
    assert level.median == 1.0
    assert level.slowest == pytest.approx(1.0 + 0.9 * 2.5)


def test_a_percentile_lies_between_its_neighbours() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0], 0.95) == 3.0
    assert percentile([1.0, 2.0, 4.0], 0.5) == 2.0
    assert percentile([1.0, 2.0, 4.0], 0.75) == 3.0
