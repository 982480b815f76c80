"""Baselines: kept under a name, found again, and never replaced in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.inside.errors import UsageError
from harness.measure.baselines import BASELINES, baseline_path, find_baseline, save_baseline
from harness.measure.results import ResultFile, read_result
from tests.gate.figures import PIPE, blocks
from tests.support import one_line

FACTS = {
    "engine": {"engine": "local", "storage driver": "none"},
    "tree": "typical",
    "machine": "0",
    "machines": {},
    "runners": [PIPE],
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def result(name: str, created: str = "2016-11-01T12:00:00+00:00", *, whole: bool = True) -> Path:
    """A recorded result in the current folder."""
    path = Path(name)
    with ResultFile(path, {**FACTS, "created": created}) as file:
        for each in blocks({PIPE: 5.0}, 2):
            file.add(each)
    if not whole:
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    return path


def test_a_baseline_is_found_by_its_name() -> None:
    """It is a copy, and goes on when the result goes."""
    kept = result("a.jsonl")
    before = kept.read_bytes()
    assert save_baseline("main", kept) == "saved as baseline main: results/baselines/main.jsonl"
    kept.unlink()
    assert find_baseline("main").read_bytes() == before
    assert [each.name for each in BASELINES.iterdir()] == ["main.jsonl"]


def test_a_baseline_is_never_replaced_in_silence() -> None:
    """The line says what was there before."""
    save_baseline("main", result("a.jsonl"))
    said = save_baseline("main", result("b.jsonl", "2026-11-01T12:00:00+00:00"))
    assert said.startswith("baseline main replaced: results/baselines/main.jsonl; the one before")
    assert "years ago" in said
    assert read_result(find_baseline("main")).facts["created"].startswith("2026")
    baseline_path("main").write_text("nothing\n")
    assert "was no result that can be read" in save_baseline("main", Path("a.jsonl"))


def test_what_is_no_whole_result_is_not_saved() -> None:
    """And the baseline stays as it was."""
    save_baseline("main", result("a.jsonl"))
    before = baseline_path("main").read_bytes()
    with pytest.raises(UsageError, match="cut short"):
        save_baseline("main", result("cut.jsonl", whole=False))
    Path("no.jsonl").write_text("no result\n")
    with pytest.raises(UsageError):
        save_baseline("main", Path("no.jsonl"))
    assert baseline_path("main").read_bytes() == before


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "/x", "a b", "-x", ".hidden", "a\n", "é", "x" * 65, "x.jsonl"],
)
def test_a_bad_name_is_refused(name: str, here: Path) -> None:
    """In one line, and nothing is written."""
    with pytest.raises(UsageError) as error:
        save_baseline(name, Path("a.jsonl"))
    assert "is not a name for a baseline" in one_line(error.value)
    assert not list(here.iterdir())


def test_a_folder_that_cannot_be_made_is_told() -> None:
    kept = result("a.jsonl")
    Path("results").write_text("a file\n")
    with pytest.raises(UsageError, match="results/baselines cannot be made"):
        save_baseline("main", kept)


def test_what_is_not_there_is_told_with_what_is() -> None:
    """A path is a path, whatever baselines there are."""
    with pytest.raises(UsageError) as none:
        find_baseline("main")
    assert "harness compare --save main" in one_line(none.value)
    save_baseline("main", result("a.jsonl"))
    with pytest.raises(UsageError) as slip:
        find_baseline("mian")
    assert "did you mean main?" in one_line(slip.value)
    for text in ("a.jsonl", "./main", "some/where"):
        assert find_baseline(text) == Path(text)
    Path("plain").touch()
    assert find_baseline("plain") == Path("plain")
    Path("main").touch()
    with pytest.raises(UsageError, match=r"may mean \./main or results/baselines/main.jsonl"):
        find_baseline("main")
