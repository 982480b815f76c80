"""Pictures: each function turns a frame of results into a matplotlib figure, labelled with units.

    import harness
    from harness.report.analysis import plots

    figure = plots.distribution(harness.load_results("results/recordings/typical-docker.jsonl"))
    figure.savefig("distribution.svg")

Figures are made without pyplot, so that drawing one changes nothing global. Jupyter shows them
after `%matplotlib inline`. `alt_text(figure)` says in words what a figure shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)
from numpy.typing import NDArray

from harness.inside.errors import UsageError
from harness.measure.stats import SHOWN_CONFIDENCE, paired, power_law
from harness.measure.trials.arms import FLOOR
from harness.measure.units import seconds
from harness.report.analysis import palette
from harness.report.analysis.captions import said, say
from harness.report.analysis.tradeoffs import TAIL
from harness.runners.run import PHASE_WORDS, PHASES

if TYPE_CHECKING:
    import pandas as pd

INCH_A_ROW = 0.55
WIDTH = 8.0
LINE = 105
"""Small letters that fit the width."""


def phases(frame: pd.DataFrame, *, build: str = "incremental") -> Figure:
    """Draw where the time goes: a bar for each runner, of the medians of its phases in seconds.

    Bars of more than CUT_AT times the length of all others are cut, and say so, so that the others
    have room.
    """
    chosen = _chosen(frame, build)
    labels = _labels(chosen)
    columns = [f"phase_{kind}" for kind in PHASES]
    medians = chosen.groupby("runner")[columns].median().reindex(labels).fillna(0.0)
    totals = chosen.groupby("runner")["seconds"].median()
    figure, axes = _figure(rows=len(labels) + 2)
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
    axes.set_title(f"Where the time of {_a(build)} goes", loc="left")
    figure.legend(ncols=4, loc="outside lower center", frameon=False, fontsize="small")
    longest = {label: PHASES[int(medians.loc[label].to_numpy().argmax())] for label in labels}
    return _say(
        figure,
        f"Bars of the phases of {_a(build)}. "
        + ". ".join(
            f"{label}: {seconds(totals[label])}, most of it {PHASE_WORDS[longest[label]]}"
            for label in labels
        ),
    )


CUT_AT = 3.0
"""A bar that is so many times as long as the longest of the others is cut."""


def _cut(lengths: NDArray[np.float64]) -> float:
    """Return where to cut bars of these lengths; infinity if they go well together.

    At least two bars stay whole beside the floor, whose shortness alone cuts nothing.
    """
    ordered = sorted(lengths)
    for place in range(len(ordered) - 1, 1, -1):
        if ordered[place] > CUT_AT * ordered[place - 1]:
            return float(1.5 * ordered[place - 1])
    return math.inf


def distribution(frame: pd.DataFrame, *, build: str = "incremental") -> Figure:
    """Draw every sample as a point, a row for each runner, on a logarithmic axis of seconds.

    A bar marks the median.

    >>> import harness
    >>> frame = harness.load_results("results/recordings/typical-docker.jsonl")
    >>> alt_text(distribution(frame, build="full"))[:44]
    'Distribution of the samples of a full build.'
    """
    chosen = _chosen(frame, build)
    labels = _labels(chosen)
    styles = palette.styles(labels)
    figure, axes = _figure(rows=len(labels) + 1)
    said_of = []
    for row, label in enumerate(labels):
        rows = chosen[chosen["runner"] == label]
        values = rows["seconds"].to_numpy(dtype=float)
        words = [
            f"{label}, block {block}: {seconds(value)}"
            for block, value in zip(rows["block"], values, strict=True)
        ]
        _draw_points(axes, row, values, styles[label], words)
        middle = float(np.median(values))
        axes.plot([middle, middle], [row - 0.36, row + 0.36], color="black", linewidth=2)
        reach = f"from {seconds(values.min())} to {seconds(values.max())}"
        said_of.append(f"{label}: median {seconds(middle)} of {len(values)}, {reach}")
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    _log_seconds(axes, "x")
    axes.set_xlabel("seconds until the katas held the result (logarithmic)")
    axes.set_title(f"Every sample of {_a(build)}; bars are medians", loc="left")
    axes.grid(axis="x", which="major", alpha=0.3)
    return _say(figure, f"Distribution of the samples of {_a(build)}. " + ". ".join(said_of))


def ratios(frame: pd.DataFrame, *, build: str = "incremental") -> Figure:
    """Draw the ratio to bare make of every block as a point, a row for each runner.

    A bar spans the interval of the ratio at `stats.SHOWN_CONFIDENCE`, with a tick at its estimate
    (see `stats.paired`). The axis is logarithmic. Raises UsageError for a frame without bare make.
    """
    chosen = _chosen(frame, build)
    keys = ["file", "block"]
    floor = chosen[chosen["runner"] == FLOOR].groupby(keys)["seconds"].median()
    labels = [label for label in _labels(chosen) if label != FLOOR]
    if floor.empty or not labels:
        raise UsageError(f"these results have no {FLOOR} beside a runner, so there is no ratio")
    styles = palette.styles([FLOOR, *labels])
    figure, axes = _figure(rows=len(labels) + 1)
    said_of = []
    for row, label in enumerate(labels):
        mine = chosen[chosen["runner"] == label].set_index(keys)["seconds"]
        both = mine.rename("mine").to_frame().join(floor.rename("floor"), how="inner")
        values = (both["mine"] / both["floor"]).to_numpy(dtype=float)
        tips = [
            f"{label}, block {block}: {value:.2f} times bare make"
            for (_, block), value in zip(both.index, values, strict=True)
        ]
        _draw_points(axes, row, values, styles[label], tips)
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
    axes.set_title(f"Ratios of {_a(build)}, block by block", loc="left")
    axes.grid(axis="x", which="major", alpha=0.3)
    return _say(figure, f"Ratios of {_a(build)} to {FLOOR}. " + ". ".join(said_of))


def _draw_points(
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
    chosen = _chosen(frame, build).dropna(subset=[of])
    sizes = _sizes(chosen, of)
    if sizes.nunique() < 2:
        raise UsageError(
            "these results have only one size of tree; measure more with harness scale"
        )
    word, written = AXES[of]
    labels = _labels(chosen)
    styles = palette.styles(labels)
    figure, axes = _figure(rows=8)
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
    _log_seconds(axes, "y")
    axes.set_xlabel(f"{word} in the sandbox (logarithmic)")
    axes.set_ylabel("seconds (logarithmic)")
    axes.set_title(f"Cost of {_a(build)} against the {word} of the tree", loc="left")
    axes.grid(which="major", alpha=0.3)
    axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(0, -0.16))
    return _say(
        figure, f"Cost of {_a(build)} against the {word} of the tree. " + ". ".join(said_of)
    )


def load(frame: pd.DataFrame, *, build: str = "incremental") -> Figure:
    """Draw throughput, and the latency of the slowest twentieth, against avatars at once.

    A line below the title says which machine it was, since throughput is a machine's.

    Raises UsageError unless more than one number of avatars was measured.
    """
    chosen = _chosen(frame, build)
    if chosen["avatars"].nunique() < 2:
        raise UsageError(
            "these results have only one number of avatars; measure more with harness load"
        )
    table = throughput(chosen)
    labels = [label for label in _labels(chosen) if label in set(table["runner"])]
    styles = palette.styles(labels)
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    panels = figure.subplots(1, 2)
    said_of = []
    for label in labels:
        rows = table[table["runner"] == label].sort_values("avatars")
        style = styles[label]
        for axes, column, unit in zip(
            panels, ("throughput", "tail"), ("a second", "s"), strict=True
        ):
            axes.plot(
                rows["avatars"], rows[column], color=style.colour, marker=style.marker, label=label
            )
            points = axes.scatter(
                rows["avatars"], rows[column], color=style.colour, marker=style.marker
            )
            say(
                points,
                [
                    f"{label}, {n} at once: {v:.2f} {unit}"
                    for n, v in zip(rows["avatars"], rows[column], strict=True)
                ],
            )
        best = rows.sort_values("throughput").to_dict("records")[-1]
        said_of.append(
            f"{label}: at most {best['throughput']:.1f} a second, with {best['avatars']} at once"
        )
    for axes, name in zip(
        panels,
        ("test events a second", "seconds, the slowest\ntwentieth (logarithmic)"),
        strict=True,
    ):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
        axes.set_xlabel("avatars at once")
        axes.set_ylabel(name)
        axes.grid(which="major", alpha=0.3)
        _open_to_the_right(axes)
    panels[0].set_ylim(bottom=0)
    _log_seconds(panels[1], "y")
    title = f"{_a(build).capitalize()} by many at once"
    figure.suptitle(title, x=0.01, ha="left", fontsize="large")
    places = _places(chosen)
    panels[0].set_title(
        "\n".join(line for place in places for line in wrap(place, LINE)),
        loc="left",
        fontsize="small",
    )
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        frameon=False,
        fontsize="small",
        loc="outside lower center",
        ncols=2,
    )
    return _say(
        figure,
        f"Throughput and latency of {_a(build)} against avatars at once. "
        + ". ".join([*places, *said_of]),
    )


def _places(frame: pd.DataFrame) -> list[str]:
    """Say of each machine in the frame what it was, and what was built there."""
    facts = ["tree", "engine", "storage_driver", "machine", "processor", "processors"]
    known = frame[facts].astype(object).drop_duplicates()
    return [_place(row) for row in known.where(known.notna(), None).to_dict("records")]


def _place(row: dict[Any, Any]) -> str:
    engine = ", ".join(filter(None, (row["engine"], row["storage_driver"])))
    models = row["processor"] or "processors"
    count = "" if row["processors"] is None else f", {row['processors']:g} x {models}"
    return f"{row['tree']} on {engine}; machine {row['machine']}{count}"


def throughput(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each runner and number of avatars at once.

    Its columns are throughput (test events a second, the median over blocks) and tail (seconds, the
    95th percentile of latency).
    """
    ended = frame.assign(end=frame["at"] + frame["seconds"])
    blocks = ended.groupby(["runner", "avatars", "file", "block"]).agg(
        first=("at", "min"), last=("end", "max"), events=("at", "size")
    )
    rates = (
        (blocks["events"] / (blocks["last"] - blocks["first"]))
        .groupby(["runner", "avatars"])
        .median()
    )
    tails = frame.groupby(["runner", "avatars"])["seconds"].quantile(TAIL)
    return rates.rename("throughput").to_frame().assign(tail=tails).reset_index()


