"""Write what the table of metrics determines, by `make tables`: results/schema.json, and the tables
of columns and metrics in the reference. With --check, only say what is not current.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from harness.measure.metrics import METRICS, RESULT_COLUMNS, SAMPLE_FIELDS
from harness.measure.trials.metric import Kind, Metric
from harness.measure.trials.scenario import SCENARIOS

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "results" / "schema.json"
RESULTS, BUDGETS = (ROOT / "docs" / "reference" / name for name in ("results.md", "budgets.md"))

BOUNDED = {
    Kind.TIME: "only compared, by ratios within blocks with an interval: a time alone says more "
    "about the machine than about the runner",
    Kind.COUNTER: "by a number, or compared: they carry no noise, and every single sample must "
    "keep to the bound",
    Kind.MEMORY: "by a number, as the counters above, or compared with an interval, as times are",
}
"""How a budget may bound the metrics of each kind."""

TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object"}
"""What JSON Schema calls the type of a field."""

WORDS = {str: "text", int: "whole number", float: "number", bool: "yes or no"}
"""What the reference calls it."""


def with_samples(schema: str) -> str:
    """Return the schema with the fields of samples as they are now; all else stays."""
    made = json.loads(schema)
    made["$defs"]["scenario"] = {"enum": list(SCENARIOS)}
    sample = next(
        each for each in made["oneOf"] if each["properties"]["kind"] == {"const": "sample"}
    )
    sample["properties"] = {
        "kind": {"const": "sample"},
        **{name: _property(metric) for name, metric in SAMPLE_FIELDS.items()},
    }
    sample["required"] = [
        "kind",
        *(name for name, metric in SAMPLE_FIELDS.items() if metric.required or not metric.missing),
    ]
    return json.dumps(made, indent=1) + "\n"


def _property(metric: Metric) -> dict[str, Any]:
    unit = {"": "", "s": "; seconds", "B": "; bytes"}[metric.unit]
    told = {"description": re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", metric.meaning) + unit}
    least = {} if metric.least is None else {"minimum": metric.least}
    if metric.type is dict:
        keys = {"propertyNames": {"enum": list(metric.values)}}
        figures = {"additionalProperties": {"type": "number", **least}}
        return {"type": "object", **keys, **figures, **told}
    if metric.values:
        return {"enum": list(metric.values), **told}
    type_ = TYPES[metric.type]
    bounds = least if metric.type in (int, float) else {}
    return {"type": [type_, "null"] if metric.missing else type_, **bounds, **told}


def columns_table() -> list[str]:
    """Return a row for each column of a frame; those of one field share a row."""
    rows = ["| column | unit | what it may be | what it is |", "|---|---|---|---|"]
    alike = groupby(
        RESULT_COLUMNS.values(),
        key=lambda metric: f"{metric.unit} | {_may_be(metric)} | {metric.meaning}",
    )
    return rows + [f"| {_names(those)} | {words} |" for words, those in alike]


def _names(metrics: Iterable[Metric]) -> str:
    return ", ".join(f"`{metric.name}`" for metric in metrics)


def _may_be(metric: Metric) -> str:
    words = ", ".join(f"`{value}`" for value in metric.values) or WORDS[metric.type]
    if metric.type in (int, float) and metric.least != 0:
        words += ", also negative" if metric.least is None else f", at least {metric.least}"
    since = "" if metric.since == 1 else f"; since version {metric.since}"
    return words + (", or unknown" if metric.missing else "") + since


def metrics_table() -> list[str]:
    """Return a row for the metrics of each kind and unit."""
    rows = ["| metric | unit | how it may be bounded |", "|---|---|---|"]
    kinds = groupby(
        sorted(METRICS.values(), key=lambda metric: (list(Kind).index(metric.kind), metric.unit)),
        key=lambda metric: (metric.kind, metric.unit),
    )
    return rows + [
        f"| {_names(those)} | {unit} | {BOUNDED[kind]} |" for (kind, unit), those in kinds
    ]


def with_table(page: str, rows: list[str]) -> str:
    """Return the page with these rows between its marks."""
    begin, end = "<!-- made by make tables -->\n\n", "\n\n<!-- as far as here -->"
    head, rest = page.split(begin)
    _, tail = rest.split(end)
    return head + begin + "\n".join(rows) + end + tail


def derived() -> dict[Path, str]:
    """Return the files with the content that they should have."""
    return {
        SCHEMA: with_samples(SCHEMA.read_text()),
        RESULTS: with_table(RESULTS.read_text(), columns_table()),
        BUDGETS: with_table(BUDGETS.read_text(), metrics_table()),
    }


def main() -> int:
    old = {path: text for path, text in derived().items() if path.read_text() != text}
    for path, text in old.items():
        if sys.argv[1:] == ["--check"]:
            print(f"{path.relative_to(ROOT)} is not current; run make tables", file=sys.stderr)
        else:
            path.write_text(text)
            print(f"wrote {path.relative_to(ROOT)}")
    return int(bool(old) and sys.argv[1:] == ["--check"])


if __name__ == "__main__":
    sys.exit(main())
