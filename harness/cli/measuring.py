"""What the commands that measure have in common: options, progress, and a result file that fills as samples come."""

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
    USAGE,
    add_engine,
    add_exclude,
    add_runner,
    console,
    errors,
    positive,
    remark,
    warn,
)
from harness.engines import Engine
from harness.engines.choice import choose
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
    """What is built, and how."""
    parser.add_argument(
        "--tree",
        default="typical",
        metavar="TREE",
        help=f"a folder, or one of typical[:size=16MB,files=1000], {', '.join(recipes())}",
    )
    parser.add_argument(
        "--edit", metavar="FILE", help="of a folder: the file to edit, relative to it"
    )
    parser.add_argument(
        "--edit-header", metavar="FILE", help="of a folder: the header to edit, for its scenario"
    )
    add_exclude(parser)
    add_trials(parser)


def add_trials(parser: argparse.ArgumentParser) -> None:
    """How it is built, whatever it is."""
    parser.add_argument(
        "--command", default=COMMAND, help="the command line of a test event (default %(default)s)"
    )
    parser.add_argument(
        "--max-seconds",
        type=positive,
        default=FULL_BUILD_SECONDS,
        help="limit of one build (default %(default)g)",
    )
    parser.add_argument(
        "--seed", type=int, help="of the order within the blocks (default: a new one)"
    )


def tree_and_seed(options: argparse.Namespace) -> tuple[SourceTree, int]:
    """What `add_tree` asked for. Raises UsageError and TreeError."""
    tree = open_tree(
        options.tree,
        edit=options.edit,
        header=options.edit_header,
        exclude=options.exclude,
        report=remark,
    )
    return tree, seed_of(options)


def add_arms(parser: argparse.ArgumentParser, command: str) -> None:
    """Who builds it, where, and where the samples go; `command` is the harness's own."""
    add_runner(parser, action="append")
    add_engine(parser)
    parser.add_argument(
        "--standby",
        nargs="+",
        metavar="KIND",
        help="the runners that can stand by with each of these: cold, warm, seeded; as NAME:standby=KIND",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help=f"the result file (default results/{command}-ENGINE-TIME.jsonl)",
    )


def variants(options: argparse.Namespace) -> list[Variant]:
    """The runners that were asked for, each once; those of the notes if none was. Raises UsageError."""
    asked = [
        runners.parse_variant(name) for name in dict.fromkeys(options.runner or runners.NOTES_NAMES)
    ]
    if options.standby is None:
        return asked
    if not any(_may_stand_by(each) for each in asked):
        raise UsageError("none of these runners stands by: --standby is for katas-data-container")
    found = [
        variant
        for each in asked
        for variant in (
            [
                runners.parse_variant(_with(each.label, f"standby={kind}"))
                for kind in options.standby
            ]
            if _may_stand_by(each)
            else [each]
        )
    ]
    return list({each.label: each for each in found}.values())


def _may_stand_by(variant: Variant) -> bool:
    return "standby" in variant.kind.OPTIONS and "standby" not in variant.options


def _with(label: str, option: str) -> str:
    return f"{label}{',' if ':' in label else ':'}{option}"


def seed_of(options: argparse.Namespace) -> int:
    """The seed that was given, or a new one."""
    return options.seed if options.seed is not None else secrets.randbelow(2**32)


@contextmanager
def engine_of(options: argparse.Namespace) -> Iterator[Engine]:
    """The engine that `add_arms` or `add_engine` asked for, told with the reason why it was taken; closed at the end. Raises
    EngineError for one that cannot build the harness's own trees, which are C.
    """
    choice = choose(options.engine, image=options.image, report=remark)
    with closing(choice.engine) as engine:
        errors.print(f"{engine.describe()['engine']}: {choice.why}", markup=False)
        warn(choice.warning)
        if options.command == COMMAND and known(getattr(options, "tree", "typical")):
            check_builds(engine, options.image)  # better now than as a table of builds that failed
        yield engine


def comparison_of(
    options: argparse.Namespace,
    tree: SourceTree,
    kinds: Sequence[Variant],
    engine: Engine,
    plan: BlockPlan,
    seed: int,
    again: str | None = None,
) -> Comparison:
    """These runners on this tree, as `add_trials` and `add_engine` asked for it."""
    return Comparison(
        tree, kinds, engine, options.image, options.command, options.max_seconds, plan, seed, again
    )


def record(
    out: Path,
    facts: Mapping[str, Any],
    samples: Iterable[Sample],
    report: Callable[[Sequence[Sample]], None],
) -> int:
    """Write the samples as they come, then `report` them: what was measured before an interruption too.
    Returns the exit status.
    """
    done: list[Sample] = []
    try:
        with ResultFile(out, facts) as result:
            for each in samples:
                result.add(each)
                done.append(each)
    finally:
        if done:
            report(done)
            console.print(f"written to {out}", markup=False, soft_wrap=True)
    return 0 if any(each.outcome == "completed" for each in done) else USAGE


def default_out(what: str, engine: str) -> Path:
    """A new file among the results."""
    folder = Path("results")
    folder.mkdir(exist_ok=True)
    return folder / f"{what}-{engine}-{datetime.now():%Y%m%d-%H%M%S}.jsonl"


class Shown(Protocol):
    """What is about to be played, in words for all arms of a block and a detail for each."""

    @property
    def words(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def first(self) -> bool: ...
    @property
    def seconds(self) -> float: ...


@contextmanager
def showing(plan: BlockPlan | None = None) -> Iterator[Callable[[Shown], None]]:
    """Progress: a bar on a terminal, a line a block in a log. How long it takes is known of a plan with a
    budget.
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

        def show(step: Shown) -> None:
            progress.update(
                task, description=f"{step.words}: {step.detail}", completed=step.seconds
            )
            if step.first and not errors.is_terminal:
                remark(f"{step.words}, after {step.seconds:.0f} s")

        yield show
