"""A test event in a layer of its own. The run is played by the kernel's rules: what it does, it
does to the layer.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from harness.inside import journal
from harness.inside.errors import KatasError
from harness.inside.folder_event import FolderEvent
from harness.inside.layered_event import DEPTH, LayeredEvent
from harness.inside.layers import OPAQUE, WHITEOUT
from harness.inside.layout import LAYER_LIST, LAYERS, SANDBOX
from harness.inside.stamps import file_time
from tests.events import acceptance, save
from tests.inside.mounted import needs_overlays, press, tree

FAR = 4_000_000_000 * 10**9
"""A stamp from the year 2096."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An avatar's."""
    return tmp_path / "01" / "23456789" / "lion"


def play(
    folder: Path,
    files: Mapping[str, str],
    made: Mapping[str, str | None] | None = None,
    *,
    keep: bool = True,
) -> None:
    """A test event with these visible files, in which the run makes these, or deletes where it is
    None.
    """
    with closing(LayeredEvent(folder)) as event:
        stack = event.stack(None)
        comparison = save(event, files)
        for name, text in (made or {}).items():
            path = folder / stack.upper / name
            path.unlink(missing_ok=True)
            if text is None:
                os.mknod(path, stat.S_IFCHR, WHITEOUT)
            else:
                path.write_text(text)
        if keep:
            event.accept(acceptance(files, comparison))


def names(folder: Path) -> set[str]:
    return {path.decode() for path in tree(folder)} - {"."}


def depth(folder: Path) -> int:
    return len(json.loads((folder / LAYER_LIST).read_text())["layers"])


def test_an_accepted_layer_is_part_of_the_tree(folder: Path) -> None:
    play(folder, {"a": "1", "d/b": "1"}, {"made": "x"})
    play(folder, {"a": "2"}, {"made": None, "other": "y"})
    assert names(folder) == {"a", "other"}


def test_a_sandbox_that_becomes_a_layer_has_no_marks_of_a_run(folder: Path) -> None:
    """The kernel would hide what they mark, and the keeper counts it as there; the rest stays."""
    with closing(FolderEvent(folder)) as event:
        save(event, {"v/a": "", "top": "1"})
    sandbox = folder / SANDBOX
    for path in (sandbox / "v" / "a", sandbox / "v"):
        path.chmod(0o444 if path.is_file() else 0o555)
        for name in ("user.overlay.whiteout", "user.own"):
            os.setxattr(path, name, b"y")
        os.setxattr(path, OPAQUE, b"x")
    stamps = [path.stat().st_mtime_ns for path in (sandbox / "v", sandbox / "v" / "a")]
    with closing(LayeredEvent(folder)) as event:
        event.stack(None)
        for path, mode in ((sandbox / "v", 0o555), (sandbox / "v" / "a", 0o444)):
            assert os.listxattr(path) == ["user.own"]
            assert stat.S_IMODE(path.stat().st_mode) == mode
    assert stamps == [path.stat().st_mtime_ns for path in (sandbox / "v", sandbox / "v" / "a")]


def test_what_is_not_accepted_leaves_no_trace(folder: Path) -> None:
    """Of the edit neither: the next test event sends it again, and finds the same changes."""
    play(folder, {"a": "1", "b": "1"}, {"made": "x"})
    before = tree(folder)
    play(folder, {"a": "2"}, {"made": "y", "new": "z"}, keep=False)
    assert tree(folder) == before
    assert depth(folder) == 1
    assert sorted(os.listdir(folder / LAYERS)) == ["1"]
    with closing(LayeredEvent(folder)) as event:
        event.stack(None)
        delta = save(event, {"a": "2"}).delta
        assert (delta.changed, delta.deleted) == ((b"a",), (b"b",))


def test_only_what_changed_is_written(folder: Path) -> None:
    """And files that did not change keep everything, in whatever layer they are."""
    play(folder, {"a": "1", "b": "1", "d/e/f": "1"}, {"made": "x"})
    before = tree(folder)
    play(folder, {"a": "2", "b": "1", "d/e/f": "1"})
    after = tree(folder)
    assert {path for path in before if before[path] != after[path]} == {b"a"}
    assert after[b"a"].mtime_ns > max(each.mtime_ns for each in before.values())
    assert set(os.listdir(folder / LAYERS / "2")) == {"a"}


def test_what_is_on_the_disk_is_counted_as_it_lies_there(folder: Path) -> None:
    """An edit is a second copy beside the old one until the layers are folded, and to count folds
    nothing.
    """
    play(folder, {"a": "1" * 100}, {"made": "x" * 30})
    play(folder, {"a": "2" * 100})
    with closing(LayeredEvent(folder)) as event:
        usage = event.usage()
    assert (usage.visible, usage.extra) == (200, 30)
    assert depth(folder) == 2
    with closing(FolderEvent(folder)) as plain:
        usage = plain.usage()
    assert (usage.visible, usage.extra) == (100, 30)


