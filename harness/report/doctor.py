"""The view of a diagnosis on a terminal: it fits 80 columns, and reads the same without colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.engines.doctor.finding import Diagnosis, Finding, FindingState
from harness.measure.cluster.worker import WorkerReport

_SIGNS: dict[FindingState, tuple[str, str]] = {
    "good": ("+", "green"),
    "fair": ("~", "yellow"),
    "missing": ("!", "bold red"),
}


def diagnosis(found: Diagnosis) -> RenderableType:
    """A table a group: the state, the subject, and what was found, what follows and what to do below each other."""
    subjects = max(
        (len(each.subject) for group in found.groups for each in group.findings), default=0
    )
    return Group(
        *(part for group in found.groups for part in _group(group.title, group.findings, subjects))
    )


def workers(found: Mapping[str, WorkerReport]) -> RenderableType:
    """What each worker of a cluster has: its machine, its engine, and what the doctor says of it."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=len("! missing"))
    table.add_column(overflow="fold")
    for address, each in found.items():
        sign, style = _SIGNS["missing" if each.machine is None else "good"]
        table.add_row(Text(f"{sign} {'good' if each.machine else 'missing'}", style), Text(address))
        table.add_row("", _worker(each))
    return table


def _worker(report: WorkerReport) -> Text:
    facts = report.machine
    if facts is None:
        return Text(report.problem)
    engine = facts["engine"]
    text = Text(
        f"machine {facts['id']}: {engine['engine']}, storage driver {engine['storage driver']}\n"
    )
    text.append(
        f"{facts['processors']} processors, {facts['cpu']}, load {facts['load'][0]:.1f}; ", "dim"
    )
    text.append(f"kernel {facts['kernel']}; harness {report.harness}", "dim")
    text.append(f"\n{report.verdict}")
    return text


def _group(title: str, findings: tuple[Finding, ...], subjects: int) -> Iterator[RenderableType]:
    yield Text(title, style="bold")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=len("! missing"))
    table.add_column(no_wrap=True, min_width=subjects)
    table.add_column(overflow="fold")
    for each in findings:
        sign, style = _SIGNS[each.state]
        table.add_row(Text(f"{sign} {each.state}", style), Text(each.subject), _text(each))
    yield Padding(table, (0, 0, 1, 2))


def _text(finding: Finding) -> Text:
    text = Text(finding.what)
    if finding.follows:
        text.append("\n" + finding.follows, "dim")
    if finding.advice:
        text.append("\n-> " + finding.advice, "bold cyan")
    return text
