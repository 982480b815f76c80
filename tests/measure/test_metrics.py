"""One table of metrics: columns, units, schema, budgets and reference follow from it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
from jsonschema import Draft202012Validator

import harness
from harness.measure.metrics import METRICS, RESULT_COLUMNS, RESULT_UNITS, SAMPLE_FIELDS
from harness.measure.trials.metric import Kind, Metric, metrics_of

ROOT = Path(__file__).parents[2]
RECORDINGS = sorted((ROOT / "results" / "recordings").glob("*.jsonl"))
OLD = ROOT / "tests" / "measure" / "version-1.jsonl"

NEW = """    switches: Annotated[
        int | None,
        Metric("how often processes were switched", Kind.COUNTER, shown="switches"),
    ] = None

    @property
    def build"""

PROBE = """
import json, sys, tempfile, pathlib
import harness
from harness.gate.budgets import budget
from harness.measure.metrics import METRICS, RESULT_UNITS
from harness.measure.results import ResultFile, read_result
from harness.measure.summary import summarize
from harness.measure.trials.sample import Sample
from harness.report.export import export
from harness.report.terminal import comparison

assert harness.__file__.startswith(sys.argv[1]), harness.__file__
engine = {"engine": "local", "storage driver": "none"}
facts = {"engine": engine, "tree": "t", "runners": [], "machine": "m",
         "machines": {"m": {"engine": engine}}}
path = pathlib.Path(sys.argv[1]) / "r.jsonl"
with ResultFile(path, facts) as result:
    result.add(Sample("bare-make", "full", 0, 0, "completed", 0, 1.5, None, None, None, "", None,
                      1, 1, {}, switches=7, machine="m", tree="t"))
frame = harness.load_results(path)
rows = summarize(read_result(path).samples, [])
print(json.dumps({
    "column": str(frame["switches"].dtype),
    "csv": export(frame, "csv").decode().splitlines()[0].split(","),
    "budget": str(budget("tmp", "full", "switches", "at most 9", "here")),
    "shown": [line for section in comparison(rows).sections for line in section
              if line[0] == "switches"],
    "line": path.read_text().splitlines()[1],
}))
"""


def read_lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the copy in this folder."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_schema_and_reference_are_those_of_the_table() -> None:
    """`make tables` writes them."""
    checked = run(ROOT, str(ROOT / "docs" / "tables.py"), "--check")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_metric_is_added_in_one_place(tmp_path: Path) -> None:
    """In a copy of the project, with one field more: files, columns, exports, budgets, the table
    of a comparison, the schema and both pages of the reference have it.
    """
    shutil.copytree(ROOT / "harness", tmp_path / "harness", ignore=lambda *_: ["__pycache__"])
    for name in ("docs/tables.py", "docs/reference", "results/schema.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    table = tmp_path / "harness" / "measure" / "trials" / "sample.py"
    before, after = table.read_text().split("    @property\n    def build")
    table.write_text(before + NEW + after)

    checked = run(tmp_path, str(tmp_path / "docs" / "tables.py"), "--check")
    assert checked.returncode == 1
    assert checked.stderr.count("is not current; run make tables") == 3
    assert run(tmp_path, str(tmp_path / "docs" / "tables.py")).returncode == 0
    probed = run(tmp_path, "-c", PROBE, str(tmp_path))
    assert probed.returncode == 0, probed.stderr
    found = json.loads(probed.stdout)
    assert found["column"] == "Int64"
    assert "switches" in found["csv"]
    assert found["budget"] == "tmp, full: switches at most 9"
    assert found["shown"] == [["switches", ["7"]]]
    schema = json.loads((tmp_path / "results" / "schema.json").read_text())
    Draft202012Validator(schema).validate(json.loads(found["line"]))
    assert schema["oneOf"][1]["properties"]["switches"] == {
        "type": ["integer", "null"],
        "minimum": 0,
        "description": "how often processes were switched",
    }
    for page in ("results.md", "budgets.md"):
        assert "`switches`" in (tmp_path / "docs" / "reference" / page).read_text()


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_every_line_of_a_recording_is_in_the_schema(path: Path) -> None:
    """Those that were written before the table as well: of the same fields, in the same order."""
    validator = Draft202012Validator(json.loads((ROOT / "results" / "schema.json").read_text()))
    lines = read_lines(path)
    for line in (lines[0], *lines[1:-1:50], lines[-1]):
        validator.validate(line)
    assert list(lines[1]) == ["kind", *SAMPLE_FIELDS]
    assert list(lines[0]["units"].items()) == list(RESULT_UNITS.items())  # type: ignore[attr-defined]


def test_version_1_has_the_fields_that_the_table_says() -> None:
    """Its name for a scenario apart."""
    (fields,) = {frozenset(line) for line in read_lines(OLD) if line["kind"] == "sample"}
    since = {name for name, metric in SAMPLE_FIELDS.items() if metric.since == 1}
    assert fields - {"kind", "build"} == since - {"scenario"}


@pytest.mark.parametrize("path", [OLD, RECORDINGS[0]], ids=lambda path: path.name)
def test_each_column_has_its_type(path: Path) -> None:
    """Whatever is missing in the file: a column of nothing is a column of figures too."""
    frame = harness.load_results(path)
    assert list(frame.columns) == list(RESULT_COLUMNS)
    told = {name: metric.dtype for name, metric in RESULT_COLUMNS.items() if metric.dtype}
    assert {name: str(frame[name].dtype) for name in told} == told


def test_budgets_bound_figures_and_no_facts() -> None:
    """Each phase by its own name."""
    assert {"seconds", "phase_run", "recompiled", "bytes_in", "memory"} <= set(METRICS)
    assert not {"phases", "at", "block", "status", "runner"} & set(METRICS)
    assert {metric.kind for metric in METRICS.values()} == {*Kind} - {Kind.FACT}


def test_a_field_without_a_metric_is_refused() -> None:
    """So that none is left out of the table."""

    @dataclass
    class Odd:
        told: Annotated[float | None, Metric("something", Kind.TIME, "s")]
        untold: int = 0

    with pytest.raises(TypeError, match=r"Odd\.untold has no Metric"):
        list(metrics_of(Odd))
