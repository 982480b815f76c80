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

from harness.inside import atomic_file, increments, journal, locks, refs
from harness.inside.changes import Changes, Folder
from harness.inside.errors import KatasError
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


@pytest.mark.parametrize(
    ("listed", "branch", "tag", "said"),
    [
        (0, "a", None, "increments.json does not list the test events that"),
        (0, None, "a", "increments.json does not list the test events that"),
        (2, None, None, "increments.json lists 2 test events, and"),
        (2, "a", None, "has lost tag 2; `git --git-dir="),
        (2, None, "a", "has lost its branch main, the last test event; `git --git-dir="),
        (2, "b", "a", "has its branch main elsewhere than at tag 2, the last test event; `git"),
    ],
)
def test_what_was_lost_is_named(
    tmp_path: Path, listed: int, branch: str | None, tag: str | None, said: str
) -> None:
    """Until it is restored nothing is accepted, least of all as a first test event."""
    avatar = tmp_path / "kata" / "lion"
    journal.make_history(str(avatar / HISTORY))
    if listed:
        increments.add(str(avatar.parent / INCREMENTS), "lion", {"tag": listed})
    if branch:
        refs.write_branch(str(avatar / HISTORY), branch * 40)
    if tag:
        refs.write_tag(str(avatar / HISTORY), listed or 1, tag * 40)
    with pytest.raises(KatasError) as caught:
        journal.head(str(avatar))
    assert said in str(caught.value)
    assert str(caught.value).endswith("; until then no test event is accepted")


def test_the_head_is_the_last_tag_where_all_agree(tmp_path: Path) -> None:
    avatar = tmp_path / "kata" / "lion"
    journal.make_history(str(avatar / HISTORY))
    assert journal.head(str(avatar)) == (None, 0)
    increments.add(str(avatar.parent / INCREMENTS), "lion", {"tag": 2})
    refs.write_branch(str(avatar / HISTORY), "a" * 40)
    refs.write_tag(str(avatar / HISTORY), 2, "a" * 40)
    assert journal.head(str(avatar)) == ("a" * 40, 2)


