"""What the measuring commands share: options, progress, and a result file filled as they run."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from harness import runners
from harness.cli.options import (
    add_engine,
    add_exclude,
    add_out,
    add_runner,
    console,
    errors,
    positive,
    remark,
    warn,
)
from harness.cli.status import USAGE
from harness.engines import Engine
from harness.engines.choice import Choice, choose
from harness.engines.doctor import check_builds
from harness.inside.errors import UsageError
from harness.measure.compare import Comparison
from harness.measure.results import ResultFile
from harness.measure.trees import SourceTree, known, open_tree, recipes
from harness.measure.trials import BlockPlan, Sample
from harness.runners.base import COMMAND
from harness.runners.variant import Variant

FULL_BUILD_SECONDS = 120.0


def add_tree(parser: argparse.ArgumentParser) -> None:
    """Options for what is built, and how."""
    parser.add_argument(
        "-t",
        "--tree",
        default="typical",
        metavar="TREE",
        help=f"a folder, or one of typical[:size=16MB,files=1000], {', '.join(recipes())}",
    )
    parser.add_argument(
        "--edit", metavar="FILE", help="if --tree is a folder: the file to edit, relative to it"
    )
    parser.add_argument(
        "--edit-header",
        metavar="FILE",
        help="if --tree is a folder: the header to edit in the header scenario",
    )
    add_exclude(parser)
    add_trials(parser)


def add_trials(parser: argparse.ArgumentParser) -> None:
    """Options for how any tree is built."""
    parser.add_argument(
        "--command",
        default=COMMAND,
        metavar="LINE",
        help="the command line of a test event (default %(default)s)",
    )
    parser.add_argument(
        "--max-seconds",
        type=positive,
        default=FULL_BUILD_SECONDS,
        metavar="SECONDS",
        help="time limit of one build (default %(default)g)",
    )
    parser.add_argument(
        "--seed", type=int, help="seed of the order within the blocks (default: a new one)"
    )


def tree_and_seed(options: argparse.Namespace) -> tuple[SourceTree, int]:
    """Return what the options of `add_tree` ask for. Raises UsageError and TreeError."""
    tree = open_tree(
        options.tree,
        edit=options.edit,
        header=options.edit_header,
        exclude=options.exclude,
        report=remark,
    )
    return tree, seed_of(options)


def add_arms(parser: argparse.ArgumentParser, command: str) -> None:
    """Options for runners, engine and result file; `command` is the harness's own."""
    add_runner(parser, action="append")
    add_engine(parser)
    parser.add_argument(
        "--standby",
        nargs="+",
        metavar="KIND",
        help="try each runner that can stand by with each of these: cold, warm, seeded; short "
        "for NAME:standby=KIND",
    )
    add_out(parser, f"the result file (default results/{command}-ENGINE-TIME.jsonl)")


def variants(options: argparse.Namespace) -> list[Variant]:
    """Return the runners asked for, each once; by default the notes' three. Raises UsageError."""
    asked = [
        runners.parse_variant(name) for name in dict.fromkeys(options.runner or runners.NOTES_NAMES)
    ]
    if options.standby is None:
        return asked
    if not any(_may_stand_by(variant) for variant in asked):
        raise UsageError(
            "none of these runners can stand by; use --standby with katas-data-container"
        )
    chosen: dict[str, Variant] = {}
    for variant in asked:
        if _may_stand_by(variant):
            labels = [_with(variant.label, f"standby={kind}") for kind in options.standby]
        else:
            labels = [variant.label]
        chosen |= {expanded.label: expanded for expanded in map(runners.parse_variant, labels)}
    return list(chosen.values())


def _may_stand_by(variant: Variant) -> bool:
    return "standby" in variant.kind.OPTIONS and "standby" not in variant.options


def _with(label: str, option: str) -> str:
    return f"{label}{',' if ':' in label else ':'}{option}"


def seed_of(options: argparse.Namespace) -> int:
    """Return the seed that was given, or a new one."""
    return options.seed if options.seed is not None else secrets.randbelow(2**32)


@contextmanager
def choice_of(options: argparse.Namespace) -> Iterator[Choice]:
    """Open the engine that the options ask for, say why it was chosen, and close it at the end.

    Raises EngineError if it has to build one of the harness's own trees and cannot compile C.
    """
    choice = choose(options.engine, image=options.image, report=remark)
    with closing(choice.engine) as engine:
        errors.print(f"{engine.describe()['engine']}: {choice.why}", markup=False)
        warn(choice.warning)
        if options.command == COMMAND and known(getattr(options, "tree", "typical")):
            # Fail here rather than print a table of failed builds.
            check_builds(engine, options.image)
        yield choice


@contextmanager
def engine_of(options: argparse.Namespace) -> Iterator[Engine]:
    """Open the engine as `choice_of` does, for those who need not ask for another one like it."""
    with choice_of(options) as choice:
        yield choice.engine


def comparison_of(
    options: argparse.Namespace,
    tree: SourceTree,
    kinds: Sequence[Variant],
    engine: Engine,
    plan: BlockPlan,
    seed: int,
    again: str | None = None,
) -> Comparison:
    """Compare these runners on this tree, with the options of `add_trials` and `add_engine`."""
    return Comparison(
        tree, kinds, engine, options.image, options.command, options.max_seconds, plan, seed, again
    )


def record(
    out: Path,
    facts: Mapping[str, Any],
    samples: Iterable[Sample],
    report: Callable[[Sequence[Sample]], None],
) -> int:
    """Write the samples as they come, then `report` them, after an interruption too.

    Returns the exit status.
    """
    done: list[Sample] = []
    try:
        with ResultFile(out, facts) as result:
            for sample in samples:
                result.add(sample)
                done.append(sample)
    finally:
        if done:
            report(done)
            console.print(f"written to {out}", markup=False, soft_wrap=True)
    return 0 if any(sample.outcome == "completed" for sample in done) else USAGE


def default_out(what: str, engine: str) -> Path:
    """Return the path of a new file in `results`."""
    folder = Path("results")
    folder.mkdir(exist_ok=True)
    return folder / f"{what}-{engine}-{datetime.now():%Y%m%d-%H%M%S}.jsonl"


class Shown(Protocol):
    """What is about to be played."""

    @property
    def words(self) -> str:
        """The block, for all its arms."""
        ...

    @property
    def detail(self) -> str:
        """The arm."""
        ...

    @property
    def seconds(self) -> float:
        """Seconds since the measurement began."""
        ...


LOG_SECONDS = 10.0
"""Time between two lines of progress where stderr is not a terminal."""


@contextmanager
def showing(plan: BlockPlan | None = None) -> Iterator[Callable[[Shown], None]]:
    """Show progress: a bar on a terminal, a line every ten seconds in a log.

    The bar has an end only if the plan has a time budget.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(
            "starting", total=plan.budget_seconds if plan and not plan.blocks else None
        )

        told = -LOG_SECONDS

        def show(step: Shown) -> None:
            nonlocal told
            progress.update(
                task, description=f"{step.words}: {step.detail}", completed=step.seconds
            )
            if not errors.is_terminal and step.seconds >= told + LOG_SECONDS:
                told = step.seconds
                remark(f"{step.words}, after {step.seconds:.0f} s")

        yield show
