"""increments.json is plain JSON, to which one test event is added without writing all of it anew
from its parts.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.inside import increments
from harness.inside.errors import KatasError
from tests.support import one_line


def event(tag: int) -> dict[str, object]:
    return {
        "tag": tag,
        "time": "2016-11-01T12:00:00.000+00:00",
        "outcome": "completed",
        "status": 0,
    }


def test_any_order_of_avatars_and_tags_is_kept(tmp_path: Path) -> None:
    """Names of which one begins with the other too; whoever is removed is listed no more."""
    path = str(tmp_path / "increments.json")
    expected: dict[str, list[object]] = {}
    for tag in range(1, 4):
        for name in ("lion", "lion-2", "li", "a"):
            increments.add(path, name, event(tag))
            expected.setdefault(name, []).append(event(tag))
            assert (
                json.loads(Path(path).read_bytes()) == increments.read_increments(path) == expected
            )
            assert increments.last(path, name) == tag
    increments.drop(path, "lion")
    del expected["lion"]
    assert increments.read_increments(path) == expected
    assert increments.last(path, "lion") == 0


def test_the_same_test_event_is_listed_once(tmp_path: Path) -> None:
    """Whoever makes up for a crash adds it again."""
    path = str(tmp_path / "increments.json")
    for tag in (1, 1, 2, 2):
        increments.add(path, "lion", event(tag))
    assert [each["tag"] for each in increments.read_increments(path)["lion"]] == [1, 2]


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_what_another_wrote_is_read_and_goes_on(indent: int | None, tmp_path: Path) -> None:
    """An older harness, which wrote a test event over several lines, or a tool."""
    path = tmp_path / "increments.json"
    path.write_text(json.dumps({"lion": [event(1)], "spider": [event(1), event(2)]}, indent=indent))
    assert increments.last(str(path), "spider") == 2
    increments.add(str(path), "lion", event(2))
    increments.add(str(path), "lion", event(3))
    assert [each["tag"] for each in increments.read_increments(str(path))["lion"]] == [1, 2, 3]
    assert [each["tag"] for each in increments.read_increments(str(path))["spider"]] == [1, 2]


@pytest.mark.parametrize("content", ["{", "[]", '{"lion": 3}', '{"lion": [{"time": 1}]}', "\xff"])
def test_a_damaged_file_is_called_that(content: str, tmp_path: Path) -> None:
    """In the harness's words, and it stays as it is."""
    path = tmp_path / "increments.json"
    path.write_bytes(content.encode("latin-1"))
    for ask in (
        lambda: increments.read_increments(str(path)),
        lambda: increments.last(str(path), "lion"),
        lambda: increments.add(str(path), "lion", event(1)),
    ):
        with pytest.raises(KatasError, match="is damaged") as told:
            ask()
        assert str(path) in one_line(told.value)
    assert path.read_bytes() == content.encode("latin-1")
