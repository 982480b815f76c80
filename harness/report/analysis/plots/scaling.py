"""The picture of what a larger tree costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from harness.inside.errors import UsageError
from harness.measure.stats import power_law
from harness.measure.units import seconds
from harness.report.analysis import palette
from harness.report.analysis.captions import say
from harness.report.analysis.plots.canvas import (
    a_build,
    by_median,
    completed,
    describe,
    log_seconds,
    make_figure,
)

if TYPE_CHECKING:
    import pandas as pd


AXES: dict[str, tuple[str, Callable[[float], str]]] = {
    "tree_bytes": ("bytes", lambda value: f"{value / 1e6:g} MB"),
    "tree_files": ("files", lambda value: f"{value:,.0f}"),
}
"""The ways in which trees may grow: column of a frame, word for it, and format of its figures."""


def grows(frame: pd.DataFrame, of: str = "tree_bytes") -> bool:
    """Whether the largest tree has at least twice as much of this (one of AXES) as the smallest."""
    sizes = _sizes(frame, of)
    return len(sizes) > 1 and bool(sizes.max() >= 2 * sizes.min())


def _sizes(frame: pd.DataFrame, of: str) -> pd.Series[Any]:
    """The size of each tree by its name."""
    return frame.dropna(subset=[of]).groupby("tree")[of].median()


def scaling(frame: pd.DataFrame, *, build: str = "incremental", of: str = "tree_bytes") -> Figure:
    """Draw cost against tree size, both logarithmic: every sample, and the medians of each runner.

    The legend gives the exponent of each runner's growth (see `harness.measure.stats.power_law`):
    0 does not grow, 1 grows in proportion. `of` is one of AXES.

    Raises UsageError unless at least two sizes of tree were measured.
    """
    chosen = completed(frame, build).dropna(subset=[of])
    sizes = _sizes(chosen, of)
    if sizes.nunique() < 2:
        raise UsageError(
            "these results have only one size of tree; measure more with harness scale"
        )
    word, written = AXES[of]
    labels = by_median(chosen)
    styles = palette.styles(labels)
    figure, axes = make_figure(rows=8)
    said_of = []
    for label in labels:
        rows = chosen[chosen["runner"] == label]
        where, seconds_of = (
            rows["tree"].map(sizes).to_numpy(dtype=float),
            rows["seconds"].to_numpy(dtype=float),
        )
        style = styles[label]
        points = axes.scatter(
            where,
            seconds_of,
            s=18,
            color=style.colour,
            marker=style.marker,
            alpha=0.5,
            linewidths=0,
        )
        say(
            points,
            [
                f"{label}, {written(at)}: {seconds(took)}"
                for at, took in zip(where, seconds_of, strict=True)
            ],
        )
        words = label
        if len(np.unique(where)) > 1:
            law = power_law(where, seconds_of)
            words = f"{label}: exponent {law.exponent:z.2f} ({law.low:z.2f} to {law.high:z.2f})"
        middle = rows.groupby(rows["tree"].map(sizes))["seconds"].median()
        axes.plot(middle.index, middle, color=style.colour, marker=style.marker, label=words)
        said_of.append(words)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: written(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    log_seconds(axes, "y")
    axes.set_xlabel(f"{word} in the sandbox (logarithmic)")
    axes.set_ylabel("seconds (logarithmic)")
    axes.set_title(f"Cost of {a_build(build)} against the {word} of the tree", loc="left")
    axes.grid(which="major", alpha=0.3)
    axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(0, -0.16))
    return describe(
        figure, f"Cost of {a_build(build)} against the {word} of the tree. " + ". ".join(said_of)
    )
