"""harness history: find where the level of a runner changed, over many results."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.cli.options import console


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "history",
        help="find where a runner got slower, over many results",
        description="Sort recorded results by time and find the points where a runner's ratio to "
        "bare "
        "make moved to another level. This also finds steps too small for any threshold.",
    )
    parser.add_argument(
        "results", nargs="+", type=Path, metavar="RESULT", help="a result file of harness compare"
    )
    parser.set_defaults(command_function=_history)


def _history(options: argparse.Namespace) -> int:
    from harness.gate.history import histories  # noqa: PLC0415 - statistics are slow to import
    from harness.measure.results import read_result  # noqa: PLC0415
    from harness.report.history import render  # noqa: PLC0415

    console.print(render(histories(read_result(path) for path in options.results)))
    return 0
