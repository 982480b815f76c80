"""The picture of a history: a line for each runner over the results, each change of level marked.

from harness.report.analysis.timeline import timeline

figure = timeline(histories(recordings), width=8.0)
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from harness.gate.history import History, Point
from harness.report.analysis import palette
from harness.report.analysis.captions import say
from harness.report.links import commit_url

INCH_A_DATE = 1.2


def timeline(
    several: Sequence[History], *, width: float = 8.0, template: str | None = None
) -> Figure:
    """Draw the histories of one subject and scenario, one for each runner.

    A ring marks the first result of a new level, with how far the level moved. A point leads to its
    commit, by the template of `commit_url` if there is one. `width` is in inches.
    """
    # A runner's name is text, whatever it holds.
    with mpl.rc_context({"text.parse_math": False}):
        return _timeline(several, width, template)


def _timeline(several: Sequence[History], width: float, template: str | None) -> Figure:
    results = sorted({(point.created, point.file) for each in several for point in each.points})
    places = {result: place for place, result in enumerate(results)}
    styles = palette.styles(each.runner for each in several)
    columns = max(int(width / 4), 1)
    rows = -(-len(several) // columns)
    figure = Figure(figsize=(width, 3.6 + 0.25 * rows), layout="constrained")
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    handles, words = [], []
    for each in several:
        style = styles[each.runner]
        where = [places[point.created, point.file] for point in each.points]
        ratios = [point.ratio for point in each.points]
        (line,) = axes.plot(where, ratios, color=style.colour, marker=style.marker, markersize=5)
        handles.append(line)
        points = axes.scatter(where, ratios, s=30, color=style.colour, marker=style.marker)
        points.set_urls(
            [commit_url(point.commit, point.remote, template) or None for point in each.points]
        )
        say(points, [_words(each, point) for point in each.points])
        _mark_changes(axes, each, where, style.colour)
        words.append(
            f"{each.runner}: {ratios[-1]:.2f} times bare make in the last of {len(ratios)} results"
        )
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(
        LogLocator(subs=(1.0, 2.0, 5.0)) if high > 5 * low else MaxNLocator(6)
    )
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axes.set_ylabel("ratio to bare make (logarithmic)")
    axes.margins(x=0.04, y=0.12)
    shown = _spread(len(results), int(width / INCH_A_DATE))
    axes.set_xticks(shown, [results[place][0][:10] for place in shown])
    axes.set_xlabel("results in the order of time")
    axes.grid(axis="y", alpha=0.3)
    figure.legend(
        handles,
        # matplotlib leaves out a name that begins with an underscore.
        [each.runner if each.runner[:1] != "_" else f"\u200b{each.runner}" for each in several],
        loc="outside lower left",
        ncols=columns,
        frameon=False,
        fontsize="small",
    )
    say(figure, ["Ratios to bare make over time. " + ". ".join(words)])
    return figure


def _mark_changes(axes: Axes, history: History, where: Sequence[int], colour: str) -> None:
    for change in history.changes:
        place, ratio = where[change.place], history.points[change.place].ratio
        ring = axes.scatter(
            [place], [ratio], s=190, facecolors="none", edgecolors=colour, linewidths=1.8
        )
        say(ring, [f"{_words(history, history.points[change.place])}; {moved_words(change.ratio)}"])
        axes.annotate(
            moved_words(change.ratio),
            (place, ratio),
            xytext=(0, 11 if change.ratio > 1 else -11),
            textcoords="offset points",
            ha="center",
            va="bottom" if change.ratio > 1 else "top",
            fontsize="small",
        )


def moved_words(ratio: float) -> str:
    """Say how far a level moved.

    >>> moved_words(1.25), moved_words(0.5)
    ('25 % slower', '50 % faster')
    """
    return f"{abs(ratio - 1) * 100:.0f} % {'slower' if ratio > 1 else 'faster'}"


def _words(history: History, point: Point) -> str:
    commit = f", {point.commit[:12]}" if point.commit else ""
    return f"{history.runner}, {point.created[:16]}{commit}: {point.ratio:.2f} times bare make"


def _spread(count: int, most: int) -> list[int]:
    """Return at most so many places of a series, evenly spread, the first and the last included."""
    if count <= most:
        return list(range(count))
    return [round(number * (count - 1) / (most - 1)) for number in range(most)]
