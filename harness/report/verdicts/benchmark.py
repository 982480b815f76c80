"""The verdict in the format of github-action-benchmark, which draws a chart of each figure.

Its tool `customSmallerIsBetter` reads a list of objects with a name, a unit and a value, and with a
range and more words where there are any. A name is the same for every run of a gate, also after a
budget was changed, since it is the name of a series.
"""

from __future__ import annotations

import json
import math
from typing import Any

from harness.gate.budgets import GRAMMAR, Sense
from harness.gate.verdict import Ruling, Verdict
from harness.measure.metrics import METRICS
from harness.report.verdicts import measured_where


def render(verdict: Verdict) -> str:
    """Return an entry for each figure that a budget bounds from above.

    A figure that must be at least so much is left out: there, smaller is not better.
    """
    where = measured_where(verdict)
    entries: dict[str, dict[str, Any]] = {}
    for ruling in verdict.rulings:
        words = GRAMMAR.fullmatch(ruling.budget)
        if ruling.figure is None or (words and words["sense"] == Sense.AT_LEAST):
            continue
        name, unit = _series(ruling, words["than"] if words else None)
        entry: dict[str, Any] = {"name": name, "unit": unit, "value": float(ruling.figure)}
        if ruling.interval and math.isfinite(ruling.interval.high):
            entry["range"] = f"{ruling.interval.low:.3g} to {ruling.interval.high:.3g}"
        entry["extra"] = "\n".join(
            filter(None, [f"{ruling.state}: {ruling.budget}", ruling.says, where])
        )
        entries.setdefault(name, entry)
    return json.dumps(list(entries.values()), indent=1) + "\n"


def _series(ruling: Ruling, than: str | None) -> tuple[str, str]:
    """Return the name of the series and its unit."""
    subject = f"{ruling.runner}, {ruling.scenario}"
    metric = ruling.metric.replace("_", " ")
    if ruling.metric not in METRICS:
        return f"{subject}: failed {metric}", "count"
    if ruling.interval:
        return f"{subject}: {metric}, ratio to {than}", "times"
    return f"{subject}: {metric}", METRICS[ruling.metric].unit or "count"
