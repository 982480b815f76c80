"""The result file: written as it comes, read back tidy, refused with the place when it is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import harness
from harness.errors import UsageError
from harness.results import ResultFile
from harness.trials.sample import Sample

FACTS = {"engine": {"engine": "local", "storage driver": "none"}, "tree": "typical"}


def sample(runner: str = "tmp", **changes: object) -> Sample:
    fields: dict[str, object] = {
        "runner": runner,
        "build": "full",
        "block": 0,
        "place": 1,
        "outcome": "completed",
        "status": 0,
        "seconds": 1.5,
        "recompiled": 24,
        "mtimes_kept": None,
        "mtimes_changed": None,
        "answer": "answer: 1",
        "right": True,
        "bytes_in": 10,
        "bytes_out": 0,
        "phases": {"run": 1.25},
    }
    return Sample(**(fields | changes))  # type: ignore[arg-type]


def test_a_result_comes_back_as_a_tidy_frame(tmp_path: Path) -> None:
    """One row a sample, the floor included, with one column a phase."""
    with ResultFile(tmp_path / "r.jsonl", FACTS) as result:
        result.add(sample("bare-make"))
        result.add(sample("tmp", build="incremental", mtimes_kept=3, mtimes_changed=118))
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
    with pytest.raises(UsageError, match="exists already"):
        ResultFile(tmp_path / "r.jsonl", FACTS)
    assert (tmp_path / "r.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "its first line is not the start"),
        ("hello\n", ":1: this is no line of a result file"),
        ('{"kind": "sample"}\n', "its first line is not the start"),
        ('{"kind": "start", "schema": 99}\n', "version 99"),
        (
            '{"kind": "start", "schema": 1}\n{"kind": "sam\n{"kind": "end"}\n',
            ":2: this is no line of a result file",
        ),
        (json.dumps({"kind": "start", "schema": 1, **FACTS}) + "\n", "there is no sample in it"),
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
