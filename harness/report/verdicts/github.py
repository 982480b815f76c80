"""The verdict as annotations of GitHub Actions: workflow commands, a line each, on stdout."""

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
    """An annotation for each budget that is not kept, or one notice that all are."""
    found = [each for each in verdict.rulings if each.state is not VerdictState.PASSED]
    lines = [_command(each.state, each.name, each.says) for each in found]
    return "".join(lines or [_command(VerdictState.PASSED, "Performance gate", headline(verdict))])


def _command(state: VerdictState, title: str, message: str) -> str:
    return f"::{_COMMANDS[state]} title={_escape(title, ':,')}::{_escape(message)}\n"


def _escape(text: str, also: str = "") -> str:
    """As the runner of GitHub Actions takes it apart again (actions/toolkit, command.ts)."""
    text = shown(text)  # a job's log obeys a terminal's commands too
    for each in "%\n" + also:
        text = text.replace(each, f"%{ord(each):02X}")
    return text
