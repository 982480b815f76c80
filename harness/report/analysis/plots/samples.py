"""The pictures of every sample, and of every ratio to bare make."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from harness.inside.errors import UsageError
from harness.measure.stats import SHOWN_CONFIDENCE, paired
from harness.measure.trials.arms import FLOOR
from harness.measure.units import seconds
from harness.report.analysis import palette
from harness.report.analysis.plots.canvas import (
    a_build,
    by_median,
    completed,
    describe,
    draw_points,
    log_seconds,
    make_figure,
)

if TYPE_CHECKING:
    import pandas as pd


def distribution(frame: pd.DataFrame, *, build: str = "incremental") -> Figure:
    """Draw every sample as a point, a row for each runner, on a logarithmic axis of seconds.

    A bar marks the median.

    >>> import harness
    >>> frame = harness.load_results("results/recordings/typical-docker.jsonl")
    >>> from harness.report.analysis import plots
    >>> plots.alt_text(plots.distribution(frame, build="full"))[:44]
    'Distribution of the samples of a full build.'
    """
    chosen = completed(frame, build)
    labels = by_median(chosen)
    styles = palette.styles(labels)
    figure, axes = make_figure(rows=len(labels) + 1)
    said_of = []
    for row, label in enumerate(labels):
        rows = chosen[chosen["runner"] == label]
        values = rows["seconds"].to_numpy(dtype=float)
        words = [
            f"{label}, block {block}: {seconds(value)}"
            for block, value in zip(rows["block"], values, strict=True)
        ]
        draw_points(axes, row, values, styles[label], words)
        middle = float(np.median(values))
        axes.plot([middle, middle], [row - 0.36, row + 0.36], color="black", linewidth=2)
        reach = f"from {seconds(values.min())} to {seconds(values.max())}"
        said_of.append(f"{label}: median {seconds(middle)} of {len(values)}, {reach}")
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    log_seconds(axes, "x")
    axes.set_xlabel("seconds until the katas held the result (logarithmic)")
    axes.set_title(f"Every sample of {a_build(build)}; bars are medians", loc="left")
    axes.grid(axis="x", which="major", alpha=0.3)
    return describe(
        figure, f"Distribution of the samples of {a_build(build)}. " + ". ".join(said_of)
    )


def ratios(frame: pd.DataFrame, *, build: str = "incremental") -> Figure:
    """Draw the ratio to bare make of every block as a point, a row for each runner.

    A bar spans the interval of the ratio at `stats.SHOWN_CONFIDENCE`, with a tick at its estimate
    (see `stats.paired`). The axis is logarithmic. Raises UsageError for a frame without bare make.
    """
    chosen = completed(frame, build)
    keys = ["file", "block"]
    floor = chosen[chosen["runner"] == FLOOR].groupby(keys)["seconds"].median()
    labels = [label for label in by_median(chosen) if label != FLOOR]
    if floor.empty or not labels:
        raise UsageError(f"these results have no {FLOOR} beside a runner, so there is no ratio")
    styles = palette.styles([FLOOR, *labels])
    figure, axes = make_figure(rows=len(labels) + 1)
    said_of = []
    for row, label in enumerate(labels):
        mine = chosen[chosen["runner"] == label].set_index(keys)["seconds"]
        both = mine.rename("mine").to_frame().join(floor.rename("floor"), how="inner")
        values = (both["mine"] / both["floor"]).to_numpy(dtype=float)
        tips = [
            f"{label}, block {block}: {value:.2f} times bare make"
            for (_, block), value in zip(both.index, values, strict=True)
        ]
        draw_points(axes, row, values, styles[label], tips)
        interval = paired(both["mine"].to_numpy(), both["floor"].to_numpy(), SHOWN_CONFIDENCE)
        words = f"{label}: {interval.estimate:.2f} times bare make in {len(values)} blocks"
        if interval.high < math.inf:
            axes.plot([interval.low, interval.high], [row, row], color="black", linewidth=2)
            words += f", {interval.low:.2f} to {interval.high:.2f}"
        axes.plot([interval.estimate] * 2, [row - 0.2, row + 0.2], color="black", linewidth=2)
        said_of.append(words)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    # Within less than a decade, 1, 2 and 5 would be too few marks.
    axes.xaxis.set_major_locator(
        LogLocator(subs=(1.0, 2.0, 5.0)) if high > 5 * low else MaxNLocator(6)
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axes.axvline(1.0, color="grey", linestyle="dashed", linewidth=1)
    axes.set_xlabel(
        "ratio to bare make in the same block (logarithmic), "
        f"{SHOWN_CONFIDENCE * 100:g} % intervals"
    )
    axes.set_title(f"Ratios of {a_build(build)}, block by block", loc="left")
    axes.grid(axis="x", which="major", alpha=0.3)
    return describe(figure, f"Ratios of {a_build(build)} to {FLOOR}. " + ". ".join(said_of))
