"""harness scale: how cost grows with the tree."""

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
        help="measure the runners on trees of growing size",
        description="Build typical trees of several sizes and numbers of files with each runner, "
        "as "
        "`harness compare` does. Print how build time grows with the tree, as an exponent: 0 does "
        "not grow, 1 grows in proportion.",
    )
    parser.add_argument(
        "--sizes",
        type=_names,
        default=_SIZES,
        metavar="SIZE,...",
        help=f"sizes of the built tree (default {','.join(_SIZES)}); 'none' leaves them out",
    )
    parser.add_argument(
        "--files",
        type=lambda text: [] if text == "none" else comma_counts(text),
        default=_FILES,
        metavar="N,...",
        help=f"numbers of files in a tree of {scale.ROOM} (default "
        f"{','.join(map(str, _FILES))}); 'none' leaves them out",
    )
    parser.add_argument(
        "--cost",
        type=positive,
        default=1.0,
        metavar="FACTOR",
        help="multiply the compiler's work by this (default %(default)g)",
    )
    add_trials(parser)
    add_arms(parser, "scale")
    parser.add_argument(
        "-n",
        "--blocks",
        type=count,
        default=BLOCKS,
        metavar="N",
        help="blocks for each tree (default %(default)d)",
    )
    parser.set_defaults(command_function=_scale)


def _scale(options: argparse.Namespace) -> int:
    kinds = variants(options)
    axes = scale.axes(options.sizes, options.files, options.cost)
    if not axes:
        raise UsageError("nothing is left to measure; give --sizes or --files")
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
    for line in dict.fromkeys(
        f"{sample.runner}: {sample.reason}" for sample in samples if sample.reason
    ):
        console.print(f"note: {line}", markup=False, soft_wrap=True)


def _names(text: str) -> list[str]:
    return [] if text == "none" else text.split(",")