@pytest.mark.parametrize("exchange", [True, False])
def test_a_staging_folder_that_cannot_be_exchanged_is_not_left(
    tmp_path: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller learns it before anything is accepted; what an earlier one left is gone too."""
    (tmp_path / STAGING / "old").mkdir(parents=True)
    (tmp_path / SANDBOX).mkdir()
    if exchange:
        journal.make_staging(str(tmp_path), 0o700)
        assert (tmp_path / STAGING).stat().st_mode & 0o777 == 0o700
        assert list((tmp_path / STAGING).iterdir()) == []
        journal.make_staging(str(tmp_path))
        assert (tmp_path / STAGING).stat().st_mode & 0o777 == 0o755
        return
    monkeypatch.setattr(journal, "can_exchange", lambda folder: False)
    with pytest.raises(KatasError, match="cannot exchange two folders in one step"):
        journal.make_staging(str(tmp_path))
    assert os.listdir(tmp_path) == [SANDBOX]


@pytest.mark.parametrize("reason", ["EBUSY", "EPERM", "ENOTEMPTY", "EEXIST", "EXDEV"])
def test_a_sandbox_that_cannot_be_renamed_is_refused(
    tmp_path: Path, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a mount point; not where only the folder in its place prevents it."""
    (tmp_path / SANDBOX).mkdir()

    def refuse(old: str, new: str) -> None:
        raise OSError(getattr(errno, reason), "no")

    monkeypatch.setattr("harness.inside.journal.os.rename", refuse)
    if reason in ("EBUSY", "EPERM"):
        with pytest.raises(KatasError, match=r"cannot be exchanged for another folder \(no\)"):
            journal.make_staging(str(tmp_path))
        assert os.listdir(tmp_path) == [SANDBOX]
    else:
        journal.make_staging(str(tmp_path))
        assert os.listdir(tmp_path / STAGING) == []


@pytest.mark.parametrize(
    "damage",
    [
        {"more": 1},
        {"objects": []},
        {"sent": None},
        {"increment": {}},
        None,
    ],
)
def test_a_decision_that_is_damaged_is_not_carried_out(
    prepared: Prepared, damage: dict[str, object] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever only reads goes on; the next test event says so."""
    crash_after_the_decision(prepared, monkeypatch)
    path = prepared.avatar / ACCEPTING
    decided = json.loads(path.read_text())
    path.write_text(json.dumps([decided] if damage is None else decided | damage))
    with pytest.raises(KatasError, match=r"accepting\.json"):
        journal.recover(str(prepared.avatar))
    journal.recover_if_possible(str(prepared.avatar))
    assert journal.is_pending(str(prepared.avatar))


def test_who_only_reads_waits_for_who_carries_it_out_until_its_deadline(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And reads what is there then."""
    crash_after_the_decision(prepared, monkeypatch)
    journal.settle(str(prepared.avatar), 0.0)  # the event holds the lock
    assert journal.is_pending(str(prepared.avatar))
    prepared.event.close()
    journal.settle(str(prepared.avatar))
    assert not journal.is_pending(str(prepared.avatar))
    journal.settle(str(prepared.avatar))


def test_changes_come_back_from_json() -> None:
    """With names of any bytes."""
    changes = Changes((b"a", b"\xff"), (b"b/\xfe",), (Folder(b".", 0o1755, -5), Folder(b"c", 0, 7)))
    packed = json.loads(json.dumps(journal.pack_changes(changes)))
    assert journal.unpack_changes(packed) == changes


def test_a_history_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As git makes an empty one; a head says that it is there, and is forced to a durable disk."""
    forced: list[object] = []
    monkeypatch.setattr(journal, "sync_disk", forced.append)
    for durable in (False, True):
        assert forced == []
        folder = tmp_path / str(durable)
        journal.make_history(str(folder), durable=durable)
        assert len(forced) == durable
        assert (folder / "HEAD").read_text() == "ref: refs/heads/main\n"
        assert (folder / "config").read_bytes() == journal.CONFIG
        assert (folder / "refs" / "heads").is_dir()
        (folder / "config").write_text("mine")
        journal.make_history(str(folder), durable=durable)
        assert (folder / "config").read_text() == "mine"


@needs_git
@pytest.mark.parametrize("sent", [None, b"{}"])
def test_a_durable_acceptance_is_the_same_one(prepared: Prepared, sent: bytes | None) -> None:
    """Its objects are in the history, nothing is left beside it, and what was sent is recorded."""
    accepted, avatar = prepared.acceptance, prepared.avatar
    before = (avatar / VISIBLE).read_bytes()
    journal.accept(
        *(str(avatar), accepted.objects, accepted.commit, asdict(accepted.increment)),
        durable=True,
        sent=sent,
    )
    assert not (avatar / ACCEPTING).exists()
    assert (avatar / SANDBOX / "product").read_text() == "new"
    assert journal.head(str(avatar)) == (accepted.commit, 2)
    assert git(avatar / HISTORY, "fsck", "--strict", "--full") == ""
    assert (avatar / VISIBLE).read_bytes() == (before if sent is None else sent)


@pytest.mark.parametrize("durable", [False, True])
def test_the_list_of_test_events_is_forced_to_the_disk_if_they_are(
    durable: bool, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds those of all avatars. What survives a power failure is for the proof to try."""
    forced: list[object] = []
    add = increments.add

    def watched(*arguments: object, sync: object) -> None:
        forced.append(sync)
        add(*arguments, sync=sync)  # type: ignore[arg-type]

    monkeypatch.setattr(increments, "add", watched)
    accepted = prepared.acceptance
    journal.accept(
        *(str(prepared.avatar), accepted.objects, accepted.commit, asdict(accepted.increment)),
        durable=durable,
    )
    assert forced == [journal.sync_file if durable else None]
