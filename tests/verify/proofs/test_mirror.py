"""The proof that deletions, renames and changes of type come back as they are, and its model."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from harness.engines.guest import command_line
from harness.inside.tree import snapshot
from harness.katas.visible import VisibleFiles
from harness.runners.claims import Property
from harness.runners.event import TestEvent
from harness.runners.katas_volume import KatasVolume
from harness.verify.proofs import Status
from harness.verify.proofs.shared.tree_differences import differences
from harness.verify.testing.planting import scratch_folder
from harness.verify.testing.sessions import FOLDER, LINKS, MOVE, REMOVE, WRITE, Change, Model, Press
from harness.verify.testing.strategies import sessions
from tests.support import on_disk
from tests.verify.proofs.examining import Examine, on_bubblewrap, on_plain_processes


@on_bubblewrap
@pytest.mark.parametrize("runner", ["katas-overlay"])
def test_who_claims_it_is_proved(runner: str, examined: Examine) -> None:
    found = examined(runner, Property.MIRROR)
    assert (found.status, found.reason) == (Status.PROVED, "")
    assert found.examples >= 5


@on_bubblewrap
def test_tmp_keeps_nothing_that_a_run_made(examined: Examine) -> None:
    """One file shows it; and its token shows it again."""
    found = examined("tmp", Property.MIRROR)
    assert found.counterexample is not None
    assert re.match(
        r"[^:]*: 1\. .*the run [^;]*: in the katas .* is gone", found.counterexample.words
    )
    again = examined("tmp", Property.MIRROR, replay=found.counterexample.token)
    assert (again.counterexample, again.examples) == (found.counterexample, 1)


class NeverDeletes(KatasVolume):
    """The mistake: what the player sends is copied in, and what is no longer sent is left where it
    is.
    """

    def play(self, event: TestEvent) -> None:
        save = event.katas.save
        event.katas.save = lambda files, delta, **rest: save(  # type: ignore[method-assign]
            files, replace(delta, deleted=()), **rest
        )
        super().play(event)


@on_plain_processes
def test_a_deletion_that_does_not_arrive(examined: Examine) -> None:
    """A file that is sent, and no longer sent, resurrects."""
    found = examined(NeverDeletes, Property.MIRROR)
    assert found.counterexample is not None
    assert "that was not there" in found.counterexample.words


@on_plain_processes
def test_a_symlink_that_is_followed(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes back is what it points to, or nothing at all."""
    monkeypatch.setattr(command_line, "PACK", (*command_line.PACK, "--dereference"))
    found = examined("katas-data-container", Property.MIRROR)
    assert found.counterexample is not None
    assert "makes the symlink" in found.counterexample.words


def played(session: Sequence[Press], folder: Path) -> Model:
    """On one disk, by hand: no katas, no runner, and the shell for what runs do."""
    model = Model()
    for press in session:
        model.edit(press.edits)
        model.arrive()
        for path in sorted(model.tree, key=len):
            assert path.rpartition(b"/")[0] in {b"", *model.tree}
        script = model.run(press.deeds)
        subprocess.run(["sh", "-c", script], cwd=folder, check=True)
    return model


def test_a_run_removes_nothing_through_a_symlink(tmp_path: Path) -> None:
    """Not what it points to, and not where it points to itself, which the shell could not."""
    links = (
        Change(LINKS, b"a", b"b"),
        Change(REMOVE, b"a/x"),
        Change(LINKS, b"c", b"c"),
        Change(REMOVE, b"c/x"),
    )
    model = played([Press([], [Change(WRITE, b"b/x", b"1"), *links])], tmp_path)
    assert {b"a", b"b/x", b"c"} < model.tree.keys()
    assert (tmp_path / "b" / "x").read_bytes() == b"1"


@on_disk
@given(sessions())
def test_what_a_run_does_is_what_the_model_says(session: list[Press]) -> None:
    """The shell is the judge: where the player edits nothing, a disk holds in the end what the
    model does.
    """
    with scratch_folder() as folder:
        model = played(
            [Press(deeds=[*press.edits, *press.deeds]) for press in session], Path(folder)
        )
        found = {
            path: entry for path, entry in snapshot(folder, contents=True).items() if path != b"."
        }
        assert not differences(model.entries(found, contents=True), found)


@on_disk
@given(sessions())
def test_what_a_player_sends_can_be_sent(session: list[Press]) -> None:
    """No name is a file and a folder at once, and each file that is sent is there."""
    model = Model()
    for press in session:
        model.edit(press.edits)
        model.arrive()
        VisibleFiles(model.files())
        assert all(model.tree[path].kind == node.kind for path, node in model.visible.items())
        model.run(press.deeds)


def test_what_a_session_says() -> None:
    """In the words of the counterexamples."""
    press = Press(
        [Change(WRITE, b"a", b"1"), Change(MOVE, b"a", b"b/x")],
        [Change(REMOVE, b"b"), Change(LINKS, b"a", b"b"), Change(FOLDER, b"\xff")],
    )
    assert str(press) == (
        "the player writes the file 'a', the player moves 'a' to 'b/x', "
        "the run removes 'b', the run makes the symlink 'a', the run makes the folder '\\\\xff'"
    )
    assert str(Press()) == "nothing is changed"
