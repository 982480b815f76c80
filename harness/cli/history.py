"""harness history: where the level of a runner changed, over many results."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.cli.options import console


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "history",
        help="find where a runner got slower, over many results",
        description="Put recorded results in order of time, and look for the points where the ratio of a runner to bare make "
        "changed its level. Small steps, which pass any threshold, are found that way.",
    )
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULT")
    parser.set_defaults(command_function=_history)


def _history(options: argparse.Namespace) -> int:
    from harness.gate.history import histories  # noqa: PLC0415 - statistics are slow to import
    from harness.measure.results import read_result  # noqa: PLC0415
    from harness.report.history import render  # noqa: PLC0415

    console.print(render(histories(read_result(each) for each in options.results)))
    return 0
