"""A history stays small, and is at any moment what any git can read."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from harness.inside import journal, objects, packs, refs, repack
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import HISTORY, avatar_folder
from tests.children import killed_before
from tests.events import LION, git, needs_git, play

EVENTS = 6


@pytest.fixture
def katas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderKatas:
    """Some test events, nothing of which is packed yet."""
    monkeypatch.setattr(repack, "EVERY", 10**6)
    found = FolderKatas(tmp_path / "katas")
    for number in range(EVENTS):
        press(found, number)
    return found


def press(katas: FolderKatas, number: int) -> None:
    """An edit in the middle of a file of many lines, beside others that stay."""
    lines = [f"line {each}" for each in range(200)]
    lines[number % 200] = "edited"
    files: dict[str, str | bytes] = {f"sub/{each}": str(each) for each in range(30)}
    noise = random.Random(number).randbytes(3000)
    play(katas, LION, {**files, "main.c": "\n".join(lines), "noise": noise}, stdout=b"%d" % number)


def lion(katas: FolderKatas) -> Path:
    return katas.root / avatar_folder(LION)


def told(history: Path) -> list[str]:
    """Every object that git reaches, and every reference."""
    assert git(history, "fsck", "--strict", "--full", "--no-dangling") == ""
    return [
        git(history, "rev-list", "--objects", "--all"),
        git(history, "for-each-ref"),
        git(history, "log", "-p", "main"),
    ]


@needs_git
def test_nothing_is_lost_and_next_to_nothing_is_left(katas: FolderKatas) -> None:
    """The same history in one pack, most of it as differences; the next test event goes on from
    it.
    """
    history = lion(katas) / HISTORY
    before = told(history)
    repack.repack(str(lion(katas)))
    assert told(history) == before
    assert objects.loose(str(history)) == set()
    assert refs.loose_tags(str(history)) == []
    (pack,) = packs.complete_packs(str(history))
    git(history, "verify-pack", f"{pack}.idx")
    assert "chain length" in git(history, "verify-pack", "-v", f"{pack}.idx")
    comparison = play(katas, LION, {"a": "1"})
    assert comparison.tag == EVENTS
    assert git(history, "rev-list", "--count", "main").strip() == str(EVENTS + 1)


@needs_git
@pytest.mark.parametrize("words", [("gc", "--quiet"), ("repack", "-adq"), ("pack-refs", "--all")])
def test_git_may_pack_in_between(katas: FolderKatas, words: tuple[str, ...]) -> None:
    """Before, after, and both; a clone has all of it."""
    history = lion(katas) / HISTORY
    git(history, *words)
    press(katas, EVENTS)
    repack.repack(str(lion(katas)))
    git(history, *words)
    press(katas, EVENTS + 1)
    before = told(history)
    repack.repack(str(lion(katas)))
    assert told(history) == before
    git(history, "clone", "--quiet", "--mirror", str(history), str(lion(katas).parent / "clone"))
    assert told(lion(katas).parent / "clone") == before
    assert katas.list()[LION.kata][LION.name][-1].tag == EVENTS + 2


@needs_git
def test_a_kill_at_any_step_leaves_what_git_reads(katas: FolderKatas, tmp_path: Path) -> None:
    """And the next packing leaves no file of it."""
    repack.repack(str(lion(katas)))
    for number in range(3):
        press(katas, EVENTS + number)
    before = told(lion(katas) / HISTORY)
    step, killed = 0, True
    while killed:
        copy = tmp_path / "copy"
        shutil.copytree(katas.root, copy, symlinks=True)
        avatar = copy / avatar_folder(LION)
        killed = killed_before(step, lambda avatar=avatar: repack.repack(str(avatar)))
        assert told(avatar / HISTORY) == before
        assert journal.head(str(avatar))[1] == EVENTS + 3
        repack.repack(str(avatar))
        assert told(avatar / HISTORY) == before
        left = [path.name for path in (avatar / HISTORY).rglob("*")]
        assert not [name for name in left if name.startswith("tmp_") or name.endswith(".lock")]
        assert objects.loose(str(avatar / HISTORY)) == set()
        shutil.rmtree(copy)
        step += 1 if step < 12 else 7
    assert step > 12


@needs_git
def test_packs_stay_few(katas: FolderKatas) -> None:
    """However often a history is packed: a pack that is not much larger than the later ones is
    merged with them.
    """
    for number in range(12):
        press(katas, EVENTS + number)
        repack.repack(str(lion(katas)))
    assert len(packs.complete_packs(str(lion(katas) / HISTORY))) <= 3
    told(lion(katas) / HISTORY)


@needs_git
def test_a_damaged_object_stays_where_it_is(katas: FolderKatas) -> None:
    """It is no part of a pack, so that a backup of it can be put back; all others are packed."""
    history = lion(katas) / HISTORY
    name = git(history, "rev-parse", "2:sandbox/main.c").strip()
    path = Path(objects.path_of(str(history), name))
    good = path.read_bytes()
    path.write_bytes(good[:-8])
    repack.repack(str(lion(katas)))
    assert objects.loose(str(history)) == {name}
    path.write_bytes(good)
    told(history)


@needs_git
def test_large_and_empty_objects_are_packed_too(katas: FolderKatas) -> None:
    """Those of which no more than a piece is held in memory, that differ in their length alone, or
    in all of it.
    """
    large = random.Random(7).randbytes(3 << 20)
    for content in (
        large,
        large + b"1",
        b"",
        b"x" * 70000,
        b"x" * 70001,
        b"y" * 70001,
        bytes(1 << 20),
    ):
        play(katas, LION, {"a": content})
    before = told(lion(katas) / HISTORY)
    repack.repack(str(lion(katas)))
    assert told(lion(katas) / HISTORY) == before
    assert git(lion(katas) / HISTORY, "show", f"{EVENTS + 3}:sandbox/a") == ""


@needs_git
def test_it_is_done_in_time_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside test events; closing the katas waits for it."""
    monkeypatch.setattr(repack, "EVERY", 4)
    katas = FolderKatas(tmp_path / "katas")
    for number in range(9):
        press(katas, number)
        katas.close()
    history = lion(katas) / HISTORY
    assert refs.loose_tags(str(history)) == [9]
    assert git(history, "rev-list", "--count", "main").strip() == "9"
    told(history)


