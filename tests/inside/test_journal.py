"""Accepting a test event is atomic: whatever is killed in the middle, it was accepted or it was
not.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import signal
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.inside import atomic_file, increments, journal, locks
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import (
    ACCEPTING,
    HISTORY,
    INCREMENTS,
    SANDBOX,
    STAGING,
    VISIBLE,
    avatar_folder,
)
from harness.inside.store import Acceptance
from harness.inside.tree import snapshot
from tests.children import killed_before
from tests.events import LION, SPIDER, acceptance, git, needs_git, play, save, stage

FIRST, SECOND = {"a": "1", "deleted": "1"}, {"a": "2", "new/b": "2"}


class Prepared:
    """Katas in which one test event is about to be accepted."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "katas"
        katas = FolderKatas(self.root)
        play(katas, LION, FIRST, run=lambda sandbox: (sandbox / "product").write_text("old"))
        play(katas, SPIDER, FIRST)
        self.event = katas.event(LION)
        comparison = save(self.event, SECOND)
        stage(self.event, lambda sandbox: (sandbox / "product").write_text("new"))
        accepted = acceptance(SECOND, comparison)
        self.acceptance = Acceptance(accepted.commit, list(accepted.objects), accepted.increment)
        self.avatar = self.root / avatar_folder(LION)

    def accept(self) -> None:
        accepted = self.acceptance
        journal.accept(
            str(self.avatar), accepted.objects, accepted.commit, asdict(accepted.increment)
        )

    def state(self) -> object:
        """All that a test event changes, as whoever comes next finds it."""
        return (
            snapshot(self.avatar / SANDBOX, contents=True),
            journal.head(str(self.avatar)),
            increments.read_increments(str(self.avatar.parent / INCREMENTS)),
        )

    def close(self) -> None:
        self.event.close()


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[Prepared]:
    with closing(Prepared(tmp_path)) as found:
        yield found


@pytest.fixture
def restore(prepared: Prepared, tmp_path: Path) -> Callable[[], None]:
    """Puts everything back as it was before."""
    saved = tmp_path / "saved"
    shutil.copytree(prepared.root, saved, symlinks=True)

    def restore() -> None:
        shutil.rmtree(prepared.root)
        shutil.copytree(saved, prepared.root, symlinks=True)

    return restore


def test_a_kill_at_any_step_leaves_the_state_before_or_after(
    prepared: Prepared, restore: Callable[[], None]
) -> None:
    """Never one in between, once somebody has recovered; and the decision is one step."""
    before = prepared.state()
    found = []
    while True:
        restore()
        killed = killed_before(len(found), prepared.accept)
        journal.recover(str(prepared.avatar))
        found.append(prepared.state())
        if not killed:
            break
    after = found[-1]
    assert after != before
    assert all(state in (before, after) for state in found)
    changed = [state == after for state in found]
    assert changed == sorted(changed)
    assert changed.count(False) > 1
    assert changed.count(True) > 3


def test_a_kill_at_any_step_of_the_recovery_is_recovered_too(
    prepared: Prepared, restore: Callable[[], None]
) -> None:
    """However often it happens: each step can be repeated."""
    prepared.accept()
    after = prepared.state()
    step = 0
    while not (prepared.avatar / ACCEPTING).exists():
        restore()
        assert killed_before(step, prepared.accept)
        step += 1
    avatar = str(prepared.avatar)
    kills = [killed_before(step % 7, lambda: journal.recover(avatar)) for step in range(21)]
    assert any(kills)
    for _ in range(2):
        journal.recover(avatar)
        assert prepared.state() == after


@needs_git
def test_git_reads_the_history_after_a_kill_at_any_step(
    prepared: Prepared, restore: Callable[[], None]
) -> None:
    """What a killed process left behind is nothing that git stumbles over, before anybody has
    recovered.
    """
    step = 0
    history = prepared.avatar / HISTORY
    while killed_before(step, prepared.accept):
        assert git(history, "fsck", "--strict", "--no-dangling") == ""
        assert git(history, "tag", "--list").split() in (["1"], ["1", "2"])
        restore()
        step += 1


def test_what_a_kill_left_behind_goes_with_the_next_test_event(
    prepared: Prepared, restore: Callable[[], None]
) -> None:
    """No temporary file piles up, wherever the process was killed."""
    step = 0
    prepared.close()
    while killed_before(step, prepared.accept):
        katas = FolderKatas(prepared.root)
        play(katas, LION, {"a": "3"})
        play(katas, SPIDER, {"a": "3"})
        assert sorted(os.listdir(prepared.avatar)) == [HISTORY, SANDBOX, VISIBLE]
        assert sorted(os.listdir(prepared.avatar.parent)) == [INCREMENTS, "lion", "spider"]
        history = [path.name for path in (prepared.avatar / HISTORY).rglob("*")]
        assert not [name for name in history if name.endswith(".lock") or name.startswith("tmp")]
        restore()
        step += 1


