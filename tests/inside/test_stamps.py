"""The rules for stamps, by themselves: with a clock that stands still, or moves when it is told."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.inside import stamping, stamps
from harness.inside.delta import Delta
from harness.inside.errors import KatasError
from harness.inside.sent_record import Sent
from harness.inside.stamping import (
    AheadFiles,
    bring_to_clock,
    put_ahead_again,
    stamp_all,
    stamp_back,
)
from harness.inside.stamps import (
    TICK_NS,
    AgainstTime,
    Moved,
    against_time,
    as_sent,
    file_time,
    in_order,
    is_ahead,
    still_sent,
    up_to,
)

NOW = 1_700_000_000_000_000_000


@pytest.fixture(name="clock")
def fixture_clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the clock of files says: its one element, which a test may change."""
    clock = [NOW]
    for module in (stamps, stamping):
        monkeypatch.setattr(module, "file_time", lambda: clock[0])
    return clock


def sent(stamp: int, age: int | None = None) -> Sent:
    return Sent(0o100644, "blob", stamp, age=age)


def test_the_clock_is_that_of_the_kernel_s_stamps(tmp_path: Path) -> None:
    """A file is not stamped before it, and it is a clock of days, not of how long the host is up."""
    before = file_time()
    (tmp_path / "made").touch()
    assert before <= (tmp_path / "made").stat().st_mtime_ns
    assert 0 <= time.time_ns() - before < 86_400 * 10**9
    assert TICK_NS == 20_000_000


def test_a_stamp_within_a_tick_is_not_ahead(clock: list[int]) -> None:
    assert not is_ahead(NOW + TICK_NS)
    assert is_ahead(NOW + TICK_NS + 1)
    assert not is_ahead(0)


def test_the_newest_edit_is_stamped_now() -> None:
    """Equal ages get equal stamps, and what has no age is the newest."""
    ages = {b"old": 5, b"new": 90, b"same": 5, b"unknown": None}
    assert up_to(NOW, ages) == {
        **{b"old": NOW - 2, b"same": NOW - 2},
        **{b"new": NOW - 1, b"unknown": NOW},
    }
    assert up_to(NOW, {b"old": 5, b"new": 90}) == {b"old": NOW - 1, b"new": NOW}
    assert up_to(NOW, {b"one": None, b"two": None}) == {b"one": NOW, b"two": NOW}
    assert up_to(NOW, {}) == {}


