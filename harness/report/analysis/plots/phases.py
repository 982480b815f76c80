"""The picture of where the time goes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from harness.measure.units import seconds
from harness.report.analysis import palette
from harness.report.analysis.captions import say
from harness.report.analysis.plots.canvas import (
    a_build,
    by_median,
    completed,
    describe,
    make_figure,
)
from harness.runners.run import PHASE_WORDS, PHASES

if TYPE_CHECKING:
    import pandas as pd


CUT_AT = 3.0
"""A bar that is so many times as long as the longest of the others is cut."""


def phases(frame: pd.DataFrame, *, build: str = "incremental") -> Figure:
    """Draw where the time goes: a bar for each runner, of the medians of its phases in seconds.

    Bars of more than CUT_AT times the length of all others are cut, and say so, so that the others
    have room.
    """
    chosen = completed(frame, build)
    labels = by_median(chosen)
    columns = [f"phase_{kind}" for kind in PHASES]
    medians = chosen.groupby("runner")[columns].median().reindex(labels).fillna(0.0)
    totals = chosen.groupby("runner")["seconds"].median()
    figure, axes = make_figure(rows=len(labels) + 2)
    left = np.zeros(len(labels))
    for kind in PHASES:
        widths = medians[f"phase_{kind}"].to_numpy(dtype=float)
        if widths.any():
            bars = axes.barh(
                labels,
                widths,
                left=left,
                color=palette.PHASE_COLOURS[kind],
                label=PHASE_WORDS[kind],
                height=0.7,
            )
            for label, bar in zip(labels, bars, strict=True):
                say(bar, [f"{label}, {PHASE_WORDS[kind]}: {seconds(bar.get_width())}"])
            left += widths
    end = _cut(left)
    for row, label in enumerate(labels):
        words = f" {seconds(totals[label])}"
        if left[row] > end:
            words += " (cut)"
            for place in (0.955, 0.97):
                axes.plot(
                    [(place - 0.008) * end, (place + 0.008) * end],
                    [row + 0.42, row - 0.42],
                    color="white",
                    linewidth=2,
                )
        axes.annotate(
            words,
            (min(left[row], end), row),
            va="center",
            fontsize="small",
            annotation_clip=False,
        )
    axes.invert_yaxis()
    axes.margins(x=0.12)
    if left.max() > end:
        axes.set_xlim(0, end)
    axes.set_xlabel("seconds: medians of the phases, and of the whole test event at the end")
    axes.set_title(f"Where the time of {a_build(build)} goes", loc="left")
    figure.legend(ncols=4, loc="outside lower center", frameon=False, fontsize="small")
    longest = {label: PHASES[int(medians.loc[label].to_numpy().argmax())] for label in labels}
    return describe(
        figure,
        f"Bars of the phases of {a_build(build)}. "
        + ". ".join(
            f"{label}: {seconds(totals[label])}, most of it {PHASE_WORDS[longest[label]]}"
            for label in labels
        ),
    )


def _cut(lengths: NDArray[np.float64]) -> float:
    """Return where to cut bars of these lengths; infinity if they go well together.

    At least two bars stay whole beside the floor, whose shortness alone cuts nothing.
    """
    ordered = sorted(lengths)
    for place in range(len(ordered) - 1, 1, -1):
        if ordered[place] > CUT_AT * ordered[place - 1]:
            return float(1.5 * ordered[place - 1])
    return math.inf