def test_an_edit_deep_down_leaves_the_folders_above_its_own_alone(folder: Path) -> None:
    play(folder, {"d/e/f/g": "1"})
    before = tree(folder)
    play(folder, {"d/e/f/g": "2"})
    after = tree(folder)
    assert {path for path in before if before[path] != after[path]} == {b"d/e/f/g"}


def test_what_the_run_wrote_stays_and_what_it_took_away_is_put_back(folder: Path) -> None:
    """With the stamp that it had: neither is an edit."""
    files = {"a": "1", "b": "1", "d/e": "1", "same": "1"}
    play(folder, files)
    before = tree(folder)
    with closing(LayeredEvent(folder)) as event:
        upper = folder / event.stack(None).upper
        save(event, files)
        (upper / "a").write_text("by the run")
        os.mknod(upper / "b", stat.S_IFCHR, WHITEOUT)
        (upper / "d").write_text("no folder")
        event.accept(acceptance(files, event.compare({})))
    with closing(LayeredEvent(folder)) as event:
        event.stack(None)
        delta = save(event, files).delta
        assert (delta.unchanged, delta.written) == ((b"a", b"same"), (b"b", b"d/e"))
        event.accept(acceptance(files, event.compare({})))
    after = tree(folder)
    assert after[b"a"].size == len("by the run")
    assert {path: after[path] for path in (b"b", b"d/e", b"same")} == {
        path: before[path] for path in (b"b", b"d/e", b"same")
    }


@needs_overlays
@pytest.mark.parametrize(
    "script",
    [
        "rm a; mkdir a; touch a/in",
        "rm a; ln -s b a",
        "rm a; mkfifo a",
        "rm a; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"a\")'",
        "chmod 0 a",
        "mv a moved",
        "rm -r d; echo x >d",
        "rm -r d; ln -s . d",
        "rm d/e; rmdir d; mkdir d; touch d/other",
        "mkdir n; mv d/e n",
    ],
)
@pytest.mark.parametrize("folded", [False, True])
def test_what_a_run_made_of_a_visible_file_is_put_back(
    folder: Path, script: str, folded: bool
) -> None:
    """With its content and its stamp, whatever is in its place, and whether the layers were folded
    meanwhile or not.
    """
    files = {"a": "1", "b": "2", "d/e": "3"}
    press(folder, files)
    before = tree(folder)
    press(folder, files, script)
    if folded:
        FolderEvent(folder).close()
    assert press(folder, files, "cat a b d/e") == "123"
    after = tree(folder)
    assert {name: after[name.encode()] for name in files} == {
        name: before[name.encode()] for name in files
    }


@needs_overlays
def test_what_was_deleted_stays_deleted_when_layers_are_folded(folder: Path) -> None:
    """By the player and by runs, with its folder made anew and without: for the kernel too."""
    files = {"src/a": "a", "src/c": "c", "top": ""}
    press(folder, files, "mkdir -p out/deep; touch out/x out/y out/deep/z")
    files = {"src/a": "a", "top": ""}
    press(folder, files, "rm out/x; rm -r out/deep; mkdir out/deep; touch out/deep/w")
    press(folder, files, "rm out/deep/w; touch out/x; rm out/x")
    for number in range(8):
        said = press(folder, {**files, "top": str(number)}, "ls src out out/deep", depth=2)
        assert said.split() == ["out:", "deep", "y", "out/deep:", "src:", "a"]


@needs_overlays
def test_paths_that_are_too_long_for_layers_are_refused_and_the_next_test_event_works(
    folder: Path,
) -> None:
    files = {"a": "1"}
    press(folder, files)
    nest = "import os; d = 250 * 'd'; [(os.mkdir(d), os.chdir(d)) for each in range(20)]"
    with pytest.raises(KatasError, match="too long"):
        press(folder, files, f'python3 -c "{nest}"')
    assert press(folder, files, "ls") == "a\n"


def test_a_name_may_change_its_kind(folder: Path) -> None:
    """From a file to a folder and back, over layers that have the other."""
    for files in ({"n": "1"}, {"n/a": "2", "n/b": "2"}, {"n": "3"}, {"n/c": "4"}):
        play(folder, files)
        expected = set(files) | ({"n"} if "n" not in files else set())
        assert names(folder) == expected