def alt_text(figure: Figure) -> str:
    """Say in words what a figure of this module shows."""
    return " ".join(said(figure))


def _chosen(frame: pd.DataFrame, build: str) -> pd.DataFrame:
    """Return the completed samples of one kind of build. Raises UsageError if there are none."""
    chosen = frame[(frame["build"] == build) & (frame["outcome"] == "completed")]
    if chosen.empty:
        has = ", ".join(sorted(frame["build"].unique()))
        raise UsageError(f"these results have no completed {build} build; they have: {has}")
    return chosen


def _labels(frame: pd.DataFrame) -> list[str]:
    """Return the runners in the order of their medians, the floor first."""
    medians = frame.groupby("runner")["seconds"].median()
    return sorted(medians.index, key=lambda label: (label != FLOOR, medians[label]))


def _figure(rows: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, max(2.4, INCH_A_ROW * rows + 1.0)), layout="constrained")
    axes = figure.subplots()
    _open_to_the_right(axes)
    return figure, axes


def _open_to_the_right(axes: Axes) -> None:
    """Draw no frame where there is no scale."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _log_seconds(axes: Axes, which: str) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, place: seconds(value)))
    axis.set_minor_formatter(NullFormatter())


def _say(figure: Figure, words: str) -> Figure:
    say(figure, [words])
    return figure


def _a(build: str) -> str:
    return f"an {build} build" if build[0] in "aeiou" else f"a {build} build"


PLOTS: dict[str, Callable[..., Figure]] = {
    "phases": phases,
    "distribution": distribution,
    "ratios": ratios,
    "scaling": scaling,
    "load": load,
}
"""The pictures by the name that `harness plot --kind` takes."""

__all__: Sequence[str] = (
    "PLOTS",
    "alt_text",
    "distribution",
    "load",
    "phases",
    "ratios",
    "scaling",
    "throughput",
)
