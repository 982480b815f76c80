"""The verdict in Markdown, for a comment or a job's summary."""

from __future__ import annotations

from harness.gate.verdict import Ruling, Verdict
from harness.measure.stats import VerdictState
from harness.report.verdicts import headline, measured_where, notes

_SIGNS = {
    VerdictState.PASSED: "✅ passed",
    VerdictState.REGRESSED: "❌ regressed",
    VerdictState.INCONCLUSIVE: "❔ inconclusive",
}


def render(verdict: Verdict) -> str:
    """A table with a row a budget, and the notes below."""
    lines = [f"### Performance gate: {headline(verdict)}", ""]
    if place := measured_where(verdict):
        lines += [_escape(place), ""]
    lines += ["| | runner, scenario | budget | found |", "|---|---|---|---|"]
    lines += [_row(each) for each in verdict.rulings]
    if found := notes(verdict):
        lines += ["", *(f"- {_escape(each)}" for each in found)]
    return "\n".join(lines) + "\n"


def _row(ruling: Ruling) -> str:
    budget = f"{ruling.metric.replace('_', ' ')} {ruling.budget}"
    cells = (_SIGNS[ruling.state], f"{ruling.runner}, {ruling.scenario}", budget, ruling.says)
    return f"| {' | '.join(_escape(each) for each in cells)} |"


def _escape(text: str) -> str:
    """So that it is shown as it is, and stays in its cell."""
    for each in "\\`*_[]<>|#":
        text = text.replace(each, f"\\{each}")
    return " ".join(text.split())
