"""Cost as the work grows: the same comparison on one typical tree after the other."""

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
"""Size of the trees that differ in their number of files: 10,000 of them find room in it."""


@dataclass(frozen=True)
class Axis:
    """One way in which the work grows: trees that differ in nothing else."""

    of: str  # "tree_bytes" or "tree_files": the column of a result that grows
    words: str  # for a table
    trees: Mapping[str, TypicalTree]  # by what stands for each in a table


def axes(sizes: Sequence[str], files: Sequence[int], cost: float = 1.0) -> list[Axis]:
    """Trees of these sizes, with as many files as the default has, and trees with so many files, of the size
    ROOM; `cost` is a factor on the compiler's work, the same for all. Raises UsageError for what no tree can
    have.
    """
    rest = "" if cost == 1.0 else f",cost={cost:g}"
    found = [
        Axis("tree_bytes", "bytes", {each: TypicalTree(f"size={each}{rest}") for each in sizes}),
        Axis(
            "tree_files",
            "files",
            {f"{each} files": TypicalTree(f"size={ROOM},files={each}{rest}") for each in files},
        ),
    ]
    return [each for each in found if each.trees]


def scale_facts(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """The first line of the result file."""
    return {**comparisons[0].facts(), "tree": " ".join(each.tree.name for each in comparisons)}


def scale(
    comparisons: Sequence[Comparison], about_to: Callable[[Step], None] = lambda step: None
) -> Iterator[Sample]:
    """The samples of one comparison after the other; their blocks are numbered through."""
    blocks = 0
    for each in comparisons:
        begun = blocks

        def show(step: Step, begun: int = begun) -> None:
            about_to(replace(step, block=begun + step.block))

        for sample in compare(each, show):
            blocks = begun + sample.block + 1
            yield replace(sample, block=begun + sample.block)


@dataclass(frozen=True)
class Growth:
    """One arm on the trees of one axis, in one scenario."""

    runner: str
    scenario: str
    axis: Axis
    seconds: dict[str, float]  # medians, by what stands for the tree
    law: stats.PowerLaw | None  # None where fewer than two trees were built


def growths(
    samples: Sequence[Sample], runners: Sequence[str], axis: Axis, scenario: str
) -> list[Growth]:
    """A growth an arm, the floor and then these runners. The exponent is fitted to all samples, not to their
    medians.
    """
    names = [tree.name for tree in axis.trees.values()]
    mine = [
        each
        for each in samples
        if each.scenario == scenario and each.tree in names and each.outcome == "completed"
    ]
    return [
        _growth(runner, scenario, axis, [each for each in mine if each.runner == runner])
        for runner in (FLOOR, *runners)
    ]


def _growth(runner: str, scenario: str, axis: Axis, samples: Sequence[Sample]) -> Growth:
    sized = [(size, each.seconds) for each in samples if (size := getattr(each, axis.of))]
    sizes, times = [size for size, _ in sized], [seconds for _, seconds in sized]
    return Growth(
        runner=runner,
        scenario=scenario,
        axis=axis,
        seconds={
            label: median(mine)
            for label, tree in axis.trees.items()
            if (mine := [each.seconds for each in samples if each.tree == tree.name])
        },
        law=stats.power_law(sizes, times) if len(set(sizes)) > 1 else None,
    )
