"""harness scale: cost as the work grows."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from harness.cli.measuring import (
    add_arms,
    add_trials,
    comparison_of,
    default_out,
    engine_of,
    record,
    seed_of,
    showing,
    variants,
)
from harness.cli.options import comma_counts, console, count, positive
from harness.inside.errors import UsageError
from harness.measure import scale, trials
from harness.report import terminal

_SIZES = ("1.6MB", "16MB", "160MB")
_FILES = (100, 1_000, 10_000)
BLOCKS = 5


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "scale",
        help="measure the runners on larger and larger trees",
        description="Build typical trees of several sizes, and with several numbers of files, with each runner as "
        "`harness compare` does; print how their times grow, with the exponent: 0 not at all, 1 in proportion.",
    )
    parser.add_argument(
        "--sizes",
        type=_names,
        default=_SIZES,
        metavar="SIZE,...",
        help=f"of the built tree (default {','.join(_SIZES)}); none to leave them out",
    )
    parser.add_argument(
        "--files",
        type=lambda text: [] if text == "none" else comma_counts(text),
        default=_FILES,
        metavar="N,...",
        help=f"in a tree of {scale.ROOM} (default {','.join(map(str, _FILES))}); none to leave them out",
    )
    parser.add_argument(
        "--cost",
        type=positive,
        default=1.0,
        metavar="FACTOR",
        help="on the compiler's work (default %(default)g)",
    )
    add_trials(parser)
    add_arms(parser, "scale")
    parser.add_argument(
        "--blocks",
        type=count,
        default=BLOCKS,
        metavar="N",
        help="of each tree (default %(default)d)",
    )
    parser.set_defaults(command_function=_scale)


def _scale(options: argparse.Namespace) -> int:
    kinds = variants(options)
    axes = scale.axes(options.sizes, options.files, options.cost)
    if not axes:
        raise UsageError("nothing is left to measure: give --sizes or --files")
    plan = trials.BlockPlan(0, options.blocks)
    seed = seed_of(options)
    with engine_of(options) as engine, showing() as show:
        comparisons = [
            comparison_of(options, tree, kinds, engine, plan, seed)
            for axis in axes
            for tree in axis.trees.values()
        ]
        facts = scale.scale_facts(comparisons)
        return record(
            options.out or default_out("scale", engine.name),
            facts,
            scale.scale(comparisons, show),
            lambda samples: _report(facts, axes, samples),
        )


def _report(
    facts: Mapping[str, Any], axes: Sequence[scale.Axis], samples: Sequence[trials.Sample]
) -> None:
    what = f"typical trees on {facts['engine']['engine']}"
    console.print(
        f"{what}: medians, and the exponent of their growth", markup=False, soft_wrap=True
    )
    for axis in axes:
        for scenario in (trials.INCREMENTAL, trials.FULL):
            console.print(terminal.growth(scale.growths(samples, facts["runners"], axis, scenario)))
    for line in dict.fromkeys(f"{each.runner}: {each.reason}" for each in samples if each.reason):
        console.print(f"note: {line}", markup=False, soft_wrap=True)


def _names(text: str) -> list[str]:
    return [] if text == "none" else text.split(",")
