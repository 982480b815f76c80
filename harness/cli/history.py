"""harness history: find where the level of a runner changed, over many results."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.cli.options import check_writable, console
from harness.inside.errors import UsageError
from harness.report.links import check_template


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
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="also write one self-contained page: a line for each runner, with each change marked; "
        "an existing file is overwritten",
    )
    parser.add_argument(
        "--commit-url",
        metavar="TEMPLATE",
        help="the address of a commit, as https://HOST/PROJECT/commit/{commit} (default: by the "
        "remote that a result names)",
    )
    parser.set_defaults(command_function=_history)


def _history(options: argparse.Namespace) -> int:
    from harness.gate.history import histories  # noqa: PLC0415 - statistics are slow to import
    from harness.measure.results import read_result  # noqa: PLC0415
    from harness.report.history import render  # noqa: PLC0415

    if options.commit_url is not None and options.html is None:
        raise UsageError("--commit-url links the commits of a page; add --html FILE")
    template = None if options.commit_url is None else check_template(options.commit_url)
    check_writable([options.html], options.results)
    found = histories([read_result(path) for path in options.results])
    console.print(render(found))
    if options.html is not None:
        from harness.report import dashboard  # noqa: PLC0415 - matplotlib takes a second to load

        options.html.write_text(dashboard.render(found, template), encoding="utf-8")
        console.print(f"written to {options.html}", markup=False, soft_wrap=True)
    return 0
