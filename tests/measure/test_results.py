"""The result file: written as it comes, read back tidy, refused with the place when it is
damaged.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

import harness
from harness import runners
from harness.engines.local.engine import LocalEngine
from harness.inside.errors import UsageError
from harness.measure.compare import Comparison, compare
from harness.measure.results import ResultFile, read_result
from harness.measure.summary import summarize
from harness.measure.trees import TypicalTree
from harness.measure.trials import BlockPlan
from harness.runners.base import COMMAND
from tests import ROOT
from tests.measure.samples import sample

ENGINE = {"engine": "local", "storage driver": "none", "kernel": "6.18"}
FACTS = {
    "engine": ENGINE,
    "tree": "typical",
    "runners": ["tmp"],
    "machine": "one",
    "machines": {"one": {"engine": ENGINE}},
}
RECORDING = Path(__file__).with_name("version-1.jsonl")
SCHEMA_FILE = ROOT / "results" / "schema.json"
START = json.dumps({"kind": "start", "schema": 2, **FACTS}) + "\n"
SAMPLE = json.dumps({"kind": "sample", **asdict(sample())}) + "\n"
WITHOUT_SECONDS = SAMPLE.replace("seconds", "minutes")


def test_a_result_comes_back_as_a_tidy_frame(tmp_path: Path) -> None:
    """One row a sample, the floor included, with one column a phase."""
    with ResultFile(tmp_path / "r.jsonl", FACTS) as result:
        result.add(sample("bare-make"))
        result.add(sample("tmp", scenario="incremental", mtimes_kept=3, mtimes_changed=118))
    frame = harness.load_results(tmp_path / "r.jsonl")
    wanted = [
        "runner",
        "engine",
        "build",
        "block",
        "seconds",
        "recompiled",
        "mtimes_changed",
        "bytes_in",
        "bytes_out",
    ]
    assert set(wanted) <= set(frame.columns)
    assert list(frame["runner"]) == ["bare-make", "tmp"]
    assert frame["mtimes_changed"].isna().tolist() == [True, False]
    assert frame["phase_run"].tolist() == [1.25, 1.25]
    assert frame["phase_commit"].isna().all()
    assert frame["complete"].all()


def test_every_line_that_is_written_is_in_the_schema(tmp_path: Path) -> None:
    """A real comparison's, the facts of the machine included; and the schema says no to a line with
    a typing error.
    """
    validate = Draft202012Validator(json.loads(SCHEMA_FILE.read_text())).validate
    with closing(LocalEngine(tmp_path / "home")) as engine:
        comparison = Comparison(
            TypicalTree("cost=0.01"),
            [runners.parse_variant("tmp")],
            engine,
            None,
            COMMAND,
            60,
            BlockPlan(0, 1),
            1,
        )
        with ResultFile(tmp_path / "r.jsonl", comparison.facts()) as result:
            for each in compare(comparison):
                result.add(each)
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["start", *["sample"] * 4, "end"]
    for line in lines:
        validate(line)
    with pytest.raises(ValidationError):
        validate({**lines[1], "second": 1})
    assert lines[0]["machine"] in lines[0]["machines"]
    assert {line["machine"] for line in lines[1:-1]} == {lines[0]["machine"]}


def test_a_recording_of_version_1_is_read() -> None:
    """As a newer harness would have written it: its builds are scenarios; what it did not count is
    not there.
    """
    frame = harness.load_results(RECORDING)
    assert frame["complete"].all()
    assert set(frame["scenario"]) == {"full", "incremental"}
    assert (frame["scenario"] == frame["build"]).all()
    assert set(frame["machine"]) == {"some-host"}
    assert set(frame["engine"]) == {"local, bubblewrap"}
    assert set(frame["avatars"]) == {1}
    assert frame["processor_seconds"].isna().all()
    assert frame["memory"].isna().all()
    recording = read_result(RECORDING)
    assert [
        row.seconds["incremental"]
        for row in summarize(recording.samples, recording.facts["runners"])
    ]


def test_several_results_make_one_frame(tmp_path: Path) -> None:
    """Each row knows the file that it came from."""
    for name in ("a", "b"):
        with ResultFile(tmp_path / name, FACTS) as result:
            result.add(sample())
    frame = harness.load_results(tmp_path / "a", tmp_path / "b")
    assert list(frame["file"]) == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_a_killed_run_leaves_a_file_that_says_so(tmp_path: Path) -> None:
    """Even if it was killed in the middle of a line."""
    path = tmp_path / "r.jsonl"
    result = ResultFile(path, FACTS)
    result.add(sample())
    result.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    path.write_text(path.read_text() + '{"kind": "sam')
    frame = harness.load_results(path)
    assert len(frame) == 1
    assert not frame["complete"].any()


def test_a_result_is_never_written_over(tmp_path: Path) -> None:
    """A figure that was measured is not lost by measuring again."""
    (tmp_path / "r.jsonl").write_text("mine")
    with pytest.raises(UsageError, match="already exists"):
        ResultFile(tmp_path / "r.jsonl", FACTS)
    assert (tmp_path / "r.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "its first line is not the start"),
        ("hello\n", ":1: this is not a line of a result file"),
        ('{"kind": "sample"}\n', "its first line is not the start"),
        ("[1]\n", ":1: this is not a line of a result file$"),
        ('{\n "findings": []\n}\n', "give a file of harness verify with --proofs"),
        ('{"kind": "start", "schema": 99}\n', "version 99; this harness reads 1 and 2"),
        ('{"kind": "start", "schema": 2}\n', ":1: the start of the run has no engine"),
        (START, "has no samples"),
        (START + '{"kind": "sam\n{"kind": "end"}\n', ":2: this is not a line of a result file"),
        (START + '{"kind": "sam\n', ":2: this is not a line of a result file"),
        (START + '{"kind": "other"}\n', ":2: this is not a line of a result file"),
        (START + '{"kind": "sample", "runner": "tmp"}\n', ":2: this sample has no scenario"),
        (START + SAMPLE + WITHOUT_SECONDS, ":3: this sample has no seconds"),
        (
            START + SAMPLE.replace("1.5", '"long"'),
            ':2: the seconds of this sample cannot be "long"',
        ),
        (START + SAMPLE.replace("1.5", "-1"), ":2: the seconds of this sample cannot be -1"),
        (START + SAMPLE.replace("1.5", "NaN"), ":2: the seconds of this sample cannot be NaN"),
        (START + SAMPLE.replace("1.5", "0"), ":2: a test event cannot take 0 seconds"),
        (
            START + SAMPLE.replace('"full"', '"odd"'),
            ':2: the scenario of this sample cannot be "odd"',
        ),
        (START + SAMPLE + '{"kind": "end", "samples": 2}\n', "has only 1 of the 2 samples"),
        (
            START + SAMPLE + '{"kind": "end", "samples": 1}\n' + SAMPLE,
            ":4: there is more after the end",
        ),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    """In one line that names the file."""
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        harness.load_results(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_none_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        harness.load_results(tmp_path / "none")
    with pytest.raises(UsageError, match="at least one"):
        harness.load_results()
