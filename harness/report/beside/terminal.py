"""Two results side by side on a terminal; it reads the same without colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from harness.gate.beside import Beside, MovedFigure
from harness.report.beside import (
    ALIKE,
    DIFFERENT,
    HOW_TO_READ,
    INTERVAL,
    NAMES,
    change_words,
    ends_words,
    measured_by,
    median_words,
    range_words,
    subject_of,
    unlike_warning,
)
from harness.report.terminal import broken_name

RUNNER_WIDTHS = (60, *range(24, 9, -2))
"""Widths to try for the names of runners, in characters."""

_STYLES = {"slower": "bold red", "more": "bold red", "faster": "green", "less": "green"}


def render(beside: Beside) -> RenderableType:
    """Show what stands for A and B, the table, counters that differ, and what else differs."""
    return Group(*_parts(beside))


def _parts(beside: Beside) -> Iterator[RenderableType]:
    for name, recording in zip(NAMES, beside.results, strict=True):
        yield Text(measured_by(name, recording), "dim")
    for subject, rows in groupby(beside.moved, subject_of):
        yield Text()
        yield Text(subject, "bold")
        yield _MovedTable(list(rows))
    if beside.counted:
        yield Text()
        yield _counted(beside)
    yield Text()
    yield Text(HOW_TO_READ, "dim")
    if not beside.differences:
        yield Text(ALIKE)
        return
    yield Text()
    yield Text(DIFFERENT, "bold")
    yield _differences(beside)
    if words := unlike_warning(beside):
        yield Text(words, "bold red")


@dataclass(frozen=True)
class _MovedTable:
    """A table with a row for each runner, whose name is broken where the console is narrow."""

    rows: Sequence[MovedFigure]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wider = options.update(width=2 * options.max_width)
        for width in RUNNER_WIDTHS:
            table = _table(self.rows, width)
            if Measurement.get(console, wider, table).maximum <= options.max_width:
                break
        yield table


def _table(rows: Sequence[MovedFigure], width: int) -> Table:
    table = _plain("")
    for heading in (*NAMES, "B to A", INTERVAL):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        says = row.says
        table.add_row(
            Text(broken_name(row.runner, width)),
            *(median_words(row, side) for side in (0, 1)),
            change_words(row.change),
            ends_words(row.change),
            Text(says, _STYLES.get(says, "")),
        )
    return table


def _counted(beside: Beside) -> Table:
    table = _plain("counters that differ")
    for heading in NAMES:
        table.add_column(heading, justify="right")
    for each in beside.counted:
        what = f"{each.runner}, {each.scenario}: {each.metric.replace('_', ' ')}"
        table.add_row(Text(what), *(range_words(each, side) for side in (0, 1)))
    return table


def _differences(beside: Beside) -> Table:
    table = _plain("")
    for heading in NAMES:
        table.add_column(heading, overflow="fold")
    for each in beside.differences:
        table.add_row(each.fact, *(Text(value) for value in each.values))
    return table


def _plain(subject: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column(subject, overflow="fold")
    return table
