"""Files of several names in layers, as the kernel mounts them: with its index, and without, as for
a user who is not root.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from harness.engines import overlays
from harness.engines.spec import Overlay
from harness.inside.errors import KatasError
from harness.inside.hard_links import indexed
from harness.inside.layered_event import LayeredEvent
from harness.inside.layout import LAYERS
from tests.events import acceptance, save
from tests.inside.mounted import mounted, needs_overlays, press, tree

pytestmark = needs_overlays

FILES = {"a": "1"}

MADE = "echo one >one; mkdir d; ln one d/two; ln one three; ln -s one s; ln s t"

INDEX = "with an index"


@pytest.fixture(params=[INDEX, "without"])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the kernel keeps links."""
    if request.param != INDEX:
        monkeypatch.setattr(overlays, "FLAGS", overlays.FLAGS.replace("index=on", "index=off"))
    elif os.geteuid() != 0:
        pytest.skip("only a privileged mounter gets an index")
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An avatar's, whose run has made files of several names in an earlier test event."""
    folder = tmp_path / "01" / "23456789" / "lion"
    press(folder, FILES, MADE)
    press(folder, FILES)
    return folder


def same(folder: Path, *names: str) -> bool:
    """Whether these, and no others, are one file."""
    found = tree(folder)
    first = min(names).encode()
    return {path for path, entry in found.items() if entry.link == first} == set(
        map(str.encode, names)
    )


def test_what_is_written_to_one_name_is_in_all(kept: str, folder: Path) -> None:
    """In the run, and in every later one."""
    before = tree(folder)
    assert (
        press(folder, FILES, "echo more >>one; cat d/two; echo x >>three; cat one")
        == "one\nmore\none\nmore\nx\n"
    )
    assert same(folder, "d/two", "one", "three")
    assert press(folder, FILES, "cat d/two three") == "one\nmore\nx\n" * 2
    after = tree(folder)
    assert (after[b"d"], after[b"."]) == (before[b"d"], before[b"."])
    assert after[b"one"].digest == after[b"three"].digest != before[b"one"].digest


def test_a_mode_and_a_stamp_are_those_of_all_names(kept: str, folder: Path) -> None:
    press(folder, FILES, "chmod 700 one; touch -d @5 three; touch -h -d @6 s")
    assert tree(folder)[b"s"].mtime_ns == tree(folder)[b"t"].mtime_ns
    press(folder, FILES, "mv t d/t; rm s")
    after = tree(folder)
    assert {after[name].mode for name in (b"one", b"d/two", b"three")} == {0o700}
    assert {after[name].mtime_ns for name in (b"one", b"d/two", b"three")} == {5 * 10**9}
    assert after[b"d/t"].mtime_ns == 6 * 10**9


def test_names_come_and_go(kept: str, folder: Path) -> None:
    """Whatever became of the one that was written to."""
    press(folder, FILES, "echo x >>one; rm one; ln three four; mv d/two d/e")
    assert same(folder, "d/e", "four", "three")
    assert press(folder, FILES, "cat four; test ! -e one") == "one\nx\n"
    press(folder, FILES, "echo y >>four; mv four five; rm three; echo new >three")
    assert same(folder, "d/e", "five")
    assert press(folder, FILES, "cat d/e three") == "one\nx\ny\nnew\n"


def test_a_name_that_a_run_gave_away_goes_its_own_way(kept: str, folder: Path) -> None:
    """And so does one that is the player's now."""
    press(folder, {**FILES, "three": "mine"}, "rm d/two; echo other >d/two; echo x >>one")
    assert press(folder, {**FILES, "three": "mine"}, "cat one d/two three") == "one\nx\nother\nmine"
    assert not any(entry.link for path, entry in tree(folder).items() if path not in (b"s", b"t"))


def test_a_run_that_is_not_accepted_leaves_all_names_as_they_were(kept: str, folder: Path) -> None:
    before = tree(folder)
    press(folder, FILES, "echo more >>one; rm three", keep=False)
    assert tree(folder) == before


def test_links_survive_folds(kept: str, folder: Path) -> None:
    """At the depth at which the first layers are folded, and after."""
    expected = "one\n"
    for number in range(7):
        press(folder, FILES, f"echo {number} >>{'one' if number % 2 else 'd/two'}", depth=2)
        expected += f"{number}\n"
        assert press(folder, FILES, "cat three", depth=2) == expected
    assert same(folder, "d/two", "one", "three")
    assert same(folder, "s", "t")


@pytest.mark.skipif(os.geteuid() != 0, reason="only a privileged mounter gets an index")
def test_a_run_that_leaves_them_alone_costs_nothing(folder: Path) -> None:
    """Its layer holds none of those files, only the symlinks that have several names."""
    press(folder, {"a": "2"})
    newest = max((folder / LAYERS).iterdir(), key=lambda each: int(each.name))
    assert sorted(os.listdir(newest)) == ["a", "s", "t"]


def test_handles_of_an_unknown_kind_are_refused(tmp_path: Path) -> None:
    """Rather than that a name is left with what was there before."""
    assert indexed(str(tmp_path)) is None
    (tmp_path / "index").mkdir()
    assert indexed(str(tmp_path)) == {}
    (tmp_path / "index" / ("00fb1d0077" + "00" * 16 + "91e10c00c5e9074d")).touch()
    with pytest.raises(KatasError, match="type 119"):
        indexed(str(tmp_path))


def test_a_mount_that_is_still_there_keeps_nobody_from_the_next(folder: Path) -> None:
    """A run-container ends some time after its test event, and has its layer on top till then."""
    with closing(LayeredEvent(folder)) as event:
        stack = event.stack(None)
        comparison = save(event, {"a": "2"})
        with mounted(folder, Overlay("", stack.lower, stack.upper, stack.work)):
            event.accept(acceptance({"a": "2"}, comparison))
            event.close()
            assert press(folder, {"a": "2"}, "cat a") == "2"
    assert press(folder, {"a": "2"}, "cat a one") == "2one\n"
