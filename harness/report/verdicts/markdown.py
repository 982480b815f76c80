"""The verdict in Markdown, for a comment or a job summary."""

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
    """Return a table with a row for each budget, and the notes below.

    If several runners were judged, a table of their verdicts comes first.
    """
    lines = [f"### Performance gate: {headline(verdict)}", ""]
    if place := measured_where(verdict):
        lines += [_escape(place), ""]
    if len(verdict.runners) > 1:
        lines += ["| | runner | decided by |", "|---|---|---|"]
        lines += [_cells(_SIGNS[each.state], each.runner, each.says) for each in verdict.runners]
        lines.append("")
    lines += ["| | runner, scenario | budget | found |", "|---|---|---|---|"]
    lines += [_row(ruling) for ruling in verdict.rulings]
    if remarks := notes(verdict):
        lines += ["", *(f"- {_escape(line)}" for line in remarks)]
    return "\n".join(lines) + "\n"


def _row(ruling: Ruling) -> str:
    budget = f"{ruling.metric.replace('_', ' ')} {ruling.budget}"
    return _cells(_SIGNS[ruling.state], f"{ruling.runner}, {ruling.scenario}", budget, ruling.says)


def _cells(*cells: str) -> str:
    return f"| {' | '.join(_escape(cell) for cell in cells)} |"


def _escape(text: str) -> str:
    """Escape text so that it shows unchanged and stays in its cell."""
    for letter in "\\`*_[]<>|#":
        text = text.replace(letter, f"\\{letter}")
    return " ".join(text.split())
