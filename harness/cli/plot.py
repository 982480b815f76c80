"""harness plot: draw a picture of results."""

from __future__ import annotations

import argparse
from typing import Any

from harness.cli.options import add_out, errors, tell_incomplete
from harness.inside.errors import UsageError
from harness.measure.results import incomplete, load_results
from harness.measure.trials.scenario import INCREMENTAL, SCENARIOS

_KINDS = ("phases", "distribution", "ratios", "scaling", "load")
SUFFIXES = (".png", ".svg")
DOTS_AN_INCH = 150

POOLED = ("phases", "distribution", "ratios")
"""Pictures with one row for all samples of a runner."""


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "plot",
        help="draw a picture of results",
        description="Draw recorded results: where the time goes (phases), every sample "
        "(distribution), the ratio to bare make in every block (ratios), cost against tree size "
        "(scaling), or throughput against the number of avatars at once (load).",
    )
    parser.add_argument("results", nargs="+", metavar="RESULT", help="a result file")
    parser.add_argument("--kind", required=True, choices=_KINDS, help="the picture to draw")
    parser.add_argument(
        "--scenario",
        default=INCREMENTAL,
        choices=tuple(SCENARIOS),
        metavar="NAME",
        help=f"one of {', '.join(SCENARIOS)} (default %(default)s)",
    )
    add_out(parser, "a .png or .svg file; an existing one is overwritten", required=True)
    parser.set_defaults(command_function=_plot)


def _plot(options: argparse.Namespace) -> int:
    if options.out.suffix not in SUFFIXES:
        raise UsageError(
            f"{options.out} is neither .png nor .svg; give --out a name that ends in one of them"
        )
    frame = load_results(*options.results)
    tell_incomplete(incomplete(frame))
    from harness.report.analysis import plots  # noqa: PLC0415 - matplotlib is slow to load

    if options.kind in POOLED:
        _refuse_mixture(frame)
    if options.kind == "scaling":
        grows = next((axis for axis in plots.AXES if plots.grows(frame, axis)), "tree_bytes")
        figure = plots.scaling(frame, build=options.scenario, of=grows)
    else:
        figure = plots.PLOTS[options.kind](frame, build=options.scenario)
    metadata = {"Description": plots.alt_text(figure)}
    figure.savefig(options.out, dpi=DOTS_AN_INCH, metadata=metadata)
    errors.print(plots.alt_text(figure), markup=False, soft_wrap=True)
    errors.print(f"written to {options.out}", markup=False, soft_wrap=True)
    return 0


def _refuse_mixture(frame: Any) -> None:
    """Raise UsageError for samples whose common median would mean nothing."""
    for column, what in (
        ("engine", "engines"),
        ("tree", "trees"),
        ("avatars", "numbers of avatars at once"),
    ):
        if (number := frame[column].nunique()) > 1:
            raise UsageError(
                f"these results mix {number} {what}, so one median of all would mean nothing; plot "
                "one of them, or use harness report, which draws each by itself"
            )
