"""The scale experiment: the same comparison on one typical tree after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from harness.measure import stats
from harness.measure.compare import Comparison, compare
from harness.measure.trees import TypicalTree
from harness.measure.trials import FLOOR, Sample, Step

ROOM = "32MB"
"""Size of the trees that differ in their number of files; 10,000 files fit."""


@dataclass(frozen=True)
class Axis:
    """One way for trees to grow, with trees that differ in nothing else."""

    of: str
    """The column of a result that grows: "tree_bytes" or "tree_files"."""
    words: str
    """Its name in a table."""
    trees: Mapping[str, TypicalTree]
    """The trees by their labels in a table."""


def axes(sizes: Sequence[str], files: Sequence[int], cost: float = 1.0) -> list[Axis]:
    """Return an axis of these sizes and one of these numbers of files, without empty ones.

    Trees of the first have the default's number of files, trees of the second the size ROOM. `cost`
    multiplies the compiler's work for all. Raises UsageError for a size or number that no tree can
    have.
    """
    rest = "" if cost == 1.0 else f",cost={cost:g}"
    all_axes = [
        Axis("tree_bytes", "bytes", {value: TypicalTree(f"size={value}{rest}") for value in sizes}),
        Axis(
            "tree_files",
            "files",
            {f"{value} files": TypicalTree(f"size={ROOM},files={value}{rest}") for value in files},
        ),
    ]
    return [axis for axis in all_axes if axis.trees]


def scale_facts(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return the facts for the first line of the result file."""
    return {
        **comparisons[0].facts(),
        "tree": " ".join(comparison.tree.name for comparison in comparisons),
    }


def scale(
    comparisons: Sequence[Comparison], about_to: Callable[[Step], None] = lambda step: None
) -> Iterator[Sample]:
    """Yield the samples of one comparison after another, with blocks numbered over all of them."""
    blocks = 0
    for comparison in comparisons:
        begun = blocks

        def show(step: Step, begun: int = begun) -> None:
            about_to(replace(step, block=begun + step.block))

        for sample in compare(comparison, show):
            blocks = begun + sample.block + 1
            yield replace(sample, block=begun + sample.block)


@dataclass(frozen=True)
class Growth:
    """How one arm does on the trees of one axis, in one scenario."""

    runner: str
    """The name of the arm."""
    scenario: str
    """One of SCENARIOS."""
    axis: Axis
    """What grows."""
    seconds: dict[str, float]
    """Medians, by the labels of the trees."""
    law: stats.PowerLaw | None
    """How the times grow; None if fewer than two trees were built."""


def growths(
    samples: Sequence[Sample], runners: Sequence[str], axis: Axis, scenario: str
) -> list[Growth]:
    """Return a growth for each arm, the floor first.

    The exponent is fitted to all samples, not to their medians.
    """
    names = [tree.name for tree in axis.trees.values()]
    mine = [
        sample
        for sample in samples
        if sample.scenario == scenario and sample.tree in names and sample.outcome == "completed"
    ]
    return [
        _growth(runner, scenario, axis, [sample for sample in mine if sample.runner == runner])
        for runner in (FLOOR, *runners)
    ]


def _growth(runner: str, scenario: str, axis: Axis, samples: Sequence[Sample]) -> Growth:
    sized = [(size, sample.seconds) for sample in samples if (size := getattr(sample, axis.of))]
    sizes, times = [size for size, _ in sized], [seconds for _, seconds in sized]
    return Growth(
        runner=runner,
        scenario=scenario,
        axis=axis,
        seconds={
            label: median(mine)
            for label, tree in axis.trees.items()
            if (mine := [sample.seconds for sample in samples if sample.tree == tree.name])
        },
        law=stats.power_law(sizes, times) if len(set(sizes)) > 1 else None,
    )
