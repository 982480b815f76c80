"""Results in other tools' formats, read back by these tools where they can be had."""

from __future__ import annotations

import io
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from harness.inside.errors import UsageError
from harness.report.export import FORMATS, export
from tests.report.frames import RUNNERS, frame
from tests.support import one_line


def incremental(runner: str) -> list[float]:
    """What should come back of the frame."""
    made = frame()
    return list(made.loc[(made["runner"] == runner) & (made["build"] == "incremental"), "seconds"])


def test_pytest_benchmark_compares_it(tmp_path: Path) -> None:
    """`pytest-benchmark compare` reads the file, and shows each runner's median under its kind of
    build.
    """
    path = tmp_path / "0001_harness.json"
    path.write_bytes(export(frame(), "pytest-benchmark"))
    table = tmp_path / "table"
    command = [
        str(Path(sys.executable).parent / "pytest-benchmark"),
        "compare",
        str(path),
        f"--csv={table}",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert "incremental build, typical on docker 26" in said
    rows = pd.read_csv(table.with_suffix(".csv"))
    found = rows[rows["name"].str.endswith("incremental::katas-volume")]
    assert list(found["median"]) == [pytest.approx(statistics.median(incremental("katas-volume")))]
    assert list(found["rounds"]) == [6]


def test_its_statistics_are_pytest_benchmark_s_own() -> None:
    """Every field that pytest-benchmark's own Stats has is there, with the same value but for how
    quartiles are interpolated.
    """
    stats = pytest.importorskip("pytest_benchmark.stats").Stats()
    for each in incremental("tmp"):
        stats.update(each)
    exported = json.loads(export(frame(), "pytest-benchmark"))["benchmarks"]
    [ours] = [
        each["stats"]
        for each in exported
        if each["name"] == "tmp" and "incremental" in each["group"]
    ]
    theirs = stats.as_dict()
    assert set(theirs) <= set(ours)
    for each in (
        "min",
        "max",
        "mean",
        "stddev",
        "rounds",
        "median",
        "total",
        "ops",
        "stddev_outliers",
    ):
        assert ours[each] == pytest.approx(theirs[each]), each


def test_hyperfine_writes_the_same_fields(tmp_path: Path) -> None:
    """A result has the very fields that hyperfine itself writes."""
    if not shutil.which("hyperfine"):
        pytest.skip("hyperfine is not installed; on Debian: apt-get install hyperfine")
    path = tmp_path / "theirs.json"
    command = [
        "hyperfine",
        "--runs=2",
        f"--export-json={path}",
        "--parameter-list",
        "engine",
        "x",
        "true {engine}",
    ]
    subprocess.run(command, capture_output=True, check=True)
    [theirs] = json.loads(path.read_text())["results"]
    results = json.loads(export(frame(), "hyperfine"))["results"]
    assert len(results) == 2 * len(RUNNERS)
    for ours in results:
        assert theirs.keys() <= ours.keys()
        for key in theirs.keys() - {"stddev", "parameters"}:
            assert type(ours[key]) is type(theirs[key]), key
    [tmp] = [each for each in results if each["command"] == "incremental/tmp"]
    assert tmp["times"] == pytest.approx(incremental("tmp"))
    assert tmp["median"] == pytest.approx(statistics.median(incremental("tmp")))


def test_csv_is_read_back() -> None:
    """pandas reads the samples that were written, one line each."""
    made = frame()
    back = pd.read_csv(io.BytesIO(export(made, "csv")))
    assert list(back.columns) == list(made.columns)
    assert list(back["seconds"]) == pytest.approx(list(made["seconds"]))
    assert list(back["runner"]) == list(made["runner"])


def test_parquet_is_read_back_with_its_types() -> None:
    """pyarrow reads the same frame, whole numbers with gaps included."""
    pytest.importorskip("pyarrow")
    made = frame()
    back = pd.read_parquet(io.BytesIO(export(made, "parquet")))
    pd.testing.assert_frame_equal(back, made)


def test_bencher_has_latencies_in_nanoseconds() -> None:
    """Each measure has the three numbers of Bencher's metric format, in order."""
    metrics = json.loads(export(frame(), "bencher"))
    assert set(metrics) == {
        f"{build}/{runner}" for build in ("full", "incremental") for runner in RUNNERS
    }
    latency = metrics["incremental/katas-volume"]["latency"]
    assert latency["lower_value"] <= latency["value"] <= latency["upper_value"]
    assert latency["value"] == pytest.approx(statistics.median(incremental("katas-volume")) * 1e9)


def test_github_action_benchmark_has_medians_in_seconds() -> None:
    """In a list of objects with the names that the action reads, and with text but for the value."""
    entries = {
        each.pop("name"): each for each in json.loads(export(frame(), "github-action-benchmark"))
    }
    assert set(entries) == {
        f"{build}/{runner}" for build in ("full", "incremental") for runner in RUNNERS
    }
    found = entries["incremental/katas-volume"]
    assert found["value"] == pytest.approx(statistics.median(incremental("katas-volume")))
    assert found["unit"] == "s"
    assert set(found) == {"unit", "value", "range", "extra"}
    lower, upper = map(float, found["range"].split(" to "))
    assert lower <= found["value"] <= upper


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"csv", "parquet"}))
def test_without_a_completed_sample_there_is_nothing_to_export(name: str) -> None:
    """Builds that timed out are no measurements."""
    with pytest.raises(UsageError) as error:
        export(frame().assign(outcome="timed_out"), name)
    assert "nothing to export" in one_line(error.value)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(
        UsageError, match="there is no format xml; there are: pytest-benchmark, hyperfine"
    ):
        export(frame(), "xml")
