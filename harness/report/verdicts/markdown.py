"""The verdict in Markdown, for a comment or a job summary."""

from __future__ import annotations

from harness.gate.verdict import Ruling, Verdict
from harness.measure.stats import VerdictState
from harness.report.markdown import escape_markdown, table_row
from harness.report.verdicts import headline, measured_where, notes

SIGNS = {
    VerdictState.PASSED: "✅ passed",
    VerdictState.REGRESSED: "❌ regressed",
    VerdictState.INCONCLUSIVE: "❔ inconclusive",
}
"""The words for each state, with a sign that is seen at a glance."""


def render(verdict: Verdict) -> str:
    """Return a table with a row for each budget, and the notes below.

    If several runners were judged, a table of their verdicts comes first.
    """
    lines = [f"### Performance gate: {headline(verdict)}", ""]
    if len(verdict.runners) > 1:
        lines += [*runner_rows(verdict), ""]
    return "\n".join(lines) + "\n" + budget_table(verdict)


def budget_table(verdict: Verdict) -> str:
    """Return where it was measured, a table with a row for each budget, and the notes below."""
    lines = []
    if place := measured_where(verdict):
        lines += [escape_markdown(place), ""]
    lines += ["| | runner, scenario | budget | found |", "|---|---|---|---|"]
    lines += [_row(ruling) for ruling in verdict.rulings]
    if remarks := notes(verdict):
        lines += ["", *(f"- {escape_markdown(line)}" for line in remarks)]
    return "\n".join(lines) + "\n"


def runner_rows(verdict: Verdict) -> list[str]:
    """Return the lines of a table with a row for each runner: its verdict, and what decided it."""
    return [
        "| | runner | decided by |",
        "|---|---|---|",
        *(table_row(SIGNS[each.state], each.runner, each.says) for each in verdict.runners),
    ]


def _row(ruling: Ruling) -> str:
    budget = f"{ruling.metric.replace('_', ' ')} {ruling.budget}"
    return table_row(
        SIGNS[ruling.state], f"{ruling.runner}, {ruling.scenario}", budget, ruling.says
    )
