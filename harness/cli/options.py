"""Options that several commands share, and the console that they print to."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import runners
from harness.engines.choice import BUILT_IN_ENGINES, engine_names
from harness.inside.errors import UsageError
from harness.measure.baselines import BASELINES
from harness.report.plain import PlainConsole

console = PlainConsole()
errors = PlainConsole(stderr=True)
"""For progress and remarks, on stderr. Results go to stdout."""


class Names(Collection[str]):
    """The choices of an option that other packages add to.

    Theirs are looked up only for a name that is not built in, since that takes a while.
    """

    def __init__(self, built_in: Collection[str], every: Callable[[], Collection[str]]) -> None:
        """`every` returns all names, those that are built in among them."""
        self._built_in, self._every = built_in, every

    def __contains__(self, name: object) -> bool:
        return name in self._built_in or name in self._every()

    def __iter__(self) -> Iterator[str]:
        return iter(self._every())

    def __len__(self) -> int:
        return len(self._every())


_MOST = 1e8
"""The largest number that an option takes: in seconds, three years."""

ENGINE_CHOICES = Names(BUILT_IN_ENGINES, engine_names)
"""What `--engine` takes."""

ENGINES = f"one of {', '.join(BUILT_IN_ENGINES)}, or an engine of another package"
"""The same for its help."""


def add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-e",
        "--engine",
        choices=ENGINE_CHOICES,
        metavar="NAME",
        default="auto",
        help=f"where to run: {ENGINES}; auto (default) takes Docker if it answers, else the local "
        "engine",
    )
    add_image(parser)


def add_image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image",
        metavar="NAME",
        help="run in this image (default: harness-gcc on Docker, and on the local engine the "
        "programs of this machine)",
    )


def add_runner(parser: argparse.ArgumentParser, *, defaults: str = "", **options: object) -> None:
    """To choose one runner, or several with `action="append"`; `defaults` describes the default."""
    known = f"one of {', '.join(runners.runner_names())}; options follow as NAME:option=value"
    default = defaults or options.get("default") or ", ".join(runners.NOTES_NAMES)
    more = "; may be repeated" if options.get("action") == "append" else ""
    parser.add_argument(
        "-r",
        "--runner",
        metavar="NAME",
        help=f"{known}{more} (default: {default})",
        **options,  # type: ignore[arg-type]
    )


def add_seconds(parser: Any, default: float, meaning: str) -> None:
    """For how long to measure; `meaning` says what happens then. A budget is what `gate` judges by.

    `--budget`, the older name, is still read.
    """
    parser.add_argument(
        "-s",
        "--seconds",
        type=positive,
        default=default,
        metavar="SECONDS",
        help=f"{meaning} (default %(default)g)",
    )
    parser.add_argument(
        "--budget",
        dest="seconds",
        type=positive,
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )


def add_out(parser: Any, what: str, **options: object) -> None:
    """For the file to write; `what` describes it."""
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help=what, **options)


def add_save(parser: Any, when: str) -> None:
    """To keep the result as a baseline; `when` says of which runs."""
    parser.add_argument(
        "--save",
        metavar="NAME",
        help=f"keep {when} as the baseline NAME, in {BASELINES}; replaces one of that name, and "
        "says so",
    )


def add_exclude(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-x",
        "--exclude",
        metavar="PATTERN",
        action="append",
        default=[],
        help="leave out files that match this pattern, as in a .gitignore; the tree's own "
        ".gitignore files apply too; may be repeated",
    )


def add_dask(parser: argparse.ArgumentParser, what: str) -> None:
    """To spread the work over machines; `what` names it."""
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help=f"spread {what} over the workers of this Dask cluster, each with its own engine: "
        "tcp://HOST:8786",
    )


def positive(text: str) -> float:
    """A number greater than 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number greater than 0")
    if value > _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is too large; the most is {_MOST:g}")
    return value


def count(text: str) -> int:
    """A whole number greater than 0, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number greater than 0")
    return int(text)


def comma_counts(text: str) -> list[int]:
    """Comma-separated whole numbers greater than 0, for argparse."""
    return [count(number) for number in text.split(",")]


def check_writable(
    views: Iterable[Path | None], given: Iterable[Path | None], hints: Mapping[Path, str] = {}
) -> None:
    """Refuse a view that cannot be written, or would overwrite a given file or another view.

    `hints` say where the names of files come from that are not options. Raises UsageError.
    """
    taken = {path.resolve() for path in given if path is not None}
    for path in filter(None, views):
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise UsageError(f"{path} cannot be written; give another file{hints.get(path, '')}")
        if path.resolve() in taken:
            raise UsageError(
                f"{path} is given twice and would be overwritten; give each view a file of its own"
            )
        taken.add(path.resolve())


def tell_incomplete(files: Iterable[str]) -> None:
    """Print a note for each of these result files, whose runs were cut short."""
    for file in files:
        errors.print(
            f"note: {file} was cut short; it holds only what was measured until then",
            markup=False,
            soft_wrap=True,
        )


def remark(line: str) -> None:
    """Print one line of progress."""
    errors.print(line, style="dim", markup=False)


def warn(line: str) -> None:
    """Print a line that nobody may overlook; nothing if it is empty."""
    if line:
        errors.print(line, style="bold red", markup=False, soft_wrap=True)
