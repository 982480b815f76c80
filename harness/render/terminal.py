"""Tables for the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from harness.katas.store import Increment, Usage
from harness.runners.run import PHASE_WORDS, Phase
from harness.scale import Growth
from harness.summary import Row, Share
from harness.trials.crowd import Level
from harness.trials.scenario import FULL, INCREMENTAL, SCENARIOS
from harness.units import seconds, size

NAME_WIDTH, NAMES_WIDTH = 20, 52
"""Characters of the longest name of the notes' runners, four of which fit, and of more names together."""


def comparison(rows: Sequence[Row], about: str = INCREMENTAL) -> Table:
    """The table of `harness compare`: a column an arm, so that it fits a terminal of 80. What is given for one
    scenario alone is `about` this one.
    """
    extended = any(row.seconds.keys() - {FULL, INCREMENTAL} for row in rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_column(_heading(row.runner, _width(len(rows))), justify="right", no_wrap=True)
    played = [each for each in SCENARIOS if any(each in row.seconds for row in rows)]
    others = [each for each in played if each != about]
    moments = any(row.answered is not None for row in rows)  # an older recording knows one alone
    for name in played:
        table.add_row(SCENARIOS[name].words, *(seconds(row.seconds.get(name)) for row in rows))
        if name == about and moments:
            table.add_row("  output in hand", *(seconds(row.answered) for row in rows))
    table.add_row("ratio to bare make", *(_ratio(row.ratios.get(about)) for row in rows))
    if moments:
        table.add_row("  output in hand", *(_ratio(row.answered_ratio) for row in rows))
    for name in others if extended else ():
        table.add_row(f"  {name}", *(_ratio(row.ratios.get(name)) for row in rows))
    table.add_row("files recompiled", *(_range(row.recompiled.get(about)) for row in rows))
    for name in others if extended else ():
        if any(name in row.recompiled for row in rows):
            table.add_row(f"  {name}", *(_range(row.recompiled.get(name)) for row in rows))
    lines: list[tuple[str, Callable[[Row], str]]] = [
        ("output right", lambda row: _of(row.right)),
        ("mtimes kept (1 ns)", lambda row: _of(row.kept)),
        ("piped in", lambda row: size(row.bytes_in)),
        ("piped out", lambda row: size(row.bytes_out)),
        ("disk growth", lambda row: size(row.grown)),
    ]
    for name, cell in lines:
        table.add_row(name, *(cell(row) for row in rows))
    for name, field in (("timed out", "timed_out"), ("faulty", "faulty")):
        if any(getattr(row, field) for row in rows):
            table.add_row(name, *(str(getattr(row, field)) for row in rows))
    table.add_section()
    table.add_row("of this, spent on")
    for kind in (each for each in PHASE_WORDS if any(each in row.phases for row in rows)):
        table.add_row(f"  {PHASE_WORDS[kind]}", *(seconds(row.phases.get(kind)) for row in rows))
    table.add_section()
    table.add_row("processor time", *(seconds(row.processor_seconds) for row in rows))
    table.add_row("  of the harness", *(seconds(row.harness_seconds) for row in rows))
    if any(row.memory is not None for row in rows):
        table.add_row("memory at most", *(size(row.memory) for row in rows))
    return table


def machines(found: Sequence[Share], facts: Mapping[str, Mapping[str, Any]]) -> Table:
    """What each machine of several contributed: a row a machine, with its ratios to bare make."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("machine", "engine"):
        table.add_column(name)
    table.add_column("blocks", justify="right")
    names = list(dict.fromkeys(name for each in found for name in each.ratios))
    for name in names:
        table.add_column(_heading(name, NAMES_WIDTH // 4), justify="right", no_wrap=True)
    for each in found:
        engine = str(facts[each.machine]["engine"]["engine"])
        ratios = (_ratio(each.ratios.get(name)) for name in names)
        table.add_row(each.machine, engine, str(each.blocks), *ratios)
    return table


def growth(found: Sequence[Growth]) -> Table:
    """A table of `harness scale`: a row an arm, a column a tree, and the exponent with its interval behind them."""
    axis, scenario = found[0].axis, found[0].scenario
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(SCENARIOS[scenario].words, overflow="fold")
    for label in axis.trees:
        table.add_column(label, justify="right", no_wrap=True)
    table.add_column(f"exponent, of {axis.words}", justify="right")
    for each in found:
        law = each.law
        exponent = "-" if law is None else f"{law.exponent:.2f} ({law.low:.2f} to {law.high:.2f})"
        table.add_row(each.runner, *(seconds(each.seconds.get(label)) for label in axis.trees), exponent)
    return table


def load(found: Sequence[Level]) -> Table:
    """The table of `harness load`: a column an arm, and a section a figure with a row for each crowd."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("avatars at once", no_wrap=True)
    names = list(dict.fromkeys(each.runner for each in found))
    for name in names:
        table.add_column(_heading(name, _width(len(names))), justify="right", no_wrap=True)
    figures: list[tuple[str, Callable[[Level], str]]] = [
        ("test events a second", lambda level: _ratio(level.throughput)),
        ("seconds, median", lambda level: seconds(level.median)),
        ("seconds, slowest twentieth", lambda level: seconds(level.slowest)),
        ("output right", lambda level: _of(level.right)),
    ]
    if any(each.failed for each in found):
        figures.append(("timed out or faulty", lambda level: str(level.failed)))
    by_name = {(each.avatars, each.runner): each for each in found}
    for words, cell in figures:
        table.add_section()
        table.add_row(words)
        for avatars in sorted({each.avatars for each in found}):
            levels = (by_name.get((avatars, name)) for name in names)
            table.add_row(f"  {avatars}", *("-" if level is None else cell(level) for level in levels))
    return table


def phases(found: Sequence[Phase]) -> Table:
    """The steps of one test event."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("step")
    for name in ("time", "piped in", "piped out"):
        table.add_column(name, justify="right")
    for each in found:
        table.add_row(
            escape(each.step), seconds(each.nanoseconds / 1e9), size(each.bytes_in), size(each.bytes_out)
        )
    return table


def katas(place: str, found: Mapping[str, Mapping[str, Sequence[Increment]]]) -> Table:
    """All katas of a place: a row an avatar."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=escape(place), title_justify="left")
    for name in ("kata", "avatar", "test events", "last", "last status"):
        table.add_column(name, justify="right" if name == "test events" else "left")
    for kata, avatars in found.items():
        for name, events in avatars.items():
            last = events[-1] if events else None
            table.add_row(kata, name, str(len(events)), _time(last), _status(last))
    return table


def containers(found: Sequence[tuple[str, str, Sequence[Usage]]]) -> Table:
    """Data-containers, each with the katas that it is a part of and what its avatars take: a row each, and their sum."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=len(found) > 1)
    total = sum((each for _, _, several in found for each in several), Usage(0, 0, 0))
    longest = max((len(name) for name, _, _ in found), default=0)  # to be typed again: never cut
    table.add_column("data-container", footer="all together", no_wrap=True, min_width=longest)
    table.add_column("katas", no_wrap=True, min_width=max((len(each) for _, each, _ in found), default=0))
    table.add_column("avatars", justify="right", footer=str(sum(len(several) for _, _, several in found)))
    for name, value in (("visible", total.visible), ("extra", total.extra), ("history", total.history)):
        table.add_column(name, justify="right", footer=size(value))
    for name, katas_name, several in found:
        each = sum(several, Usage(0, 0, 0))
        table.add_row(
            escape(name),
            escape(katas_name),
            str(len(several)),
            *map(size, (each.visible, each.extra, each.history)),
        )
    return table


def increments(avatar: str, found: Sequence[Increment]) -> Table:
    """The test events of one avatar."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=escape(avatar), title_justify="left")
    for name in ("tag", "time", "outcome", "exit status"):
        table.add_column(name, justify="right" if name == "tag" else "left")
    for each in found:
        table.add_row(str(each.tag), _time(each), each.outcome, _status(each))
    return table


def files(found: Mapping[bytes, bytes]) -> Table:
    """Visible files and their sizes."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("visible file")
    table.add_column("bytes", justify="right")
    for name, content in sorted(found.items()):
        table.add_row(escape(name.decode(errors="backslashreplace")), str(len(content)))
    return table


def _time(event: Increment | None) -> str:
    return f"{event.time[:19].replace('T', ' ')} UTC" if event else "-"


def _status(event: Increment | None) -> str:
    return "-" if event is None or event.status is None else str(event.status)


def _width(names: int) -> int:
    """Characters that there are for each of so many names."""
    return NAME_WIDTH if names <= 4 else NAMES_WIDTH // (names - 1)


def _heading(name: str, width: int) -> str:
    """The name over several lines, where there is no room for it in one."""
    lines = [""]
    for part in re.findall(r"[^-:,]+[-:,]?|[-:,]", name):
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _range(value: tuple[int, int] | None) -> str:
    if value is None:
        return "-"
    return str(value[0]) if value[0] == value[1] else f"{value[0]} to {value[1]}"


def _of(value: tuple[int, int]) -> str:
    return f"{value[0]}/{value[1]}" if value[1] else "-"
