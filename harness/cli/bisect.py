"""harness bisect: find the commit that made a runner slower."""

from __future__ import annotations

import argparse
import shlex
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import runners
from harness.cli.measuring import add_tree, choice_of, comparison_of, showing, tree_and_seed
from harness.cli.options import add_engine, add_seconds, console, count, positive, remark
from harness.inside.errors import UsageError
from harness.measure import trials
from harness.measure.trials.scenario import SCENARIOS
from harness.runners.katas_data_container import KatasDataContainer

if TYPE_CHECKING:  # statistics are slow to import, and no other command needs them
    from harness.gate.bisecting import CommitGate, Environments
    from harness.gate.bisection import Answer, Bisection, Question

_SECONDS = 600.0
_SLOWER = 5.0

_AGAIN = (
    *("runner", "scenario", "slower", "seconds", "blocks", "tree", "edit", "edit_header"),
    *("exclude", "command", "max_seconds", "engine", "image"),
)
"""The options that the command that shows it again repeats."""


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "bisect",
        help="find the commit that made a runner slower",
        description="Find the commit that made a runner slower, in the git repository around this "
        "folder. Each gate plays one commit beside GOOD, in shuffled blocks; a commit that cannot "
        "be installed or played is left out. Exits with 0 if it is one commit, 1 if BAD is not "
        "slower than GOOD, and 3 if a range of commits is left, or it takes more blocks to decide.",
    )
    parser.add_argument("good", metavar="GOOD", help="a git revision that is not slower")
    parser.add_argument("bad", metavar="BAD", help="a later revision that is slower")
    parser.add_argument(
        "-r",
        "--runner",
        default=KatasDataContainer.name,
        metavar="NAME",
        help="the runner to play (default %(default)s)",
    )
    parser.add_argument(
        "--scenario",
        default=trials.INCREMENTAL,
        choices=list(SCENARIOS),
        metavar="NAME",
        help=f"what to time: one of {', '.join(SCENARIOS)} (default %(default)s)",
    )
    parser.add_argument(
        "--slower",
        type=positive,
        default=_SLOWER,
        metavar="PERCENT",
        help="BAD is slower if it takes more than this above GOOD (default %(default)g)",
    )
    add_seconds(parser, _SECONDS, "stop a gate after this time, or earlier once it is settled")
    parser.add_argument(
        "-n", "--blocks", type=count, metavar="N", help="stop a gate after N blocks (default 960)"
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FOLDER",
        help="a new folder for the result of each gate (default results/bisect-ENGINE-TIME)",
    )
    add_tree(parser)
    add_engine(parser)
    parser.set_defaults(command_function=lambda options: _bisect(options, parser))


def _bisect(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from harness.gate.bisecting import CommitGate, Environments  # noqa: PLC0415 - see above
    from harness.gate.bisection import Bisection, BisectOutcome  # noqa: PLC0415
    from harness.gate.revision import Revision, first_parents  # noqa: PLC0415
    from harness.measure.git import GitError  # noqa: PLC0415
    from harness.measure.looks import LOOKS  # noqa: PLC0415
    from harness.report.bisection import render  # noqa: PLC0415

    runner = runners.parse_variant(options.runner).label
    try:
        ends = (Revision.find(options.good, None), Revision.find(options.bad, None))
        good, commits = first_parents(*ends)
    except GitError as error:
        raise UsageError(f"{options.good} and {options.bad} cannot be bisected: {error}") from error
    tree, seed = tree_and_seed(options)
    environments = Environments(None, remark)
    search = Bisection(good, commits, 1 + options.slower / 100)
    remark(
        f"{len(commits)} commits after {good} up to {commits[-1].short}; about "
        f"{search.gates_left} gates"
    )
    with choice_of(options) as choice:
        plan = trials.BlockPlan(options.seconds, scenarios=(options.scenario,))
        comparison = comparison_of(options, tree, (), choice.engine, plan, seed)
        gate = CommitGate(
            comparison, runner, options.scenario, choice.name, options.blocks or LOOKS[-1]
        )
        out = options.out or Path("results") / (
            f"bisect-{choice.engine.name}-{datetime.now():%Y%m%d-%H%M%S}"
        )
        _make_folder(out)
        try:
            _search(search, gate, environments, out)
        finally:
            environments.remove_all_but((good, *commits[-1:], search.before, *search.suspects[-1:]))
            if not any(out.iterdir()):
                out.rmdir()
    again = partial(_again, options, parser)
    console.print(render(search, again), soft_wrap=True)
    remark(f"the result of each gate is in {out}")
    return {BisectOutcome.COMMIT: 0, BisectOutcome.NOT_SLOWER: 1}.get(search.outcome, 3)


def _search(search: Bisection, gate: CommitGate, environments: Environments, out: Path) -> None:
    """Play gates until the search is over, and tell of each."""
    from harness.report.bisection import answer_words  # noqa: PLC0415 - see above

    while (question := search.question()) is not None:
        number = len(search.answers) + 1
        remark(f"gate {number}: {question.commit} beside {question.base.short}")
        search.answer(
            _ask(question, gate, environments, out / f"{number}.jsonl", not search.answers)
        )
        remark(f"  {answer_words(search.answers[-1])}")
        if left := search.gates_left:
            first, last = search.suspects[0], search.suspects[-1]
            remark(
                f"  {len(search.suspects)} commits left, {first.short} to {last.short}; about "
                f"{left} gates"
            )


def _ask(
    question: Question, gate: CommitGate, environments: Environments, out: Path, first: bool
) -> Answer:
    """Play a gate; a commit that cannot be played is no error, unless the user named it."""
    from harness.gate.bisection import Answer  # noqa: PLC0415 - see above

    base = environments.python(question.base)
    try:
        pythons = (environments.python(question.commit), base)
        with showing(gate.comparison.plan) as show:
            answer = gate.play(question, pythons, out, show)
    except UsageError as error:
        if first:
            raise
        return Answer(question, None, str(error))
    if first and answer.interval is None:
        raise UsageError(f"{question.commit} cannot be timed: {answer.why}; give another BAD")
    return answer


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(f"{out} already exists; remove it or give another --out") from None


def _again(
    options: argparse.Namespace, parser: argparse.ArgumentParser, good: str, bad: str
) -> str:
    """Return the command that plays one commit beside the other, with the options given."""
    words = ["harness", "bisect", good, bad]
    for name in _AGAIN:
        given = getattr(options, name)
        if given != parser.get_default(name):
            flag = f"--{name.replace('_', '-')}"
            for value in given if isinstance(given, list) else [given]:
                words += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)