@pytest.mark.parametrize("ends", ["well", "badly", "not at all"])
@pytest.mark.parametrize("stamp", [FAR, 2**34 * 10**9], ids=["far", "the last that there is"])
def test_what_lies_ahead_of_the_clock_is_brought_to_it_for_an_edit(
    folder: Path, stamp: int, ends: str
) -> None:
    """And goes ahead again after a run that succeeded and left it alone, or that was not
    accepted.
    """
    play(folder, {"a": "1"}, {"made": "x"})
    with closing(LayeredEvent(folder)) as event:
        upper = folder / event.stack(None).upper
        for name in ("left", "written"):
            (upper / name).write_text("x")
            os.utime(upper / name, ns=(stamp, stamp))
        event.accept(acceptance({"a": "1"}, event.compare({})))
    given = tree(folder)[b"left"].mtime_ns
    play(folder, {"a": "1"})
    assert tree(folder)[b"left"].mtime_ns == given
    files = {"a": "22"}
    with closing(LayeredEvent(folder)) as event:
        upper = folder / event.stack(None).upper
        comparison = save(event, files)
        shown = event.upper.shown
        stamps = [found.status.st_mtime_ns for path, found in shown.walk() if path != b"a"]
        edit = shown.find([b"a"])
        assert edit
        assert max(stamps) < edit.status.st_mtime_ns <= file_time()
        (upper / "written").write_text("y")
        accepted = acceptance(files, comparison)
        if ends == "badly":
            accepted = replace(accepted, increment=replace(accepted.increment, status=2))
        if ends != "not at all":
            event.accept(accepted)
    after = tree(folder)
    assert (after[b"left"].mtime_ns == given) == (ends != "badly")
    assert (after[b"written"].mtime_ns == given) == (ends == "not at all")
    play(folder, {"a": "3"})
    assert tree(folder)[b"a"].mtime_ns <= file_time()


def test_what_was_from_the_future_is_forgotten_once_it_has_gone(folder: Path) -> None:
    """Else every later edit would be stamped in the future too, and make would complain of it for
    ever.
    """
    play(folder, {"a": "1"}, {"made": "x"})
    with closing(LayeredEvent(folder)) as event:
        path = folder / event.stack(None).upper / "made"
        path.write_text("x")
        os.utime(path, ns=(FAR, FAR))
        event.accept(acceptance({"a": "1"}, event.compare({})))
    play(folder, {"a": "1"}, {"made": None})
    play(folder, {"a": "2"})
    assert tree(folder)[b"a"].mtime_ns < FAR


def test_hard_links_are_written_to_together(folder: Path) -> None:
    """A file of several names is in the layer before the run, with all of them: the kernel would
    copy only one.
    """
    with closing(LayeredEvent(folder)) as event:
        upper = folder / event.stack(None).upper
        save(event, {"a": "1"})
        (upper / "d").mkdir()
        (upper / "one").write_text("x")
        os.link(upper / "one", upper / "d/other")
        event.accept(acceptance({"a": "1"}, event.compare({})))
    before = tree(folder)
    for text in "yz":
        with closing(LayeredEvent(folder)) as event:
            upper = folder / event.stack(None).upper
            (upper / "one").write_text(text)
            assert (upper / "d/other").read_text() == text
            event.accept(acceptance({"a": "1"}, event.compare({})))
    after = tree(folder)
    assert after[b"d"] == before[b"d"]
    assert after[b"one"].link == after[b"d/other"].link == b"d/other"
    assert after[b"one"].digest == after[b"d/other"].digest != before[b"one"].digest


