"""Options that several commands share, and the console that they print to."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from harness import runners
from harness.engines.choice import ENGINE_NAMES
from harness.report.plain import PlainConsole

USAGE = 2
"""Exit status of what cannot be done as it was asked for."""

console = PlainConsole()
errors = PlainConsole(stderr=True)
"""For progress and remarks: what a command gives goes to stdout."""


def add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine",
        choices=ENGINE_NAMES,
        default="auto",
        help="auto takes Docker when it answers (default)",
    )
    parser.add_argument(
        "--image", metavar="NAME", help="run in this image of yours instead of harness-gcc"
    )


def add_runner(parser: argparse.ArgumentParser, **options: object) -> None:
    known = f"one of {', '.join(runners.runner_names())}, with options as NAME:option=value"
    parser.add_argument("--runner", metavar="NAME", help=known, **options)  # type: ignore[arg-type]


def add_exclude(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--exclude",
        metavar="PATTERN",
        action="append",
        default=[],
        help="leave out what this pattern names, as in a .gitignore, whose own patterns hold anyway; may be repeated",
    )


def add_dask(parser: argparse.ArgumentParser, what: str) -> None:
    """To spread what is done over machines."""
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help=f"spread {what} over the workers of a Dask cluster, each with its own engine: tcp://HOST:8786",
    )


def positive(text: str) -> float:
    """A number greater than 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number greater than 0")
    return value


def count(text: str) -> int:
    """A whole number greater than 0, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number greater than 0")
    return int(text)


def comma_counts(text: str) -> list[int]:
    """Whole numbers greater than 0, with commas between them, for argparse."""
    return [count(each) for each in text.split(",")]


def tell_incomplete(files: Iterable[str]) -> None:
    """A note for each of these, of runs that did not come to their end."""
    for file in files:
        errors.print(
            f"note: {file} was cut short: there is only what had been measured by then",
            markup=False,
            soft_wrap=True,
        )


def remark(line: str) -> None:
    """One line of progress."""
    errors.print(line, style="dim", markup=False)


def warn(line: str) -> None:
    """What nobody may overlook; nothing where there is nothing to tell."""
    if line:
        errors.print(line, style="bold red", markup=False, soft_wrap=True)
