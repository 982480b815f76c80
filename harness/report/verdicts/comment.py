"""The verdict as a comment on a pull request that a CI script finds again and replaces.

Its first line is a marker that nobody sees. The marker depends only on the tree and the kind of
engine, so the gates of one pull request on several engines have a comment each.
"""

from __future__ import annotations

import re

from harness.gate.verdict import Verdict
from harness.report.verdicts import markdown

MOST = 65_536
"""GitHub refuses a longer comment; in characters."""

TOO_LONG = "The table of all budgets is too long for a comment; --markdown FILE has it.\n"


def comment_marker(verdict: Verdict) -> str:
    """Return the first line: an HTML comment that is the same for each run of this gate."""
    tree = str(verdict.facts.get("tree", ""))
    engine = re.split(r"[ ,]", str(verdict.facts.get("engine", {}).get("engine", "")))[0]
    # Letters and digits alone, so that no name can end the HTML comment.
    return f"<!-- harness gate: {_plain(tree)} on {_plain(engine)} -->"


def render(verdict: Verdict) -> str:
    """Return the marker, the verdict on each runner, and all else folded away."""
    lines = [
        comment_marker(verdict),
        f"### {markdown.SIGNS[verdict.state]}: performance gate",
        "",
        *markdown.runner_rows(verdict),
        "",
    ]
    short = "\n".join(lines)
    details = "\n".join(
        [
            "<details><summary>All budgets</summary>",
            "",
            markdown.budget_table(verdict),
            "</details>",
            "",
        ]
    )
    if len(short) + len(details) < MOST:
        return f"{short}\n{details}"
    if len(short) + len(TOO_LONG) < MOST:
        return f"{short}\n{TOO_LONG}"
    return "\n".join([*lines[:3], TOO_LONG])


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text)[:60].strip("-") or "unknown"
