"""The verdict as annotations of GitHub Actions: workflow commands on stdout, one in each line."""

from __future__ import annotations

from harness.gate.verdict import Verdict
from harness.measure.stats import VerdictState
from harness.report.plain import shown
from harness.report.verdicts import headline

_COMMANDS = {
    VerdictState.PASSED: "notice",
    VerdictState.REGRESSED: "error",
    VerdictState.INCONCLUSIVE: "warning",
}


def render(verdict: Verdict) -> str:
    """Return an annotation for each budget that is not passed, or one notice if all are."""
    rulings = [ruling for ruling in verdict.rulings if ruling.state is not VerdictState.PASSED]
    lines = [_command(ruling.state, ruling.name, ruling.says) for ruling in rulings]
    return "".join(lines or [_command(VerdictState.PASSED, "Performance gate", headline(verdict))])


def _command(state: VerdictState, title: str, message: str) -> str:
    return f"::{_COMMANDS[state]} title={_escape(title, ':,')}::{_escape(message)}\n"


def _escape(text: str, also: str = "") -> str:
    """Escape text as GitHub Actions expects it (actions/toolkit, command.ts)."""
    text = shown(text)  # a job's log obeys terminal commands too
    for letter in "%\n" + also:
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text