def test_a_failure_before_the_decision_changes_nothing(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is reported."""
    before = prepared.state()

    def refuse(source: str, target: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        with pytest.raises(OSError, match="No space left"):
            prepared.accept()
    journal.recover(str(prepared.avatar))
    assert prepared.state() == before


def test_a_failure_after_the_decision_is_made_up_for(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test event is accepted: a full disk only puts off the rest, and its staged tree is kept
    for that.
    """

    def refuse(one: str, other: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(journal, "exchange", refuse)
        prepared.accept()
        prepared.close()
    assert (prepared.avatar / STAGING).is_dir()
    comparison = play(FolderKatas(prepared.root), LION, SECOND)
    assert comparison.tag == 2
    assert (prepared.avatar / SANDBOX / "product").read_text() == "new"


def test_increments_json_lists_the_test_events_of_all_avatars(prepared: Prepared) -> None:
    """By avatar and in order, so that a dashboard reads one file; in plain JSON."""
    prepared.accept()
    found = json.loads((prepared.avatar.parent / INCREMENTS).read_text())
    assert {name: [each["tag"] for each in events] for name, events in found.items()} == {
        "lion": [1, 2],
        "spider": [1],
    }
    assert found["lion"][1] == asdict(prepared.acceptance.increment)


def test_before_the_first_test_event_there_is_nothing(tmp_path: Path) -> None:
    """No head, no tag, no increments."""
    journal.make_history(str(tmp_path / HISTORY))
    assert journal.head(str(tmp_path)) == (None, 0)
    assert increments.read_increments(str(tmp_path / INCREMENTS)) == {}


@needs_git
def test_git_reads_the_history(prepared: Prepared) -> None:
    """The log, the tags and every object."""
    prepared.accept()
    history = prepared.avatar / HISTORY
    assert git(history, "log", "--format=%s") == "2 completed\n1 completed\n"
    assert git(history, "tag", "--list").split() == ["1", "2"]
    assert git(history, "show", "2:sandbox/new/b") == "2"
    assert git(history, "fsck", "--strict", "--full") == ""


@needs_git
def test_a_user_s_git_gc_does_no_harm(prepared: Prepared) -> None:
    """The next test event still finds the head and counts on; git finds all of it."""
    prepared.accept()
    prepared.close()
    history = prepared.avatar / HISTORY
    git(history, "gc", "--quiet")
    comparison = play(FolderKatas(prepared.root), LION, {"a": "3"})
    assert (comparison.head, comparison.tag) == (prepared.acceptance.commit, 2)
    assert git(history, "log", "--format=%s").split() == [
        "3",
        "completed",
        "2",
        "completed",
        "1",
        "completed",
    ]
    assert git(history, "fsck", "--strict") == ""


def test_a_file_is_old_or_new(tmp_path: Path) -> None:
    """Never half of it, and nothing is left beside it."""
    path = tmp_path / "file"
    atomic_file.write(str(path), b"old")
    for step in range(2):
        killed_before(step, lambda: atomic_file.write(str(path), b"new" * 1000))
        assert path.read_bytes() == (b"old" if step == 0 else b"new" * 1000)
    assert os.listdir(tmp_path) == ["file"]


def test_the_lock_is_the_folder_itself(tmp_path: Path) -> None:
    """It goes with whoever holds it, however that one ends, and leaves no file."""

    def hold_and_die() -> None:
        with locks.locked(str(tmp_path)):
            os.kill(os.getpid(), signal.SIGKILL)

    assert killed_before(1, hold_and_die)
    with locks.locked(str(tmp_path)):
        assert os.listdir(tmp_path) == []


def crash_after_the_decision(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left when everything dies just after the test event was accepted; its lock is still
    held.
    """
    monkeypatch.setattr(journal, "recover", lambda avatar: None)
    prepared.accept()
    monkeypatch.undo()
    assert (prepared.avatar / ACCEPTING).exists()


def tags(katas: FolderKatas, reader: str) -> int:
    """The last tag of the lion, as one who only reads sees it."""
    if reader == "list":
        return katas.list()[LION.kata][LION.name][-1].tag
    if reader == "history":
        with katas.history(LION) as history:
            return journal.head(str(history.parent))[1]
    archive: list[bytes] = []
    _ = (
        katas.download(LION.kata, archive.append)
        if reader == "download"
        else katas.export(archive.append)
    )
    with tarfile.open(fileobj=io.BytesIO(b"".join(archive))) as tar:
        found = [re.search(r"/lion/\.git/refs/tags/(\d+)$", "/" + each.name) for each in tar]
    return max(int(each[1]) for each in found if each)


READERS = ("list", "history", "download", "export")


@pytest.mark.parametrize("reader", READERS)
def test_who_only_reads_sees_what_was_accepted(
    reader: str, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right after a crash too, before the avatar's next test event: all of it, and it is carried
    out by then.
    """
    crash_after_the_decision(prepared, monkeypatch)
    prepared.event.close()
    assert tags(FolderKatas(prepared.root), reader) == 2
    assert not (prepared.avatar / ACCEPTING).exists()
    assert (prepared.avatar / SANDBOX / "product").read_text() == "new"
    assert {tags(FolderKatas(prepared.root), each) for each in READERS} == {2}
