"""What is put into a layer before a run: the edit shows, and nothing else of the tree is
another.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from harness.inside.layers import Layers, is_opaque, is_whiteout
from harness.inside.upper_layer import UpperLayer

OLD = 10**18
"""A stamp of 2001, in nanoseconds."""


@pytest.fixture
def upper(tmp_path: Path) -> UpperLayer:
    """Over a layer with d/e/f, d/g and the file a."""
    below = tmp_path / "below"
    (below / "d/e").mkdir(parents=True)
    for name in ("d/e/f", "d/g", "a"):
        (below / name).write_text("old")
    for each in (below / "d/e", below / "d"):
        os.utime(each, ns=(OLD, OLD))
    (tmp_path / "upper").mkdir()
    return UpperLayer(str(tmp_path / "upper"), Layers([str(below)]))


def shown(upper: UpperLayer) -> set[bytes]:
    return {path for path, _ in upper.shown.walk()} - {b"."}


def new(upper: UpperLayer, text: str = "new") -> str:
    """A file to be put."""
    path = Path(os.fsdecode(upper.path)).parent / "incoming"
    path.write_text(text)
    return str(path)


def stamp(upper: UpperLayer, *parts: bytes) -> int:
    found = upper.shown.find(parts)
    assert found
    return found.status.st_mtime_ns


def test_a_folder_that_is_brought_up_is_the_same_one(upper: UpperLayer) -> None:
    """With its stamp, its mode, and all that is in it; opened, if it was closed to its owner."""
    os.chmod(upper.below.place([b"d"]).entries[0].path, 0o1005)
    before = shown(upper)
    path = upper.folder([b"d", b"e"])
    assert shown(upper) == before
    assert stamp(upper, b"d") == stamp(upper, b"d", b"e") == OLD
    assert not is_opaque(path)
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o1705


def test_what_is_put_takes_the_place_of_whatever_is_there(upper: UpperLayer) -> None:
    """Of a file, of a folder with all that is in it, and of a file where a folder is needed."""
    upper.put([b"d"], new(upper), None)
    assert shown(upper) == {b"a", b"d"}
    upper.put([b"d", b"x"], new(upper), None)
    upper.put([b"a", b"y", b"z"], new(upper), None)
    assert shown(upper) == {b"a", b"a/y", b"a/y/z", b"d", b"d/x"}
    upper.put([b"a"], new(upper), None)
    assert shown(upper) == {b"a", b"d", b"d/x"}


def test_only_the_folder_that_something_is_put_into_gets_a_new_stamp(upper: UpperLayer) -> None:
    assert upper.newest() == 0
    upper.put([b"d", b"e", b"f"], new(upper), None)
    assert stamp(upper, b"d") == stamp(upper, b"d", b"e") == OLD
    assert upper.newest() == 0
    upper.put([b"d", b"e", b"new"], new(upper), None)
    assert stamp(upper, b"d") == OLD
    assert upper.newest() == stamp(upper, b"d", b"e") > OLD


def test_what_is_hidden_has_gone_and_leaves_a_mark_only_over_what_it_hides(
    upper: UpperLayer,
) -> None:
    upper.put([b"n", b"x"], new(upper), None)
    for parts in ([b"n", b"x"], [b"d", b"g"], [b"never"]):
        upper.hide(parts)
    assert shown(upper) == {b"a", b"d", b"d/e", b"d/e/f", b"n"}
    assert os.listdir(os.path.join(upper.path, b"n")) == []
    assert is_whiteout(os.lstat(os.path.join(upper.path, b"d/g")))


def test_a_folder_is_hidden_as_an_empty_one_only_if_it_is(upper: UpperLayer) -> None:
    """Whatever the layers have in it that does not show."""
    for parts in ([b"d", b"e"], [b"a"]):
        upper.hide(parts, only_empty=True)
    assert b"d/e/f" in shown(upper)
    upper.hide([b"d", b"e", b"f"])
    upper.hide([b"d", b"e"], only_empty=True)
    assert shown(upper) == {b"a", b"d", b"d/g"}


def test_a_file_that_is_brought_up_is_a_copy_with_everything(upper: UpperLayer) -> None:
    """And its folder keeps its stamp."""
    below = upper.shown.find([b"d", b"g"])
    assert below
    os.chmod(below.path, 0o4751)
    os.utime(below.path, ns=(OLD, OLD))
    below = upper.shown.find([b"d", b"g"])
    assert below
    path = upper.copy_up([b"d", b"g"], below)
    assert path.startswith(upper.path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o4751
    assert stamp(upper, b"d", b"g") == stamp(upper, b"d") == OLD
    again = upper.shown.find([b"d", b"g"])
    assert again
    assert upper.copy_up([b"d", b"g"], again) == path


def test_an_empty_folder_is_made_or_is_there(upper: UpperLayer) -> None:
    for parts in ([b"d", b"e"], [b"a"], [b"n", b"m"]):
        assert os.path.isdir(upper.make(parts, None))
    assert shown(upper) == {b"a", b"d", b"d/e", b"d/e/f", b"d/g", b"n", b"n/m"}