@pytest.mark.parametrize("where", ["in one layer", "in two", "in the sandbox"])
def test_the_names_of_hard_links_are_bounded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Each press reads and writes them all: a run that makes too many is faulty, and says why."""
    monkeypatch.setattr("harness.inside.layer_list.LINKED_BYTES", 40)

    def make(count: int, first: int = 0) -> None:
        with closing(LayeredEvent(folder)) as event:
            upper = folder / event.stack(None).upper
            save(event, {"a": "1"})
            (upper / f"file-{first}").write_text("x")
            for number in range(first + 1, first + count):
                os.link(upper / f"file-{first}", upper / f"file-{number}")
            event.accept(acceptance({"a": "1"}, event.compare({})))

    if where == "in one layer":
        with pytest.raises(KatasError, match="hard links"):
            make(7)
        make(6)
    elif where == "in two":
        make(4)
        with pytest.raises(KatasError, match="hard links"):
            make(4, first=4)
    else:
        with closing(FolderEvent(folder)) as event:
            save(event, {"a": "1"})
            (folder / "sandbox/file-0").write_text("x")
            for number in range(1, 7):
                os.link(folder / "sandbox/file-0", folder / f"sandbox/file-{number}")
            event.accept(acceptance({"a": "1"}, event.compare({})))
        with pytest.raises(KatasError, match="hard links"):
            LayeredEvent(folder)


def test_hard_links_in_folders_that_nobody_enters_leave_those_as_they_are(folder: Path) -> None:
    """They are copied into each layer; to look into the folders is not what that is for."""
    with closing(LayeredEvent(folder)) as event:
        upper = folder / event.stack(None).upper
        save(event, {"a": "1"})
        (upper / "d/e").mkdir(parents=True)
        (upper / "one").write_text("x")
        os.link(upper / "one", upper / "d/e/other")
        for closed in ("d/e", "d"):
            (upper / closed).chmod(0o644)
        event.accept(acceptance({"a": "1"}, event.compare({})))
    before = tree(folder)
    play(folder, {"a": "2"})
    after = tree(folder)
    assert (after[b"d"], after[b"d/e"]) == (before[b"d"], before[b"d/e"])
    assert stat.S_IMODE(after[b"d"].mode) == 0o644


def test_layers_stay_few_however_many_test_events(folder: Path) -> None:
    """And folding them changes nothing."""
    expected = (
        {f"f{number}" for number in range(5)}
        | {f"kept{number}" for number in range(3 * DEPTH)}
        | {"."}
    )
    for number in range(3 * DEPTH):
        files = {f"f{each}": str(number * (each % 2)) for each in range(5)}
        play(folder, files, {f"kept{number}": "x", "temporary": None if number % 2 else "x"})
        assert depth(folder) <= DEPTH
    before = tree(folder)
    assert {path.decode() for path in before} == expected
    with closing(FolderEvent(folder)) as plain:
        after = plain.snapshot(contents=True)
    assert after == before


def test_who_comes_in_any_other_way_finds_one_plain_tree(folder: Path) -> None:
    """And who then comes back to layers finds what was done meanwhile."""
    play(folder, {"a": "1", "b": "1"}, {"made": "x"})
    before = tree(folder)
    with closing(FolderEvent(folder)) as plain:
        assert plain.snapshot(contents=True) == before
        assert not (folder / LAYERS).exists()
        comparison = save(plain, {"a": "2"})
        assert comparison.delta.deleted == (b"b",)
        plain.accept(acceptance({"a": "2"}, comparison))
    play(folder, {"a": "3"}, {"more": "y"})
    assert names(folder) == {"a", "made", "more"}
    assert journal.head(str(folder))[1] == 3


def test_a_crash_in_the_middle_of_acceptance_is_finished_by_who_comes_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is decided; the layer and the tag come together."""
    play(folder, {"a": "1"})
    monkeypatch.setattr(journal, "recover", lambda avatar: None)
    with closing(LayeredEvent(folder)) as event:
        event.stack(None)
        comparison = save(event, {"a": "2"})
        event.accept(acceptance({"a": "2"}, comparison))
        monkeypatch.setattr(event, "close", event.lock.close)
    monkeypatch.undo()
    assert journal.head(str(folder))[1] == 1
    with closing(LayeredEvent(folder)) as event:
        assert journal.head(str(folder))[1] == 2
        assert event.snapshot(contents=True)[b"a"].size == 1
    assert depth(folder) == 2


def test_a_crash_in_the_middle_of_a_fold_does_no_harm(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes next finishes it, also with a layer of his own."""
    for number in range(3):
        play(folder, {"a": str(number), f"b{number}": "1"}, {"made": None if number == 2 else "x"})
    before = tree(folder)

    def crash(path: Path) -> None:
        raise OSError(f"at {path.name} by a test")

    monkeypatch.setattr(Path, "unlink", crash)
    with pytest.raises(OSError, match=f"at {LAYER_LIST} by a test"):
        FolderEvent(folder)
    monkeypatch.undo()
    assert (folder / SANDBOX / "a").read_text() == "2"
    assert tree(folder) == before
    with closing(FolderEvent(folder)) as plain:
        assert plain.snapshot(contents=True) == before


def test_a_damaged_list_is_told_and_nothing_is_lost(folder: Path) -> None:
    play(folder, {"a": "1"}, {"made": "x"})
    (folder / LAYER_LIST).write_text("{")
    for kind in (LayeredEvent, FolderEvent):
        with pytest.raises((KatasError, ValueError)):
            kind(folder)
    assert (folder / LAYERS / "1" / "made").exists()


def test_a_nest_of_which_no_path_can_be_taken_is_refused(folder: Path) -> None:
    """It never becomes a layer; the next test event is as before."""
    play(folder, {"file": "1"})
    with closing(LayeredEvent(folder)) as event:
        stack = event.stack(None)
        comparison = save(event, {"file": "2"})
        here = os.open(folder / stack.upper, os.O_RDONLY)
        for _ in range(30):
            os.mkdir("n" * 200, dir_fd=here)
            below = os.open("n" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        with pytest.raises(KatasError, match="too long for layers"):
            event.accept(acceptance({"file": "2"}, comparison))
    play(folder, {"file": "3"})
    assert names(folder) == {"file"}
