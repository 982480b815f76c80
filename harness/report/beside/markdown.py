"""Two results side by side in Markdown, for a pull request or a page."""

from __future__ import annotations

from harness.gate.beside import Beside, MovedFigure
from harness.report.beside import (
    ALIKE,
    DIFFERENT,
    HOW_TO_READ,
    INTERVAL,
    NAMES,
    change_words,
    ends_words,
    measured_by,
    median_words,
    range_words,
    subject_of,
    unlike_warning,
)
from harness.report.markdown import escape_markdown, table_row


def render(beside: Beside) -> str:
    """Return the same as on a terminal, in the same order."""
    lines = ["### Two results side by side", ""]
    lines += [
        f"- {escape_markdown(measured_by(name, recording))}"
        for name, recording in zip(NAMES, beside.results, strict=True)
    ]
    lines += ["", table_row("", "runner", *NAMES, "B to A", INTERVAL, "")]
    lines += ["|---|---|---:|---:|---:|---:|---|", *map(_row, beside.moved), ""]
    if beside.counted:
        lines += [table_row("counters that differ", *NAMES), "|---|---:|---:|"]
        lines += [
            table_row(
                f"{each.runner}, {each.scenario}: {each.metric.replace('_', ' ')}",
                *(range_words(each, side) for side in (0, 1)),
            )
            for each in beside.counted
        ]
        lines.append("")
    lines += [HOW_TO_READ, ""]
    if not beside.differences:
        return "\n".join([*lines, ALIKE]) + "\n"
    lines += [DIFFERENT, "", table_row("", *NAMES), "|---|---|---|"]
    lines += [table_row(each.fact, *each.values) for each in beside.differences]
    if words := unlike_warning(beside):
        lines += ["", f"**{escape_markdown(words)}**"]
    return "\n".join(lines) + "\n"


def _row(row: MovedFigure) -> str:
    return table_row(
        subject_of(row),
        row.runner,
        *(median_words(row, side) for side in (0, 1)),
        change_words(row.change),
        ends_words(row.change),
        row.says,
    )
