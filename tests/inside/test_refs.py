"""References are read wherever git keeps them, and nothing goes on from what was lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.inside import journal, refs
from harness.inside.errors import KatasError
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import HISTORY, INCREMENTS, avatar_folder
from harness.katas import commits
from tests.events import LION, git, needs_git, play
from tests.support import one_line

FILES = {"a": "1"}


@pytest.fixture
def katas(tmp_path: Path) -> FolderKatas:
    """Three test events."""
    found = FolderKatas(tmp_path / "katas")
    for number in range(3):
        play(found, LION, {"a": str(number)})
    return found


def history_of(katas: FolderKatas) -> Path:
    return katas.root / avatar_folder(LION) / HISTORY


def pack_by_hand(history: Path) -> None:
    """As some gits do: tags alone, with comments, what an annotated one points to, and no line of
    the branch.
    """
    lines = ["# pack-refs with: peeled fully-peeled sorted "]
    for tag in sorted((history / "refs/tags").iterdir()):
        lines.append(f"{tag.read_text().strip()} refs/tags/{tag.name}")
        tag.unlink()
    lines += [f"{'1' * 40} refs/tags/v1", "^" + "2" * 40]
    (history / "packed-refs").write_text("\n".join(lines) + "\n")


PACKINGS: dict[str, Callable[[Path], object]] = {
    "all": lambda history: git(history, "pack-refs", "--all"),
    "tags": lambda history: git(history, "pack-refs"),
    "by hand": pack_by_hand,
    "gc": lambda history: git(history, "-c", "gc.packRefs=true", "gc", "--quiet"),
    "annotated": lambda history: (
        git(
            history,
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "tag",
            "-f",
            "-a",
            "-m",
            "x",
            "3",
            "3",
        ),
        git(history, "pack-refs", "--all"),
    ),
}


@needs_git
@pytest.mark.parametrize("how", PACKINGS)
def test_a_history_goes_on_however_its_references_are_kept(how: str, katas: FolderKatas) -> None:
    """The next test event has the next tag, and the last one is its parent."""
    PACKINGS[how](history_of(katas))
    assert play(katas, LION, FILES).tag == 3
    assert play(katas, LION, {"a": "5"}).tag == 4
    with katas.history(LION) as history:
        assert commits.read_commit(history, 3).files == {b"a": b"2"}
        assert b"+5" in commits.diff(history, 2, 5)
    assert [each.tag for each in katas.list()[LION.kata][LION.name]] == [1, 2, 3, 4, 5]


def increments_of(katas: FolderKatas) -> Path:
    return katas.root / avatar_folder(LION) / ".." / INCREMENTS


def set_back(katas: FolderKatas) -> None:
    data = json.loads(increments_of(katas).read_text())
    increments_of(katas).write_text(json.dumps({name: events[:1] for name, events in data.items()}))


LOSSES: dict[str, tuple[Callable[[FolderKatas], object], str]] = {
    "branch": (
        lambda katas: (history_of(katas) / refs.BRANCH).unlink(),
        "update-ref refs/heads/main refs/tags/3",
    ),
    "tag": (lambda katas: (history_of(katas) / "refs/tags/3").unlink(), "has lost tag 3"),
    "branch set back": (
        lambda katas: (history_of(katas) / refs.BRANCH).write_text(
            (history_of(katas) / "refs/tags/1").read_text()
        ),
        "elsewhere than at tag 3",
    ),
    "all": (
        lambda katas: [
            path.unlink() for path in (history_of(katas) / "refs").rglob("*") if path.is_file()
        ],
        "has no reference to them",
    ),
    "increments.json": (
        lambda katas: increments_of(katas).unlink(),
        "does not list the test events",
    ),
    "increments.json set back": (set_back, "elsewhere than at tag 1"),
}


@pytest.mark.parametrize("what", LOSSES)
def test_nothing_goes_on_from_what_was_lost(what: str, katas: FolderKatas) -> None:
    """It is told in one line, nothing is called damaged, and nothing changes; least of all is there
    a tag 1 again.
    """
    lose, words = LOSSES[what]
    lose(katas)
    before = katas.list()
    for _ in range(2):
        with pytest.raises(KatasError) as refused:
            play(katas, LION, FILES)
        assert words in one_line(refused.value)
        assert "damaged" not in str(refused.value)
    assert katas.list() == before


@needs_git
def test_what_the_message_says_puts_a_lost_branch_back(katas: FolderKatas) -> None:
    (history_of(katas) / refs.BRANCH).unlink()
    git(history_of(katas), "update-ref", refs.BRANCH, refs.tag_name(3))
    assert play(katas, LION, FILES).tag == 3


def test_a_reference_that_is_none_is_told(katas: FolderKatas) -> None:
    """In the harness's words, not in Python's."""
    (history_of(katas) / refs.BRANCH).write_text("nonsense\n")
    with pytest.raises(KatasError, match="does not name a commit"):
        play(katas, LION, FILES)


def test_a_lock_of_git_is_waited_for_and_one_that_is_left_is_taken(
    katas: FolderKatas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git that has died shuts nobody out."""
    monkeypatch.setattr(refs, "STEP_SECONDS", 0.2)
    lock = history_of(katas) / f"{refs.BRANCH}.lock"
    lock.touch()
    play(katas, LION, FILES)
    assert journal.head(str(history_of(katas).parent))[1] == 4
    assert [path.name for path in (history_of(katas) / "refs/heads").iterdir()] == ["main"]


@pytest.mark.parametrize("broken", ["objects", "commit"])
def test_a_broken_history_is_told_in_the_harness_s_words(broken: str, katas: FolderKatas) -> None:
    """Never in Python's."""
    history = history_of(katas)
    name = (history / "refs/tags/2").read_text().strip()
    path = history / "objects" if broken == "objects" else history / "objects" / name[:2] / name[2:]
    path.rename(history.parent / "away")
    with pytest.raises(KatasError) as told:
        commits.read_commit(history, 2)
    line = one_line(told.value)
    assert "Error" not in line
    assert "(" not in line
