"""The picture of many avatars at once, and its table."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from harness.inside.errors import UsageError
from harness.report.analysis import palette
from harness.report.analysis.captions import say
from harness.report.analysis.plots.canvas import (
    LINE,
    WIDTH,
    a_build,
    by_median,
    completed,
    describe,
    log_seconds,
    open_to_the_right,
)
from harness.report.analysis.tradeoffs import TAIL

if TYPE_CHECKING:
    import pandas as pd


def load(frame: pd.DataFrame, *, build: str = "incremental") -> Figure:
    """Draw throughput, and the latency of the slowest twentieth, against avatars at once.

    A line below the title says which machine it was, since throughput is a machine's.

    Raises UsageError unless more than one number of avatars was measured.
    """
    chosen = completed(frame, build)
    if chosen["avatars"].nunique() < 2:
        raise UsageError(
            "these results have only one number of avatars; measure more with harness load"
        )
    table = throughput(chosen)
    labels = [label for label in by_median(chosen) if label in set(table["runner"])]
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
        open_to_the_right(axes)
    panels[0].set_ylim(bottom=0)
    log_seconds(panels[1], "y")
    title = f"{a_build(build).capitalize()} by many at once"
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
    return describe(
        figure,
        f"Throughput and latency of {a_build(build)} against avatars at once. "
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
