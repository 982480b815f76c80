"""harness export: write results in the formats of other tools."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from harness.cli.options import Names, add_out, errors, tell_incomplete
from harness.inside.errors import UsageError
from harness.measure.results import incomplete, load_results
from harness.report.export import FORMATS, export, format_names, is_binary
from harness.report.plain import write_out


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "export",
        help="write results in another tool's format",
        description="Write recorded results in the format of another tool.",
    )
    parser.add_argument(
        "results", nargs="+", metavar="RESULT", help="a result file of harness compare"
    )
    parser.add_argument(
        "--to",
        required=True,
        choices=Names(FORMATS, format_names),
        metavar="FORMAT",
        help=f"the format to write: one of {', '.join(FORMATS)}, or a format of another package",
    )
    add_out(parser, "the file to write (default: stdout); an existing one is overwritten")
    parser.set_defaults(command_function=_export)


def _export(options: argparse.Namespace) -> int:
    if options.out is None and sys.stdout.isatty() and is_binary(options.to):
        raise UsageError(f"{options.to} is binary and not for a terminal; give --out FILE")
    frame = load_results(*options.results)
    tell_incomplete(incomplete(frame))
    data = export(frame, options.to)
    if options.out is None:
        write_out(sys.stdout, data)
    else:
        options.out.write_bytes(data)
        errors.print(f"written to {options.out}", markup=False, soft_wrap=True)
    return 0