def test_what_is_packed_is_not_missing(katas: FolderKatas) -> None:
    """So that it is not written a second time; what is nowhere is."""
    history = str(lion(katas) / HISTORY)
    names = objects.loose(history)
    repack.repack(str(lion(katas)))
    assert objects.missing(history, names | {"0" * 40, "f" * 40}) == {"0" * 40, "f" * 40}
    assert objects.missing(history, names) == set()


def test_a_difference_makes_the_content() -> None:
    """By the rules of git's patch_delta: whatever two contents have in common."""
    pick = random.Random(3)
    contents = [b"", b"a", b"aa", b"aba", bytes(300), bytes(299) + b"1", pick.randbytes(70000)]
    contents += [contents[-1][:500] + b"new" + contents[-1][500:], contents[-1][1000:]]
    for base in contents:
        for content in contents:
            assert applied(base, packs.delta_instructions(base, content)) == content


def applied(base: bytes, delta: bytes) -> bytes:
    at = 0

    def number() -> int:
        nonlocal at
        found = shift = 0
        while True:
            byte = delta[at]
            at += 1
            found |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return found

    assert number() == len(base)
    size = number()
    out = b""
    while at < len(delta):
        byte = delta[at]
        at += 1
        if byte & 0x80:
            assert byte == 0xFF
            start = int.from_bytes(delta[at : at + 4], "little")
            count = int.from_bytes(delta[at + 4 : at + 7], "little")
            at += 7
            out += base[start : start + count]
        else:
            assert byte
            out += delta[at : at + byte]
            at += byte
    assert len(out) == size
    return out


def test_it_takes_a_small_part_of_the_disk(katas: FolderKatas) -> None:
    """What four objects and a tag in files of their own would take is more than ten times of it."""
    for number in range(30):
        play(katas, LION, {"main.c": f"{number}\n" * 100, "b": "same"}, stdout=b"ok")
    sizes = katas.tidy()
    assert sizes.after * 4 < sizes.before
    assert os.listdir(lion(katas) / HISTORY / "refs" / "tags") == []