def test_all_edits_are_later_than_the_latest(
    clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is far enough, or the latest is ahead of it, which is not waited for."""
    ages = {b"a": 1, b"b": 2, b"c": None}
    assert in_order(ages, NOW - 3) == {b"a": NOW - 2, b"b": NOW - 1, b"c": NOW}
    ahead = NOW + 10 * TICK_NS
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("a clock that is ahead"))
    assert in_order(ages, ahead) == {b"a": ahead + 1, b"b": ahead + 2, b"c": ahead + 3}


def test_the_next_tick_of_the_clock_is_waited_for(
    clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In short naps, and no longer than two of the longest ticks."""
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        clock[0] += 4_000_000 * (len(naps) == 3)

    monkeypatch.setattr(time, "sleep", nap)
    assert in_order({b"a": None}, NOW) == {b"a": NOW + 4_000_000}
    assert len(naps) == 3
    assert max(naps) <= 0.001
    late = iter(range(0, 10**12, TICK_NS // 2))
    monkeypatch.setattr(time, "monotonic_ns", lambda: next(late))
    clock[0], stays = NOW, NOW + TICK_NS
    assert in_order({b"a": None}, stays) == {b"a": stays + 1}
    assert len(naps) == 5


def test_a_first_event_keeps_the_player_s_stamps(clock: list[int]) -> None:
    """Those of the past; the others come after them, up to now."""
    ages = {b"a": NOW - 9, b"now": NOW, b"ahead": NOW + 5, b"none": None}
    assert as_sent({b"a": NOW - 9, b"none": None}, NOW) == {b"a": NOW - 9, b"none": NOW}
    clock[0] = NOW + 100
    assert as_sent(ages, NOW) == {
        **{b"a": NOW - 9, b"now": NOW},
        **{b"ahead": NOW + 99, b"none": NOW + 100},
    }
    assert as_sent({b"none": None}, NOW) == {b"none": NOW + 100}


def test_an_object_from_a_cache_is_older_than_its_source(clock: list[int]) -> None:
    """One that is younger than it in the player's folder: it keeps its own age."""
    record = {b"young.c": sent(500, 50), b"old.c": sent(100, 10)}
    edits = {b"early": 5, b"between": 40, b"as young": 50, b"younger": 60}
    made = dict.fromkeys(edits, 0)
    found = against_time(edits, made, record, {b"young.c": 50, b"old.c": 10})
    assert found == AgainstTime({b"early": 5, b"between": 40}, {})


def test_an_object_is_stamped_before_every_source_that_it_is_older_than(clock: list[int]) -> None:
    """A source that was touched since, too, whose stamp in the sandbox is older than its age; and
    one that was touched after the object was built, and taken back.
    """
    record = {b"a.c": sent(20, 20), b"b.c": sent(30, 30)}
    ages = {b"a.c": 20, b"b.c": 90}
    assert against_time({b"o": 80}, {b"o": 0}, record, ages) == ({b"o": 29}, {})
    assert against_time({b"o": 15}, {b"o": 0}, record, ages) == ({b"o": 15}, {})
    assert against_time({b"o": 95}, {b"o": 0}, record, ages) == ({}, {})


def test_an_object_that_is_older_than_what_it_replaces_stays_older(clock: list[int]) -> None:
    """It may be older than something else that a run made, which no source is."""
    record, ages = {b"a.c": sent(10, 10)}, {b"a.c": 10}
    assert against_time({b"o": 50}, {b"o": 70}, record, ages) == ({b"o": 50}, {})
    assert against_time({b"o": 50}, {b"o": 50}, record, ages) == ({}, {})


def test_what_no_run_made_is_an_edit_like_any_other(clock: list[int]) -> None:
    """So is what has no age; and a source that is not in the record bounds nothing."""
    record, ages = {b"a.c": sent(50, 50)}, {b"a.c": 50, b"b.c": 90}
    assert against_time({b"o": 5}, {}, record, ages) == AgainstTime({}, {})
    assert against_time({b"o": None}, {b"o": 0}, record, ages) == AgainstTime({}, {})
    assert against_time({b"o": 60}, {b"o": 0}, record, ages) == AgainstTime({}, {})
    made = {b"o": 0, b"p": 0}
    assert against_time({b"o": 5, b"p": None}, made, record, ages).older == {b"o": 5}


def test_a_source_that_was_touched_after_an_edit_is_stamped_with_it(clock: list[int]) -> None:
    """Of those that were sent with another stamp, be it ahead of the clock."""
    record = {name: sent(9, 1) for name in (b"same", b"touched", b"before", b"ahead", b"now")}
    ages = {b"same": 1, b"touched": 11, b"before": 10, b"ahead": NOW + 1, b"now": NOW}
    found = against_time({b"edit": 10, b"later": 12}, {}, record, {**ages, b"unsent": 11})
    assert found == AgainstTime({}, {b"touched": 11, b"now": NOW, b"ahead": NOW + 1})


def test_a_folder_that_was_written_anew_tells_nothing(clock: list[int]) -> None:
    """All unchanged files have other stamps; one that has not tells. An object that is older than
    all that was written anew is older all the same, as one out of a cache.
    """
    record = {b"a": sent(9, 1), b"b": sent(9, 1)}
    assert against_time({b"edit": 2}, {}, record, {b"a": 3, b"b": 3}) == ({}, {})
    assert against_time({b"edit": 2}, {}, record, {b"a": 3, b"b": 1}) == ({}, {b"a": 3})
    assert against_time({b"o": 5}, {b"o": 0}, record, {b"a": 4, b"b": 6}) == ({}, {})
    assert against_time({b"o": 12}, {b"o": 0}, record, {b"a": 14, b"b": 13}) == ({b"o": 8}, {})


def test_a_source_is_as_old_as_the_press_that_sent_it(clock: list[int]) -> None:
    """If it was ahead of the clock then, or had no age."""
    ahead = {b"a.c": sent(50, 900)}
    assert against_time({b"o": 60}, {b"o": 0}, ahead, {b"a.c": 900}) == ({}, {})
    assert against_time({b"o": 40}, {b"o": 0}, ahead, {b"a.c": 900}) == ({b"o": 40}, {})


def test_what_stays_in_the_record_has_its_age_of_now() -> None:
    record = {name: sent(9, 1) for name in (b"a", b"b", b"gone", b"left")}
    delta = Delta((b"a", b"b"), (), (), (b"gone",), ages={b"a": 5}, released=(b"left",))
    left = Sent(0o100644, "blob", 9, age=1, left_out=True)
    kept = {b"a": sent(9, 5), b"b": sent(9, 1), b"left": left}
    assert still_sent(record, delta) == kept
    assert still_sent(kept, replace(delta, released=()))[b"left"] == left
    back = replace(delta, unchanged=(b"a", b"b", b"left"), released=())
    assert still_sent(kept, back)[b"left"] == sent(9, 1)


def test_a_file_system_that_stores_whole_seconds_gets_a_later_one(clock: list[int]) -> None:
    """Or two seconds later; if even that is not stored later, it is refused."""
    second = 10**9
    latest = NOW + 10 * second

    def stored(step: int) -> dict[bytes, int]:
        return stamp_all(
            lambda name, at: at // step * step, {b"a": 1, b"b": 2}, latest, first=False
        )

    assert stored(1) == {b"a": latest + 2, b"b": latest + 3}
    assert stored(second) == {b"a": latest + second, b"b": latest + second}
    assert stored(4 * second // 2) == {b"a": latest + 2 * second, b"b": latest + 2 * second}
    with pytest.raises(KatasError, match="cannot stamp an edit later"):
        stored(100 * second)
    tried: list[int] = []
    with pytest.raises(KatasError):
        stamp_all(lambda name, at: tried.append(at) or 0, {b"a": None}, latest, first=False)
    assert tried == [latest + 1, latest + second + 1, latest + 2 * second + 1]
    kept = stamp_all(lambda name, at: at, {b"a": 5, b"b": None}, latest, first=True)
    assert kept == {b"a": 5, b"b": NOW}


def test_so_many_paths_ahead_are_remembered(
    clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are as new as the clock from then on; those within a tick are not ahead."""
    assert stamping.AHEAD_BYTES == 16 * 1024 * 1024
    monkeypatch.setattr(stamping, "AHEAD_BYTES", 7)
    files = AheadFiles()
    ahead = NOW + TICK_NS + 1
    assert (files.latest, files.ages) == (0, {})
    assert not files.is_too_many(b"old", 5)
    assert files.latest == 5
    assert not files.is_too_many(b"1234", ahead)
    assert (files.latest, files.ages) == (5, {b"1234": ahead})
    assert not files.is_too_many(b"567", ahead)
    assert files.is_too_many(b"8", ahead)
    assert (files.latest, set(files.ages)) == (NOW, {b"1234", b"567"})
    assert not files.is_too_many(b"tick", NOW + TICK_NS)
    assert files.latest == NOW + TICK_NS
    assert files.is_too_many(None, ahead)
    assert files.latest == NOW + TICK_NS
    assert not files.is_too_many(b"older", 7)
    assert files.latest == NOW + TICK_NS


def test_what_is_moved_back_keeps_its_order(clock: list[int]) -> None:
    """The newest first, so that one that is in two places gets the stamp of the older; the newest
    stamp afterwards is told.
    """
    order: list[bytes] = []

    def stamp(path: bytes, at: int) -> int:
        order.append(path)
        return at + 1000

    ages = {b"a": NOW + 9 * TICK_NS, b"b": NOW + 8 * TICK_NS}
    moved, newest = stamp_back(stamp, ages, 5)
    assert order == [b"b", b"a"]
    assert moved == {
        b"a": Moved(NOW + 1000, NOW + 9 * TICK_NS),
        b"b": Moved(NOW + 999, NOW + 8 * TICK_NS),
    }
    assert newest == NOW + 1000
    assert stamp_back(stamp, {}, 5) == ({}, 5)


def test_stamps_ahead_are_brought_back_and_put_ahead_again(tmp_path: Path) -> None:
    """But not what was edited, nor what a run has changed since."""
    tmp_path = tmp_path / "sandbox"
    (tmp_path / "folder").mkdir(parents=True)
    day = 86_400 * 10**9
    future = time.time_ns() + day
    for name, at in (("a", future), ("folder/b", future + 5), ("edited", future), ("old", day)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, ns=(at, at))

    def mtime(name: str) -> int:
        return (tmp_path / name).stat().st_mtime_ns

    ahead, newest = bring_to_clock(str(tmp_path), {b"edited"})
    assert set(ahead) == {b"a", b"folder/b"}
    assert mtime("a") < mtime("folder/b") == newest < future
    assert (mtime("edited"), mtime("old")) == (future, day)
    os.utime(tmp_path / "a", ns=(day, day))
    (tmp_path / "old").unlink()
    put_ahead_again(str(tmp_path), {**ahead, b"old": Moved(day, future)})
    assert (mtime("a"), mtime("folder/b")) == (day, future + 5)


def test_the_stamps_of_paths_too_deep_to_name_are_brought_back_for_good(tmp_path: Path) -> None:
    """Nobody can look them up again."""
    future = time.time_ns() + 86_400 * 10**9
    here = tmp_path / "sandbox"
    for depth in range(stamping.PATH_PARTS + 1):
        here.mkdir()
        if depth >= stamping.PATH_PARTS - 1:
            (here / "file").touch()
            os.utime(here / "file", ns=(future, future))
        deep, here = here, here / "d"
    ahead, newest = bring_to_clock(str(tmp_path / "sandbox"), ())
    assert [path.count(b"/") for path in ahead] == [stamping.PATH_PARTS - 1]
    assert (deep / "file").stat().st_mtime_ns <= newest < future


def test_a_symlink_beyond_the_bound_is_stamped_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what it points to, which may be anywhere."""
    monkeypatch.setattr(stamping, "AHEAD_BYTES", 0)
    future = time.time_ns() + 86_400 * 10**9
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "outside").touch()
    (tmp_path / "sandbox" / "link").symlink_to("../outside")
    for path in (tmp_path / "outside", tmp_path / "sandbox" / "link"):
        os.utime(path, ns=(future, future), follow_symlinks=False)
    ahead, newest = bring_to_clock(str(tmp_path / "sandbox"), ())
    assert ahead == {}
    assert (tmp_path / "sandbox" / "link").lstat().st_mtime_ns <= newest < future
    assert (tmp_path / "outside").stat().st_mtime_ns == future
