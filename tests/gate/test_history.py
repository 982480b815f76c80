"""Many results over time: a change of level is found and dated, chance is not."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from harness.cli import main
from harness.gate.history import FEWEST, History, histories
from harness.measure.results import Recording, ResultFile
from harness.report import history
from tests.gate.figures import PIPE, blocks

FACTS = {
    "engine": {"engine": "local", "storage driver": "none"},
    "tree": "typical",
    "runners": [PIPE],
    "machines": {},
}


def recordings(*ratios: float, tree: str = "typical") -> list[Recording]:
    """A result a day, in which the runner takes so many times as long as bare make."""
    return [
        Recording(
            Path(f"{day}.jsonl"),
            {**FACTS, "tree": tree, "created": f"2026-01-{day:02}"},
            blocks({PIPE: ratio}, 15, seed=day),
            complete=True,
        )
        for day, ratio in enumerate(ratios, 1)
    ]


def only(found: list[History]) -> History:
    (each,) = found
    return each


def shown(found: list[History]) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(history.render(found))
    return out.getvalue()


def test_a_change_is_found_and_dated() -> None:
    """However the files are ordered; the machine's own speed, which changes from day to day, plays
    no part.
    """
    days = recordings(*[5.0] * 10, *[5.5] * 10)
    found = only(histories(reversed(days)))
    (change,) = found.changes
    assert found.points[change.place].created == "2026-01-11"
    assert 1.05 < change.ratio < 1.15
    assert "slower since 2026-01-11 (11.jsonl)" in shown([found])


def test_no_change_is_seen_where_there_is_none() -> None:
    assert only(histories(recordings(*[5.0] * 20))).changes == ()


def test_a_change_needs_as_many_results_as_is_said() -> None:
    """With so many the clearest step is seen; with one less none is, wherever it comes."""

    def seen(after: int, before: int) -> bool:
        return bool(only(histories(recordings(*[5.0] * before, *[50.0] * after))).changes)

    assert seen(FEWEST // 2, FEWEST - FEWEST // 2)
    assert not any(seen(after, FEWEST - 1 - after) for after in range(1, FEWEST - 1))


@pytest.mark.parametrize("count", [FEWEST - 1, FEWEST])
def test_whoever_has_too_few_results_is_told_how_many_it_takes(count: int) -> None:
    told = f"at least {FEWEST} are needed" in shown(histories(recordings(*[5.0] * count)))
    assert told == (count < FEWEST)


def test_few_results_have_no_level() -> None:
    found = only(histories(recordings(5.0, 5.0, 50.0)))
    assert found.changes == ()
    assert "too few" in shown([found])


def test_what_is_unlike_is_kept_apart() -> None:
    """Another tree has another history."""
    found = histories([*recordings(5.0, 5.0), *recordings(9.0, tree="lua")])
    assert [(each.subject.split(",")[0], len(each.points)) for each in found] == [
        ("lua", 1),
        ("typical", 2),
    ]


def test_the_command_reads_result_files(tmp_path: Path, capsys: object) -> None:
    """And refuses what is none."""
    path = tmp_path / "r.jsonl"
    with ResultFile(path, {**FACTS, "machine": "", "created": "2026-01-01"}) as result:
        for each in blocks({PIPE: 5.0}, 3):
            result.add(each)
    assert main(("history", str(path))) == 0
    assert main(("history", str(tmp_path / "none"))) == 2
