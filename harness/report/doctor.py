"""A diagnosis on a terminal; it fits 80 columns and reads the same without colours."""

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


def diagnosis(machine: Diagnosis) -> RenderableType:
    """Show a table for each group: state, subject, what was found, what follows, what to do."""
    subjects = max(
        (len(finding.subject) for group in machine.groups for finding in group.findings), default=0
    )
    return Group(
        *(
            part
            for group in machine.groups
            for part in _group(group.title, group.findings, subjects)
        )
    )


def workers(reports: Mapping[str, WorkerReport]) -> RenderableType:
    """Show each worker of a cluster with its machine, its engine and the doctor's verdict."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=len("! missing"))
    table.add_column(overflow="fold")
    for address, report in reports.items():
        sign, style = _SIGNS["missing" if report.machine is None else "good"]
        table.add_row(
            Text(f"{sign} {'good' if report.machine else 'missing'}", style), Text(address)
        )
        table.add_row("", _worker(report))
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
    for finding in findings:
        sign, style = _SIGNS[finding.state]
        table.add_row(Text(f"{sign} {finding.state}", style), Text(finding.subject), _text(finding))
    yield Padding(table, (0, 0, 1, 2))


def _text(finding: Finding) -> Text:
    text = Text(finding.what)
    if finding.follows:
        text.append("\n" + finding.follows, "dim")
    if finding.advice:
        text.append("\n-> " + finding.advice, "bold cyan")
    return text
