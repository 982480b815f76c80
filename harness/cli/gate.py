"""harness gate: judge recorded results, or two versions measured side by side."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import runners
from harness.cli.measuring import (
    add_tree,
    choice_of,
    comparison_of,
    default_out,
    showing,
    tree_and_seed,
)
from harness.cli.options import (
    add_engine,
    add_out,
    add_save,
    add_seconds,
    check_writable,
    console,
    count,
    remark,
)
from harness.inside.errors import UsageError
from harness.measure import trials
from harness.measure.baselines import check_baseline_name, find_baseline, save_baseline
from harness.measure.compare import compare
from harness.measure.results import Recording, ResultFile, read_result
from harness.runners.katas_data_container import KatasDataContainer

if TYPE_CHECKING:  # statistics are slow to import, and no other command needs them
    from harness.gate import Verdict
    from harness.gate.budgets import Budget

HEAD = KatasDataContainer.name
_SECONDS = 600.0

SENTENCES = {
    "seconds": "at most 5 % above the baseline",
    "recompiled": "at most 1 times the baseline",
    "mtimes_changed": "at most 1 times the baseline",
}
"""The budgets of --against without --budgets: no slower, and no less incremental."""


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "gate",
        help="judge results by budgets, or one version against another",
        description="Judge recorded results by budgets. Without a RESULT, first measure what the "
        "budgets need. Exits with 0 if every budget is kept, 1 if one is not, and 3 if it takes "
        "more blocks to decide.",
    )
    parser.add_argument(
        "results",
        nargs="*",
        type=Path,
        metavar="RESULT",
        help="a result file of harness compare or harness gate",
    )
    parser.add_argument(
        "--budgets",
        type=Path,
        metavar="FILE",
        help="the budgets, in TOML; docs/how-to/gate.md explains the format",
    )
    parser.add_argument(
        "--baseline",
        metavar="RESULT",
        help="an earlier result to compare with, by ratios to bare make: its file, or the name of "
        "a baseline",
    )
    add_save(parser, "a result that passed")
    parser.add_argument(
        "--against",
        metavar="BASE",
        help="measure each runner beside BASE: a git revision of the project in this folder, the "
        "folder of another virtual environment, or the name of a second runner",
    )
    views = parser.add_argument_group("views of the verdict")
    views.add_argument(
        "--junit", type=Path, metavar="FILE", help="JUnit XML, with a test case for each budget"
    )
    views.add_argument("--markdown", type=Path, metavar="FILE", help="a table in Markdown")
    views.add_argument(
        "--comment",
        type=Path,
        metavar="FILE",
        help="Markdown for one comment on a pull request; its first line is a hidden marker by "
        "which a script finds the comment again",
    )
    views.add_argument(
        "--benchmark",
        type=Path,
        metavar="FILE",
        help="JSON for github-action-benchmark, tool customSmallerIsBetter",
    )
    views.add_argument("--json", type=Path, metavar="FILE", help="the whole verdict, for programs")
    views.add_argument(
        "--github",
        action="store_true",
        help="print annotations, and add the table to the job summary (GITHUB_STEP_SUMMARY)",
    )
    measuring = parser.add_argument_group("measuring, without a RESULT")
    measuring.add_argument(
        "-r",
        "--runner",
        action="append",
        metavar="NAME",
        help="a runner to compare with --against BASE; may be repeated, and each has its verdict "
        f"(default {HEAD})",
    )
    add_seconds(measuring, _SECONDS, "stop after this time, or earlier once the verdict is settled")
    measuring.add_argument(
        "-n", "--blocks", type=count, metavar="N", help="stop after N blocks (default 960)"
    )
    add_out(measuring, "the result file (default results/gate-ENGINE-TIME.jsonl)")
    add_tree(parser)
    add_engine(parser)
    parser.set_defaults(command_function=_gate)


def _gate(options: argparse.Namespace) -> int:
    from harness.gate import judge  # noqa: PLC0415
    from harness.gate.budgets import budget, read_budgets  # noqa: PLC0415 - see above
    from harness.gate.reading import read_evidence  # noqa: PLC0415

    baseline = None if options.baseline is None else find_baseline(options.baseline)
    _check_views(options, baseline)
    if options.save is not None:
        if len(options.results) > 1:
            raise UsageError("--save keeps one result; give one RESULT, or leave out --save")
        check_baseline_name(options.save)
    if options.against == "":
        raise UsageError(
            "--against is empty; give a git revision, the folder of a virtual environment or the "
            "name of a runner"
        )
    if options.results and options.against:
        raise UsageError(
            "--against measures both sides itself; leave out the results, or --against"
        )
    if baseline and options.against:
        raise UsageError(
            "--against measures the baseline itself; leave out --baseline, or --against"
        )
    if options.runner and not options.against:
        raise UsageError(
            "--runner chooses what to measure beside --against BASE; add that, or leave out "
            "--runner: the budgets name their runners"
        )
    if options.budgets is None and options.against is None:
        raise UsageError(
            "give --budgets FILE, or --against BASE to measure one version beside another"
        )
    heads = list(
        dict.fromkeys(runners.parse_variant(name).label for name in options.runner or [HEAD])
    )
    budgets = (
        read_budgets(options.budgets)
        if options.budgets
        else [
            budget(head, trials.INCREMENTAL, metric, text, f"--against {options.against}")
            for head in heads
            for metric, text in SENTENCES.items()
        ]
    )
    results = options.results or [_measure(options, heads, budgets, baseline)]
    verdict = judge(read_evidence(results, baseline), budgets)
    _show(verdict, options)
    if options.save is not None:
        _save(options.save, results[0], verdict)
    return verdict.exit_status


def _save(name: str, result: Path, verdict: Verdict) -> None:
    """Keep the result as a baseline if it passed: a slower one would hide the next step."""
    if verdict.exit_status == 0:
        remark(save_baseline(name, result))
        return
    remark(
        f"not saved as baseline {name}, since the verdict is {verdict.state}; harness compare "
        "--save keeps a result without judging it"
    )


def _measure(
    options: argparse.Namespace,
    heads: Sequence[str],
    budgets: Sequence[Budget],
    before: Path | None,
) -> Path:
    """Measure what the budgets need, and return the result file; `before` is the baseline's."""
    from harness.gate import early_stop  # noqa: PLC0415 - see above
    from harness.gate.against import find_bases  # noqa: PLC0415
    from harness.gate.evidence import check_baseline_given  # noqa: PLC0415
    from harness.gate.measuring import Wanted  # noqa: PLC0415
    from harness.gate.reading import NO_BASELINE, refuse_unlike  # noqa: PLC0415
    from harness.measure.looks import LOOKS  # noqa: PLC0415

    # Refuse before measuring what no measurement could answer.
    baseline = read_result(before) if before else None
    for budget in budgets:
        check_baseline_given(budget, given=bool(baseline or options.against))
    bases = find_bases(options.against, heads, remark) if options.against else {}
    wanted = Wanted.of(budgets, bases)
    tree, seed = tree_and_seed(options)
    with choice_of(options) as choice:
        engine = choice.engine
        plan = trials.BlockPlan(options.seconds, scenarios=wanted.scenarios)
        comparison = comparison_of(options, tree, wanted.in_process(), engine, plan, seed)
        stop = early_stop(budgets, against=wanted.against, most=options.blocks or LOOKS[-1])
        facts = wanted.facts(comparison)
        for budget in budgets:
            if budget.metric == "memory" and not engine.counts_memory:
                raise UsageError(
                    f"{budget.place}: the {engine.name} engine cannot count memory here "
                    f"({'; '.join(engine.gaps)}); leave this budget out, or take another --engine"
                )
        if baseline:
            ours = Recording(Path("what is to be measured"), facts, (), complete=False)
            refuse_unlike(ours, baseline, NO_BASELINE)
        out: Path = options.out or default_out("gate", engine.name)
        with ResultFile(out, facts) as result, showing(plan) as show:
            for sample in compare(comparison, show, stop, wanted.beside(comparison, choice.name)):
                result.add(sample)
    remark(f"written to {out}")
    return out


