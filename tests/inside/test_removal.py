"""Removing a kata or an avatar: all of it goes, and nothing else; a crash in the middle leaves it
or not.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from harness.inside import increments
from harness.inside.errors import KatasError, NoSuchAvatar, UsageError
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import STORE, Avatar, avatar_folder, kata_folder
from harness.inside.locks import locked
from harness.inside.store import Katas
from harness.inside.tree import Snapshot, difference, snapshot
from tests.children import killed_before
from tests.events import LION, SPIDER, folder_of, opened, play, settle
from tests.support import eventually, one_line

OTHER = Avatar("0123456789", "lion")
FILES = {"a": "1", "sub/b": "2"}


@pytest.fixture(params=["folder", "volume"])
def katas(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Katas]:
    """Two avatars of one kata, and one of another."""
    with opened(request.param, tmp_path) as found:
        for each in (LION, SPIDER, OTHER):
            play(found, each, FILES)
        settle(found)
        yield found


@pytest.fixture
def root(katas: Katas, tmp_path: Path) -> Path:
    """Where they lie on this disk."""
    return folder_of("folder" if isinstance(katas, FolderKatas) else "volume", tmp_path)


def test_an_avatar_goes_and_its_team_stays(katas: Katas, root: Path) -> None:
    """As if it had never played: whoever takes its name begins with nothing."""
    team = snapshot(root / avatar_folder(SPIDER), contents=True)
    katas.remove(LION.kata, LION.name)
    assert set(katas.list()[LION.kata]) == {SPIDER.name}
    assert LION.name not in increments.read_increments(
        str(root / kata_folder(LION.kata) / "increments.json")
    )
    assert snapshot(root / avatar_folder(SPIDER), contents=True) == team
    assert play(katas, LION, FILES).tag == 0
    assert [each.tag for each in katas.list()[LION.kata][LION.name]] == [1]


def test_a_kata_goes_with_all_its_avatars(katas: Katas, root: Path) -> None:
    """Nothing is left of it, not even its folder; the other one is what it was."""
    other = snapshot(root / kata_folder(OTHER.kata), contents=True)
    katas.remove(LION.kata)
    assert set(katas.list()) == {OTHER.kata}
    assert snapshot(root / kata_folder(OTHER.kata), contents=True) == other
    assert {each.name for each in root.iterdir()} == {OTHER.kata[:2], STORE}
    katas.remove(OTHER.kata)
    assert [each.name for each in root.iterdir()] == [STORE]


def test_who_is_not_there_cannot_be_removed(katas: Katas, root: Path) -> None:
    before = snapshot(root, contents=True)
    for kata, name in ((LION.kata, "tiger"), ("ABCDEFGHIJ", None), ("ABCDEFGHIJ", "lion")):
        with pytest.raises(NoSuchAvatar) as refused:
            katas.remove(kata, name)
        one_line(refused.value)
    for kata, name in (("../../etc", None), (LION.kata, ".."), (LION.kata, "")):
        with pytest.raises(UsageError):
            katas.remove(kata, name)
    assert snapshot(root, contents=True) == before


@pytest.mark.parametrize("name", [None, LION.name])
def test_a_test_event_that_is_under_way_is_waited_for(name: str | None, katas: Katas) -> None:
    """It ends as it would have, and then its avatar goes."""
    event = katas.event(LION)
    removing = threading.Thread(target=lambda: katas.remove(LION.kata, name))
    removing.start()
    removing.join(0.2)
    assert removing.is_alive()
    assert LION.name in katas.list()[LION.kata]
    event.close()
    removing.join()
    eventually(lambda: LION.name not in katas.list().get(LION.kata, {}), "the avatar goes")


@pytest.mark.parametrize("name", [None, LION.name])
def test_a_kill_at_any_step_leaves_it_whole_or_gone(name: str | None, tmp_path: Path) -> None:
    """As the katas list it; and the next removal takes away what is left."""
    whole = FolderKatas(tmp_path / "whole")
    for each in (LION, SPIDER):
        play(whole, each, {"a": "1"})
    lion = snapshot(whole.root / avatar_folder(LION), contents=True)
    for step in range(1000):
        katas = FolderKatas(tmp_path / str(step))
        shutil.copytree(whole.root, katas.root, symlinks=True)
        killed = killed_before(step, lambda katas=katas: katas.remove(LION.kata, name))
        if LION.name in katas.list().get(LION.kata, {}):
            now = snapshot(katas.root / avatar_folder(LION), contents=True)
            assert not difference(unstamped(lion), unstamped(now))
        else:
            play(katas, LION, {"a": "1"})
        katas.remove(LION.kata, name)
        assert not [path for path in snapshot(katas.root) if b"lion" in path or b".lock" in path]
        if not killed:
            return


@pytest.mark.parametrize("go_on", ["pack", "remove it", "remove another"])
def test_whoever_comes_next_finishes_the_removal_of_a_kata(tmp_path: Path, go_on: str) -> None:
    """Nobody need play it again for that; what somebody else is removing is his."""
    katas = FolderKatas(tmp_path)
    for avatar in (LION, OTHER):
        play(katas, avatar, FILES)
    kata = katas.root / kata_folder(LION.kata)
    gone = kata.with_name(f"{kata.name}.lock")
    kata.rename(gone)
    with locked(str(gone)):
        katas.tidy()
    assert gone.is_dir()
    if go_on == "pack":
        katas.tidy()
    elif go_on == "remove it":
        with pytest.raises(NoSuchAvatar):
            katas.remove(LION.kata)
    else:
        katas.remove(OTHER.kata)
    assert not gone.parent.exists()


def unstamped(entries: Snapshot) -> Snapshot:
    """A copy has stamps of its own."""
    return {path: replace(entry, mtime_ns=0) for path, entry in entries.items()}


def test_whoever_waited_for_what_is_removed_is_told(tmp_path: Path) -> None:
    """A test event that waits for the lock of an avatar that goes does not write into nothing."""
    katas = FolderKatas(tmp_path)
    play(katas, LION, FILES)
    told: list[KatasError] = []

    def wait() -> None:
        try:
            katas.event(LION).close()
        except KatasError as error:
            told.append(error)

    folder = katas.root / avatar_folder(LION)
    waiting = threading.Thread(target=wait)
    with closing(katas.event(LION)):
        waiting.start()
        waiting.join(0.2)
        folder.rename(folder.with_name("gone"))
    waiting.join()
    assert "removed meanwhile" in one_line(told[0]) or "No such file" in one_line(told[0])
