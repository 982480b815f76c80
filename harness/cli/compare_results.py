"""harness compare-results: two results side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.cli.options import check_writable, console
from harness.measure.baselines import find_baseline


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare-results",
        help="put two results side by side",
        description="Put two recorded results side by side: how far each runner moved, with the "
        "interval of the ratio, the counters that differ, and whether machine, engine or image "
        "differ. It compares ratios to bare make, and judges nothing; harness gate does.",
    )
    for name in ("A", "B"):
        parser.add_argument(
            name.lower(),
            metavar=name,
            help="a result file of harness compare or gate, or the name of a baseline",
        )
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="also write the tables as Markdown; an existing file is overwritten",
    )
    parser.set_defaults(command_function=_compare_results)


def _compare_results(options: argparse.Namespace) -> int:
    # Imported here, since statistics are slow to import and no other command needs these.
    from harness.gate.beside import put_beside  # noqa: PLC0415
    from harness.measure.results import read_result  # noqa: PLC0415
    from harness.report.beside import markdown, terminal  # noqa: PLC0415

    paths = [find_baseline(text) for text in (options.a, options.b)]
    check_writable([options.markdown], paths)
    beside = put_beside(*map(read_result, paths))
    console.print(terminal.render(beside))
    if options.markdown:
        options.markdown.write_text(markdown.render(beside), encoding="utf-8")
    return 0