def _show(verdict: Verdict, options: argparse.Namespace) -> None:
    # Imported here for the same reason.
    from harness.report.verdicts import (  # noqa: PLC0415
        benchmark,
        comment,
        document,
        github,
        junit,
        markdown,
        terminal,
    )

    console.print(terminal.render(verdict))
    for path, render in (
        (options.junit, junit),
        (options.markdown, markdown),
        (options.comment, comment),
        (options.benchmark, benchmark),
        (options.json, document),
    ):
        if path is not None:
            path.write_text(render.render(verdict), encoding="utf-8")
    if options.github:
        print(github.render(verdict), end="", flush=True)
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(markdown.render(verdict))


def _check_views(options: argparse.Namespace, baseline: Path | None) -> None:
    """Refuse, before measuring, a view that cannot be written or would overwrite another file.

    Raises UsageError.
    """
    named = os.environ.get("GITHUB_STEP_SUMMARY") if options.github else None
    summary = Path(named) if named else None
    given = (*options.results, baseline, options.budgets, options.out)
    views = (
        options.junit,
        options.markdown,
        options.comment,
        options.benchmark,
        options.json,
        summary,
    )
    hints = {summary: "; GITHUB_STEP_SUMMARY names it"} if summary else {}
    check_writable(views, given, hints)
