"""What all pictures share: which samples they show, in which order, on which axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from harness.inside.errors import UsageError
from harness.measure.trials.arms import FLOOR
from harness.measure.units import seconds
from harness.report.analysis import palette
from harness.report.analysis.captions import say

if TYPE_CHECKING:
    import pandas as pd

INCH_A_ROW = 0.55
WIDTH = 8.0
LINE = 105
"""Small letters that fit the width."""


def completed(frame: pd.DataFrame, build: str) -> pd.DataFrame:
    """Return the completed samples of one kind of build. Raises UsageError if there are none."""
    chosen = frame[(frame["build"] == build) & (frame["outcome"] == "completed")]
    if chosen.empty:
        has = ", ".join(sorted(frame["build"].unique()))
        raise UsageError(f"these results have no completed {build} build; they have: {has}")
    return chosen


def by_median(frame: pd.DataFrame) -> list[str]:
    """Return the runners in the order of their medians, the floor first."""
    medians = frame.groupby("runner")["seconds"].median()
    return sorted(medians.index, key=lambda label: (label != FLOOR, medians[label]))


def make_figure(rows: int) -> tuple[Figure, Axes]:
    """Make a figure that has room for so many rows."""
    figure = Figure(figsize=(WIDTH, max(2.4, INCH_A_ROW * rows + 1.0)), layout="constrained")
    axes = figure.subplots()
    open_to_the_right(axes)
    return figure, axes


def open_to_the_right(axes: Axes) -> None:
    """Draw no frame where there is no scale."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def log_seconds(axes: Axes, which: str) -> None:
    """Make one axis, "x" or "y", a logarithmic one of seconds."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, place: seconds(value)))
    axis.set_minor_formatter(NullFormatter())


def draw_points(
    axes: Axes, row: int, values: NDArray[np.float64], style: palette.Style, words: Sequence[str]
) -> None:
    """Draw a point for each value along its row, with words for each.

    They are spread by rank, not at random: the same frame gives the same picture.
    """
    spread = (np.arange(len(values)) * 0.618 % 1 - 0.5) * 0.5
    points = axes.scatter(
        values,
        row + spread,
        s=22,
        color=style.colour,
        marker=style.marker,
        alpha=0.65,
        linewidths=0,
    )
    say(points, words)


def describe(figure: Figure, words: str) -> Figure:
    """Give a figure its alt text, and return it."""
    say(figure, [words])
    return figure


def a_build(build: str) -> str:
    """Return "a full build", "an incremental build"."""
    return f"an {build} build" if build[0] in "aeiou" else f"a {build} build"
