"""harness load: measure many avatars that play at once."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from harness.cli.measuring import (
    add_arms,
    add_tree,
    comparison_of,
    default_out,
    engine_of,
    record,
    showing,
    tree_and_seed,
    variants,
)
from harness.cli.options import add_seconds, comma_counts, console, count, remark
from harness.measure import load, trials
from harness.measure.trials.crowd import Crowds, levels
from harness.report import terminal

TREE = "typical:cost=0.1"
"""Its first builds are cheap: every avatar has one, and none is measured."""

_AVATARS = (1, 2, 4, 8, 16, 32)
_EVENTS = 20
_SECONDS = 300.0


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "load",
        help="measure the runners with many avatars at once",
        description="Let more and more avatars of one kata play at once: each edits, presses the "
        "test "
        "button and waits for the output. As many bare makes at once are the floor. Print the "
        "throughput and how long the avatars waited.",
    )
    add_tree(parser)
    parser.set_defaults(tree=TREE)
    parser.add_argument(
        "--avatars",
        type=comma_counts,
        default=_AVATARS,
        metavar="N,N,...",
        help=f"numbers of avatars at once (default {','.join(map(str, _AVATARS))})",
    )
    parser.add_argument(
        "--events",
        type=count,
        default=_EVENTS,
        metavar="N",
        help="test events in a block, over all avatars; fewer if the budget is short, but at least "
        "two for each avatar (default %(default)d)",
    )
    add_arms(parser, "load")
    add_seconds(
        parser,
        _SECONDS,
        "time for the first builds and as many blocks as fit, but at least one block for each "
        "number of avatars",
    )
    parser.set_defaults(command_function=_load)


def _load(options: argparse.Namespace) -> int:
    kinds = variants(options)
    tree, seed = tree_and_seed(options)
    crowds = Crowds(sorted(set(options.avatars)), options.events, options.seconds)
    plan = trials.BlockPlan(options.seconds, scenarios=(trials.INCREMENTAL,))
    with engine_of(options) as engine, showing(plan) as show:
        comparison = comparison_of(options, tree, kinds, engine, plan, seed)
        facts = load.load_facts(comparison, crowds)
        return record(
            options.out or default_out("load", engine.name),
            facts,
            load.measure_load(comparison, crowds, show, remark),
            lambda samples: _report(facts, samples),
        )


def _report(facts: Mapping[str, Any], samples: Sequence[trials.Sample]) -> None:
    what = f"{facts['tree']} on {facts['engine']['engine']}"
    blocks = len({sample.block for sample in samples})
    console.print(
        f"{what}: {len(samples)} incremental test events in {blocks} blocks, by the number of "
        "avatars "
        "at once",
        markup=False,
        soft_wrap=True,
    )
    console.print(terminal.load_table(levels(samples, facts["runners"])))
    for line in dict.fromkeys(
        f"{sample.runner}: {sample.reason}" for sample in samples if sample.reason
    ):
        console.print(f"note: {line}", markup=False, soft_wrap=True)
