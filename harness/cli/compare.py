"""harness compare: measure the runners side by side, the main job of the harness."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from harness import runners
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
from harness.cli.options import add_dask, add_save, add_seconds, console, count, errors, remark
from harness.inside.errors import UsageError
from harness.measure import trials
from harness.measure.baselines import check_baseline_name, find_baseline, save_baseline
from harness.measure.compare import AGAIN, compare
from harness.measure.results import Recording, read_result
from harness.measure.stats import Interval
from harness.measure.summary import by_machine, noise, remarks, subject, summarize
from harness.measure.trees import SourceTree
from harness.measure.trials.scenario import SCENARIOS
from harness.report import terminal
from harness.report.bars import ratio_bars
from harness.runners.variant import Variant

_SECONDS = 75.0


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare",
        help="measure the runners side by side on a tree",
        description="Build a tree with each runner, from nothing and after known edits. Each block "
        "runs every runner once, in shuffled order, with a bare make as the floor. Print how long "
        "the builds took, what they recompiled, and whether mtimes and output were right.",
    )
    add_tree(parser)
    parser.add_argument(
        "--scenario",
        action="extend",
        nargs="+",
        choices=tuple(SCENARIOS),
        metavar="NAME",
        help=f"what to measure: any of {', '.join(SCENARIOS)} (default: full incremental)",
    )
    add_arms(parser, "compare")
    add_seconds(
        parser,
        _SECONDS,
        "run as many blocks as fit into this time, but at least three incremental ones and "
        "a full one",
    )
    parser.add_argument(
        "-n",
        "--blocks",
        type=count,
        metavar="N",
        help="run N incremental blocks, however long they take",
    )
    parser.add_argument(
        "--aa",
        nargs="?",
        const="",
        metavar="NAME",
        help="also compare a runner with itself, which shows the noise (default: the first runner)",
    )
    parser.add_argument(
        "--baseline",
        metavar="RESULT",
        help="also show how far each runner moved from an earlier result: its file, or the name of "
        "a baseline",
    )
    add_save(parser, "the result")
    add_dask(parser, "blocks")
    parser.set_defaults(command_function=_compare)


def _compare(options: argparse.Namespace) -> int:
    kinds = variants(options)
    again = _again(options.aa, [variant.label for variant in kinds])
    if options.save is not None:
        check_baseline_name(options.save)
    # Before it may be replaced, and before anything is measured in vain.
    baseline = (
        read_result(find_baseline(options.baseline)) if options.baseline is not None else None
    )
    tree, seed = tree_and_seed(options)
    wanted = options.scenario or (trials.FULL, trials.INCREMENTAL)
    plan = trials.BlockPlan(
        options.seconds, options.blocks, tuple(name for name in SCENARIOS if name in wanted)
    )
    if options.dask is not None:
        return _spread(options, tree, kinds, plan, seed, again, baseline)
    with engine_of(options) as engine, showing(plan) as show:
        comparison = comparison_of(options, tree, kinds, engine, plan, seed, again)
        facts = comparison.facts()
        out = options.out or default_out("compare", engine.name)
        status = record(
            out, facts, compare(comparison, show), lambda samples: _report(facts, samples)
        )
    return _finish(status, out, baseline, options.save)


def _spread(
    options: argparse.Namespace,
    tree: SourceTree,
    kinds: Sequence[Variant],
    plan: trials.BlockPlan,
    seed: int,
    again: str | None,
    baseline: Recording | None,
) -> int:
    """Measure on the machines of a cluster."""
    from harness.measure import cluster  # noqa: PLC0415 - an optional extra
    from harness.measure.cluster import comparing  # noqa: PLC0415
    from harness.measure.cluster.worker import Parcel, Stint  # noqa: PLC0415

    with cluster.Cluster(options.dask, remark) as connected:
        machines = connected.machines(options.engine, options.image)
        for machine in machines:
            errors.print(machine.words, markup=False, soft_wrap=True)
        stint = Stint(
            tree=Parcel.of(tree, options.edit, options.edit_header),
            runners=tuple(variant.label for variant in kinds),
            again=again,
            engine=options.engine,
            image=options.image,
            command=options.command,
            max_seconds=options.max_seconds,
            scenarios=tuple(plan.scenarios),
            rounds=0,
            seed=seed,
        )
        facts = comparing.cluster_facts(machines, plan, stint)
        out = options.out or default_out("compare", "dask")
        status = record(
            out,
            facts,
            comparing.compare_on_workers(connected, machines, plan, stint, remark),
            lambda samples: _report(facts, samples),
        )
    return _finish(status, out, baseline, options.save)


def _finish(status: int, out: Path, baseline: Recording | None, name: str | None) -> int:
    """Show how far the runners moved, and keep the result, unless nothing was completed."""
    if status == 0 and baseline:
        from harness.gate.beside import put_beside  # noqa: PLC0415 - only where it is asked for
        from harness.report.beside import terminal as beside  # noqa: PLC0415

        console.print()
        console.print(beside.render(put_beside(baseline, read_result(out))))
    if status == 0 and name:
        remark(save_baseline(name, out))
    return status


def _report(facts: Mapping[str, Any], samples: Sequence[trials.Sample]) -> None:
    console.print(_headline(facts, samples), markup=False, soft_wrap=True)
    rows, about = summarize(samples, facts["runners"]), subject(samples)
    console.print(terminal.comparison(rows, about))
    console.print(ratio_bars(rows, about))
    if again := facts["again"]:
        _report_noise(noise(samples, again, again + AGAIN), again)
    if len(facts["machines"]) > 1:
        console.print(terminal.machines(by_machine(samples, facts["runners"]), facts["machines"]))
    for line in remarks(samples):
        console.print(f"note: {line}", markup=False, soft_wrap=True)


def _report_noise(interval: Interval | None, runner: str) -> None:
    if interval is None:
        return
    lies = f"from {interval.low:.2f} to {interval.high:.2f}; a smaller difference may be noise"
    console.print(
        f"{runner} against itself: {interval.estimate:.2f}, "
        + (
            lies
            if interval.high < inf
            else f"but {interval.blocks} blocks are too few to tell the noise"
        ),
        markup=False,
        soft_wrap=True,
    )


def _headline(facts: Mapping[str, Any], samples: Sequence[trials.Sample]) -> str:
    engine, machines = facts["engine"], len(facts["machines"])
    on = f"{engine['engine']}, storage driver {engine['storage driver']}"
    blocks = Counter(name for name, _ in {(sample.scenario, sample.block) for sample in samples})
    played = ", ".join(
        f"{blocks[name]} {scenario.words}{'s' if blocks[name] > 1 else ''}"
        for name, scenario in SCENARIOS.items()
        if name in blocks
    )
    return (
        f"{facts['tree']} on {on if machines == 1 else f'{machines} machines'}: medians of "
        f"{played}, ratios within the blocks; limit of a build {facts['max_seconds']:g} s"
    )


def _again(given: str | None, labels: Sequence[str]) -> str | None:
    """Return the runner to compare with itself; None without --aa."""
    if not given:
        return labels[0] if given == "" else None
    label = runners.parse_variant(given).label
    if label not in labels:
        raise UsageError(f"--aa {given} is not among the runners to compare: {', '.join(labels)}")
    return label
