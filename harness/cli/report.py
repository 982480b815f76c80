"""harness report: write one page on recorded results."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.cli.options import console, tell_incomplete


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "report",
        help="write one self-contained page on results and proofs",
        description="Write one self-contained page on recorded results: the verdict, the "
        "trade-offs, "
        "pictures, proofs and the environment.",
    )
    parser.add_argument(
        "results", nargs="+", type=Path, metavar="RESULT", help="a result file of harness compare"
    )
    parser.add_argument(
        "--proofs",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="a file of harness verify --json; may be repeated",
    )
    parser.add_argument(
        "--html",
        type=Path,
        required=True,
        metavar="FILE",
        help="the page to write; an existing file is overwritten",
    )
    parser.set_defaults(command_function=_report)


def _report(options: argparse.Namespace) -> int:
    from harness.report import html  # noqa: PLC0415 - matplotlib and pandas take a second to load
    from harness.report.analysis.report import make_report  # noqa: PLC0415

    report = make_report(options.results, options.proofs)
    options.html.write_text(html.page(report), encoding="utf-8")
    tell_incomplete(report.incomplete)
    console.print(report.verdict, markup=False, soft_wrap=True)
    console.print(f"written to {options.html}", markup=False, soft_wrap=True)
    return 0
