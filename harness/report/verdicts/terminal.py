"""The verdict on a terminal; it reads the same without colours."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.gate.verdict import Ruling, Verdict
from harness.measure.stats import VerdictState
from harness.report.verdicts import headline, measured_where, notes

_SIGNS = {
    VerdictState.PASSED: ("+ passed", "green"),
    VerdictState.REGRESSED: ("! regressed", "bold red"),
    VerdictState.INCONCLUSIVE: ("? inconclusive", "yellow"),
}


def render(verdict: Verdict) -> RenderableType:
    """Show the budgets under headings with what was found, then the notes, then the verdict.

    If several runners were judged, a table of their verdicts comes before the verdict on all.
    """
    return Group(*_parts(verdict))


def _parts(verdict: Verdict) -> Iterator[RenderableType]:
    if place := measured_where(verdict):
        yield Text(place, "dim")
    headings = dict.fromkeys((ruling.runner, ruling.scenario) for ruling in verdict.rulings)
    for runner, scenario in headings:
        yield Text(f"{runner}, {scenario}", "bold")
        for ruling in verdict.rulings:
            if (ruling.runner, ruling.scenario) == (runner, scenario):
                yield from _ruling(ruling)
    for line in notes(verdict):
        yield Text(f"note: {line}", "dim")
    if len(verdict.runners) > 1:
        yield _runners(verdict)
    yield Text(headline(verdict), _SIGNS[verdict.state][1])


def _runners(verdict: Verdict) -> Table:
    """Return a table with a row for each runner: its verdict, and what decided it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("runner", "verdict", "decided by"):
        table.add_column(name, overflow="fold")
    for each in verdict.runners:
        table.add_row(Text(each.runner), Text(*_SIGNS[each.state]), Text(each.says))
    return table


def _ruling(ruling: Ruling) -> Iterator[RenderableType]:
    sign, style = _SIGNS[ruling.state]
    line = Text.assemble(
        (f"{sign:<15}", style), f"{ruling.metric.replace('_', ' ')} {ruling.budget}"
    )
    yield Padding(line, (0, 0, 0, 2), expand=False)
    yield Padding(Text(ruling.says), (0, 0, 0, 17), expand=False)
