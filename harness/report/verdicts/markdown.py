"""The verdict in Markdown, for a comment or a job summary."""

from __future__ import annotations

from harness.gate.verdict import Ruling, Verdict
from harness.measure.stats import VerdictState
from harness.report.markdown import escape_markdown, table_row
from harness.report.verdicts import headline, measured_where, notes

_SIGNS = {
    VerdictState.PASSED: "✅ passed",
    VerdictState.REGRESSED: "❌ regressed",
    VerdictState.INCONCLUSIVE: "❔ inconclusive",
}


def render(verdict: Verdict) -> str:
    """Return a table with a row for each budget, and the notes below.

    If several runners were judged, a table of their verdicts comes first.
    """
    lines = [f"### Performance gate: {headline(verdict)}", ""]
    if place := measured_where(verdict):
        lines += [escape_markdown(place), ""]
    if len(verdict.runners) > 1:
        lines += ["| | runner | decided by |", "|---|---|---|"]
        lines += [table_row(_SIGNS[each.state], each.runner, each.says) for each in verdict.runners]
        lines.append("")
    lines += ["| | runner, scenario | budget | found |", "|---|---|---|---|"]
    lines += [_row(ruling) for ruling in verdict.rulings]
    if remarks := notes(verdict):
        lines += ["", *(f"- {escape_markdown(line)}" for line in remarks)]
    return "\n".join(lines) + "\n"


def _row(ruling: Ruling) -> str:
    budget = f"{ruling.metric.replace('_', ' ')} {ruling.budget}"
    return table_row(
        _SIGNS[ruling.state], f"{ruling.runner}, {ruling.scenario}", budget, ruling.says
    )
