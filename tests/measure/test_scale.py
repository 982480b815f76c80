"""Cost as the work grows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from harness import runners
from harness.engines.local.engine import LocalEngine
from harness.inside.errors import UsageError
from harness.measure import scale
from harness.measure.compare import Comparison
from harness.measure.trials import FLOOR, INCREMENTAL, BlockPlan
from harness.runners.base import COMMAND
from tests.measure.samples import sample


def test_trees_of_an_axis_differ_in_one_thing() -> None:
    """The axis that is left out is not there."""
    sizes, files = scale.axes(["1.6MB", "16MB"], [100, 10_000])
    assert [each.name for each in sizes.trees.values()] == [
        "typical:size=1.6MB",
        "typical:size=16MB",
    ]
    assert list(files.trees) == ["100 files", "10000 files"]
    assert [each.of for each in scale.axes([], [100])] == ["tree_files"]
    with pytest.raises(UsageError, match="size=1GB"):
        scale.axes(["1GB"], [])


def test_blocks_are_numbered_through_and_know_their_tree(tmp_path: Path) -> None:
    """What was really in the sandbox is measured, not what was asked for."""
    axes = scale.axes(["1.6MB", "3MB"], [], cost=0.01)
    with closing(LocalEngine(tmp_path)) as engine:
        comparisons = [
            Comparison(
                tree, [runners.parse_variant("tmp")], engine, None, COMMAND, 60, BlockPlan(0, 1), 1
            )
            for tree in axes[0].trees.values()
        ]
        shown: list[int] = []
        samples = list(scale.scale(comparisons, lambda step: shown.append(step.block)))
    assert [each.block for each in samples] == [0, 0, 1, 1, 2, 2, 3, 3] == shown
    small, large = samples[0], samples[-1]
    assert small.tree != large.tree
    assert small.tree_bytes is not None
    assert large.tree_bytes is not None
    assert large.tree_bytes - small.tree_bytes == pytest.approx(1_400_000, rel=0.1)
    (floor, tmp) = scale.growths(samples, ["tmp"], axes[0], INCREMENTAL)
    assert (floor.runner, tmp.runner) == (FLOOR, "tmp")
    assert list(tmp.seconds) == ["1.6MB", "3MB"]
    assert tmp.law is not None


def test_the_exponent_is_that_of_the_growth() -> None:
    """Of what grows with the square root; what did not complete is left out, and one tree alone
    tells nothing.
    """
    (axis,) = scale.axes([], [100, 400])
    few, many = (tree.name for tree in axis.trees.values())
    samples = [
        sample("tmp", scenario="incremental", tree=few, tree_files=100, seconds=1.0),
        sample("tmp", scenario="incremental", tree=many, tree_files=400, seconds=2.0),
        sample(
            "tmp",
            scenario="incremental",
            tree=many,
            tree_files=400,
            seconds=9.0,
            outcome="timed_out",
        ),
        sample("bare-make", scenario="incremental", tree=few, tree_files=100, seconds=1.0),
    ]
    floor, tmp = scale.growths(samples, ["tmp"], axis, "incremental")
    assert tmp.law is not None
    assert tmp.law.exponent == pytest.approx(0.5)
    assert tmp.seconds == {"100 files": 1.0, "400 files": 2.0}
    assert floor.law is None
