"""The tables that commands print on a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from harness.inside.store import Increment
from harness.inside.usage import DiskUsage
from harness.measure.metrics import METRICS
from harness.measure.scale import Growth
from harness.measure.stats import SHOWN_CONFIDENCE, Interval
from harness.measure.summary import Row, Share
from harness.measure.trials.crowd import Level
from harness.measure.trials.scenario import FULL, INCREMENTAL, SCENARIOS
from harness.measure.units import seconds, size
from harness.report.plain import shown_name
from harness.runners.run import PHASE_WORDS, Phase

NAME_WIDTHS = range(20, 7, -1)
"""Widths to try for the names above columns, in characters; the first one fits the notes' runners.

A longer name is broken into several lines.
"""
MACHINE_NAME_WIDTH = 13


Line = tuple[str, Sequence[str]]
"""A row: its label, and a cell for each arm."""


@dataclass(frozen=True)
class ArmsTable:
    """A table with a column for each arm.

    On a narrow console it becomes several tables, as few as fit, each with the same rows and with
    the floor at its left.
    """

    corner: str
    """The heading of the labels."""
    names: Sequence[str]
    """The arms, the floor first."""
    sections: Sequence[Sequence[Line]]
    """Groups of rows with a space between them."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        others, room = len(self.names) - 1, options.max_width
        # A measurement never exceeds the room it is given.
        wider = options.update(width=2 * room)
        for parts, width in product(range(1, max(others, 1) + 1), NAME_WIDTHS):
            bounds = [1 + others * part // parts for part in range(parts + 1)]
            tables = [self._table(range(*ends), width) for ends in pairwise(bounds)]
            if all(Measurement.get(console, wider, table).maximum <= room for table in tables):
                break
        yield from tables

    def _table(self, others: Sequence[int], name_width: int) -> Table:
        """Make the table of the floor and these arms, given by their numbers."""
        numbers = [0, *others]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column(self.corner, no_wrap=True)
        for number in numbers:
            table.add_column(
                broken_name(self.names[number], name_width), justify="right", no_wrap=True
            )
        for section in self.sections:
            table.add_section()
            for words, cells in section:
                table.add_row(words, *(cells[number] for number in numbers if cells))
        return table


def comparison(rows: Sequence[Row], about: str = INCREMENTAL) -> ArmsTable:
    """Make the table of `harness compare`; single figures are `about` this scenario."""
    names = [row.runner for row in rows]
    return ArmsTable("", names, [_results(rows, about), _phases(rows), _resources(rows)])


def _results(rows: Sequence[Row], about: str) -> list[Line]:
    extended = any(row.seconds.keys() - {FULL, INCREMENTAL} for row in rows)
    played = [scenario for scenario in SCENARIOS if any(scenario in row.seconds for row in rows)]
    others = [scenario for scenario in played if scenario != about] if extended else []
    # Older recordings lack the second moment, when the output was in hand.
    moments = any(row.answered is not None for row in rows)
    lines: list[Line] = []
    for name in played:
        lines.append((SCENARIOS[name].words, [seconds(row.seconds.get(name)) for row in rows]))
        if name == about and moments:
            lines.append(("  output in hand", [seconds(row.answered) for row in rows]))
    lines.append(("ratio to bare make", [_ratio(row.ratios.get(about)) for row in rows]))
    if any(row.interval for row in rows):
        words = f"  {SHOWN_CONFIDENCE:.0%} interval".replace("%", " %")
        lines.append((words, [interval_words(row.interval) for row in rows]))
    if moments:
        lines.append(("  output in hand", [_ratio(row.answered_ratio) for row in rows]))
    lines += [(f"  {name}", [_ratio(row.ratios.get(name)) for row in rows]) for name in others]
    lines.append(("files recompiled", [_range(row.recompiled.get(about)) for row in rows]))
    lines += [
        (f"  {name}", [_range(row.recompiled.get(name)) for row in rows])
        for name in others
        if any(name in row.recompiled for row in rows)
    ]
    lines += [
        ("output right", [_of(row.right) for row in rows]),
        ("mtimes kept (1 ns)", [_of(row.kept) for row in rows]),
        ("piped in", [size(row.bytes_in) for row in rows]),
        ("piped out", [size(row.bytes_out) for row in rows]),
        ("disk growth", [size(row.grown) for row in rows]),
    ]
    failures = (
        ("timed out", [row.timed_out for row in rows]),
        ("faulty", [row.faulty for row in rows]),
    )
    return lines + [
        (words, [str(scenario) for scenario in counts]) for words, counts in failures if any(counts)
    ]


def _phases(rows: Sequence[Row]) -> list[Line]:
    played = [kind for kind in PHASE_WORDS if any(kind in row.phases for row in rows)]
    return [
        ("where the time goes", ()),
        *(
            (f"  {PHASE_WORDS[kind]}", [seconds(row.phases.get(kind)) for row in rows])
            for kind in played
        ),
    ]


def _resources(rows: Sequence[Row]) -> list[Line]:
    return [
        (known.shown, [_used(row.used.get(metric), known.unit) for row in rows])
        for metric, known in METRICS.items()
        if any(metric in row.used for row in rows)
    ]


def _used(figure: float | None, unit: str) -> str:
    if figure is None:
        return "-"
    if unit == "s":
        return seconds(figure)
    return size(round(figure)) if unit == "B" else f"{figure:g}"


def machines(shares: Sequence[Share], facts: Mapping[str, Mapping[str, Any]]) -> Table:
    """Show what each of several machines contributed, with its ratios to bare make."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("machine", "engine"):
        table.add_column(name)
    table.add_column("blocks", justify="right")
    names = list(dict.fromkeys(name for share in shares for name in share.ratios))
    for name in names:
        table.add_column(broken_name(name, MACHINE_NAME_WIDTH), justify="right", no_wrap=True)
    for share in shares:
        engine = str(facts[share.machine]["engine"]["engine"])
        ratios = (_ratio(share.ratios.get(name)) for name in names)
        table.add_row(share.machine, engine, str(share.blocks), *ratios)
    return table


def growth(growths: Sequence[Growth]) -> Table:
    """Make a table of `harness scale`: rows are arms, columns are trees, then the exponent."""
    axis, scenario = growths[0].axis, growths[0].scenario
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(SCENARIOS[scenario].words, overflow="fold")
    for label in axis.trees:
        table.add_column(label, justify="right", no_wrap=True)
    table.add_column(f"exponent of {axis.words}", justify="right")
    for arm in growths:
        law = arm.law
        exponent = (
            "-" if law is None else f"{law.exponent:z.2f} ({law.low:z.2f} to {law.high:z.2f})"
        )
        table.add_row(
            arm.runner, *(seconds(arm.seconds.get(label)) for label in axis.trees), exponent
        )
    return table


def load_table(arms: Sequence[Level]) -> ArmsTable:
    """Make the table of `harness load`: a section for each figure, a row for each crowd."""
    figures: list[tuple[str, Callable[[Level], str]]] = [
        ("test events a second", lambda level: _ratio(level.throughput)),
        ("median time", lambda level: seconds(level.median)),
        ("slowest twentieth", lambda level: seconds(level.slowest)),
        ("output right", lambda level: _of(level.right)),
    ]
    if any(level.failed for level in arms):
        figures.append(("timed out or faulty", lambda level: str(level.failed)))
    names = list(dict.fromkeys(level.runner for level in arms))
    crowds = sorted({level.avatars for level in arms})
    by_name = {(level.avatars, level.runner): level for level in arms}
    sections: list[list[Line]] = []
    for words, cell in figures:
        levels = [(avatars, [by_name.get((avatars, name)) for name in names]) for avatars in crowds]
        lines: list[Line] = [
            (f"  {avatars}", ["-" if level is None else cell(level) for level in mine])
            for avatars, mine in levels
        ]
        sections.append([(words, ()), *lines])
    return ArmsTable("avatars at once", names, sections)


def phases_table(phases: Sequence[Phase]) -> Table:
    """Show the steps of one test event."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("step")
    for name in ("time", "piped in", "piped out"):
        table.add_column(name, justify="right")
    for phase in phases:
        table.add_row(
            escape(phase.step),
            seconds(phase.nanoseconds / 1e9),
            size(phase.bytes_in),
            size(phase.bytes_out),
        )
    return table


def katas(place: str, held: Mapping[str, Mapping[str, Sequence[Increment]]]) -> Table:
    """Show all katas of a place, with a row for each avatar."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=escape(place), title_justify="left")
    for name in ("kata", "avatar", "test events", "last", "last status"):
        table.add_column(name, justify="right" if name == "test events" else "left")
    for kata, avatars in held.items():
        for name, events in avatars.items():
            last = events[-1] if events else None
            table.add_row(kata, name, str(len(events)), _time(last), _status(last))
    return table


def containers(rows: Sequence[tuple[str, str, Sequence[DiskUsage]]]) -> Table:
    """Show data-containers with their katas, avatars and sizes, and the sums of all."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=len(rows) > 1)
    total = sum((usage for _, _, several in rows for usage in several), DiskUsage(0, 0, 0))
    # Names are never cut, so that they can be copied.
    longest = max((len(name) for name, _, _ in rows), default=0)
    table.add_column("data-container", footer="all together", no_wrap=True, min_width=longest)
    table.add_column(
        "katas", no_wrap=True, min_width=max((len(name) for _, name, _ in rows), default=0)
    )
    table.add_column(
        "avatars", justify="right", footer=str(sum(len(several) for _, _, several in rows))
    )
    for name, value in (
        ("visible", total.visible),
        ("extra", total.extra),
        ("history", total.history),
    ):
        table.add_column(name, justify="right", footer=size(value))
    for name, katas_name, several in rows:
        usage = sum(several, DiskUsage(0, 0, 0))
        table.add_row(
            escape(name),
            escape(katas_name),
            str(len(several)),
            *map(size, (usage.visible, usage.extra, usage.history)),
        )
    return table


def increments(avatar: str, events: Sequence[Increment]) -> Table:
    """Show the test events of one avatar."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=escape(avatar), title_justify="left")
    for name in ("tag", "time", "outcome", "exit status"):
        table.add_column(name, justify="right" if name == "tag" else "left")
    for event in events:
        table.add_row(str(event.tag), _time(event), event.outcome, _status(event))
    return table


def files(contents: Mapping[bytes, bytes]) -> Table:
    """Show visible files and their sizes."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("visible file")
    table.add_column("bytes", justify="right")
    for name, content in sorted(contents.items()):
        table.add_row(escape(shown_name(name)), str(len(content)))
    return table


def _time(event: Increment | None) -> str:
    return f"{event.time[:19].replace('T', ' ')} UTC" if event else "-"


def _status(event: Increment | None) -> str:
    return "-" if event is None or event.status is None else str(event.status)


def broken_name(name: str, width: int) -> str:
    """Break a name into several lines if one is too narrow."""
    lines = [""]
    for part in re.findall(r"[^-:,=@]+[-:,=]?|[-:,=@]", name):
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def interval_words(interval: Interval | None) -> str:
    """Return the ends of an interval for a table, in three figures."""
    if interval is None:
        return "-"
    digits = 2 if interval.high < 10 else 1 if interval.high < 100 else 0
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"


def _range(value: tuple[int, int] | None) -> str:
    if value is None:
        return "-"
    return str(value[0]) if value[0] == value[1] else f"{value[0]} to {value[1]}"


def _of(value: tuple[int, int]) -> str:
    return f"{value[0]}/{value[1]}" if value[1] else "-"
