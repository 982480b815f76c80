"""harness compare: the main job."""

from __future__ import annotations

import argparse
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from harness import runners, trials
from harness.cli.options import USAGE, add_engine, add_runner, console, count, errors, positive, remark
from harness.compare import Comparison, compare
from harness.engines.choose import choose
from harness.errors import UsageError
from harness.render import terminal
from harness.results import ResultFile
from harness.runners.base import COMMAND
from harness.summary import remarks, subject, summarize
from harness.trees import SourceTree, open_tree, recipes
from harness.trials.scenario import SCENARIOS

BUDGET_SECONDS = 75.0
FULL_BUILD_SECONDS = 120.0


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare",
        help="measure the runners side by side on a tree",
        description="Build a tree with each runner, from nothing and after known edits, in shuffled blocks with a bare "
        "make beside them, and print what that took, what was recompiled, and whether stamps and output were right.",
    )
    add_tree(parser)
    parser.add_argument(
        "--scenario",
        action="extend",
        nargs="+",
        choices=tuple(SCENARIOS),
        metavar="NAME",
        help=f"what to measure, of {', '.join(SCENARIOS)} (default full incremental)",
    )
    add_runner(parser, action="append")
    add_engine(parser)
    parser.add_argument(
        "--budget",
        type=positive,
        default=BUDGET_SECONDS,
        metavar="SECONDS",
        help="as many blocks as fit (default %(default)g)",
    )
    parser.add_argument(
        "--blocks", type=count, metavar="N", help="so many incremental blocks, however long they take"
    )
    parser.add_argument(
        "--aa",
        nargs="?",
        const="",
        metavar="NAME",
        help="compare a runner with itself too, the first one unless it is named: what differs is noise",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the result file (default results/compare-ENGINE-TIME.jsonl)"
    )
    parser.set_defaults(command_function=_compare)


def add_tree(parser: argparse.ArgumentParser) -> None:
    """What is built, and how: for every command that measures."""
    parser.add_argument(
        "--tree",
        default="typical",
        metavar="TREE",
        help=f"a folder, or one of typical[:size=16MB,files=1000], {', '.join(recipes())}",
    )
    parser.add_argument("--edit", metavar="FILE", help="of a folder: the file to edit, relative to it")
    parser.add_argument(
        "--edit-header", metavar="FILE", help="of a folder: the header to edit, for its scenario"
    )
    parser.add_argument(
        "--command", default=COMMAND, help="the command line of a test event (default %(default)s)"
    )
    parser.add_argument(
        "--max-seconds",
        type=positive,
        default=FULL_BUILD_SECONDS,
        help="limit of one build (default %(default)g)",
    )
    parser.add_argument("--seed", type=int, help="of the order within the blocks (default: a new one)")


def tree_and_seed(options: argparse.Namespace) -> tuple[SourceTree, int]:
    """What `add_tree` asked for. Raises UsageError and TreeError."""
    tree = open_tree(options.tree, edit=options.edit, header=options.edit_header, report=remark)
    return tree, options.seed if options.seed is not None else secrets.randbelow(2**32)


def _compare(options: argparse.Namespace) -> int:
    kinds = [runners.parse(name) for name in dict.fromkeys(options.runner or runners.NOTES_NAMES)]
    again = _again(options.aa, [each.label for each in kinds])
    tree, seed = tree_and_seed(options)
    wanted = options.scenario or (trials.FULL, trials.INCREMENTAL)
    plan = trials.Plan(options.budget, options.blocks, tuple(each for each in SCENARIOS if each in wanted))
    choice = choose(options.engine, image=options.image, report=remark)
    with closing(choice.engine) as engine:
        errors.print(f"{engine.describe()['engine']}: {choice.why}", markup=False)
        comparison = Comparison(
            tree, kinds, engine, options.image, options.command, options.max_seconds, plan, seed, again
        )
        facts = comparison.facts()
        out = options.out or default_out("compare", engine.name)
        samples: list[trials.Sample] = []
        try:
            with ResultFile(out, facts) as result, showing(plan) as show:
                for sample in compare(comparison, show):
                    result.add(sample)
                    samples.append(sample)
        finally:  # what was measured before an interruption is worth seeing
            _report(facts, samples, out)
    return 0 if any(sample.outcome == "completed" for sample in samples) else USAGE


def _report(facts: Mapping[str, Any], samples: Sequence[trials.Sample], out: Path) -> None:
    if not samples:
        return
    console.print(_headline(facts, samples), markup=False, soft_wrap=True)
    console.print(terminal.comparison(summarize(samples, facts["runners"]), subject(samples)))
    for line in remarks(samples):
        console.print(f"note: {line}", markup=False, soft_wrap=True)
    console.print(f"written to {out}", markup=False, soft_wrap=True)


def default_out(what: str, engine: str) -> Path:
    """A new file among the results."""
    folder = Path("results")
    folder.mkdir(exist_ok=True)
    return folder / f"{what}-{engine}-{datetime.now():%Y%m%d-%H%M%S}.jsonl"


@contextmanager
def showing(plan: trials.Plan) -> Iterator[Callable[[trials.Step], None]]:
    """Progress: a bar on a terminal, a line a block in a log."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task("starting", total=None if plan.blocks else plan.budget_seconds)

        def show(step: trials.Step) -> None:
            text = f"block {step.block + 1}, {SCENARIOS[step.scenario].words}"
            progress.update(task, description=f"{text}: {step.runner}", completed=step.seconds)
            if step.first and not errors.is_terminal:
                remark(f"{text}, after {step.seconds:.0f} s")

        yield show


def _headline(facts: Mapping[str, Any], samples: Sequence[trials.Sample]) -> str:
    engine = facts["engine"]
    blocks = Counter(scenario for scenario, _ in {(each.scenario, each.block) for each in samples})
    played = ", ".join(
        f"{blocks[name]} of {each.words}" for name, each in SCENARIOS.items() if name in blocks
    )
    return (
        f"{facts['tree']} on {engine['engine']}, storage driver {engine['storage driver']}: medians of "
        f"{played}, ratios within the blocks; limit of a build {facts['max_seconds']:g} s"
    )


def _again(given: str | None, labels: Sequence[str]) -> str | None:
    """The runner that is compared with itself."""
    if not given:
        return labels[0] if given == "" else None
    label = runners.parse(given).label
    if label not in labels:
        raise UsageError(f"--aa {given} is none of the runners that are compared: {', '.join(labels)}")
    return label
