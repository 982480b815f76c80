"""Keepers that idle: so many at most, for so long at most, and whoever gives one back waits for
none that goes.
"""

from __future__ import annotations

import threading

import pytest

from harness.inside.errors import EngineError
from harness.katas.idle_keepers import IdleKeepers
from tests.support import PATIENCE, eventually


class Keeper:
    """In place of one; its end can be held up."""

    def __init__(
        self, name: str, closed: list[str], may_end: threading.Event | None = None
    ) -> None:
        self._name, self._closed, self._may_end = name, closed, may_end

    def close(self) -> None:
        if self._may_end:
            assert self._may_end.wait(PATIENCE)
        self._closed.append(self._name)


def test_the_latest_is_taken_first_and_the_oldest_gives_way() -> None:
    closed: list[str] = []
    idle: IdleKeepers[Keeper] = IdleKeepers(most=2, seconds=PATIENCE)
    assert idle.take() is None
    keepers = [Keeper(name, closed) for name in "abcd"]
    for each in keepers:
        idle.give(each)
    assert list(idle) == keepers[2:]
    eventually(lambda: sorted(closed) == ["a", "b"], "those that gave way are closed")
    assert idle.take() is keepers[3]
    idle.clear()
    assert sorted(closed) == ["a", "b", "c"], "what was taken is the taker's"


def test_the_latest_that_is_fit_is_taken() -> None:
    """The others keep their places, and still count."""
    closed: list[str] = []
    idle: IdleKeepers[Keeper] = IdleKeepers(most=3, seconds=PATIENCE)
    a, b, c, d = (Keeper(name, closed) for name in "abcd")
    for each in (a, b, c):
        idle.give(each)
    assert idle.take(lambda one: one in (a, b)) is b
    assert idle.take(lambda one: one is b) is None
    for each in (b, d):
        idle.give(each)
    assert list(idle) == [c, b, d]
    idle.clear()
    assert sorted(closed) == ["a", "b", "c", "d"]


def test_after_a_while_they_go_the_last_one_later() -> None:
    """A player may think for long."""
    closed: list[str] = []
    idle: IdleKeepers[Keeper] = IdleKeepers(seconds=0.02, last_seconds=PATIENCE)
    for name in "abc":
        idle.give(Keeper(name, closed))
    eventually(lambda: closed == ["a", "b"] or sorted(closed) == ["a", "b"], "all but the last go")
    assert len(idle) == 1
    idle.clear()
    short: IdleKeepers[Keeper] = IdleKeepers(seconds=0.02, last_seconds=0.05)
    short.give(Keeper("d", closed))
    eventually(lambda: "d" in closed, "the last goes too")
    short.give(Keeper("e", closed))
    eventually(lambda: "e" in closed, "and one that comes after all had gone")


def test_who_gives_one_back_does_not_wait_for_those_that_go() -> None:
    """But who wants all of them closed does, for those too that are going already."""
    closed: list[str] = []
    may_end = threading.Event()
    idle: IdleKeepers[Keeper] = IdleKeepers(most=1, seconds=PATIENCE)
    for name in "abc":
        idle.give(Keeper(name, closed, may_end))
    assert closed == []
    clearing = threading.Thread(target=idle.clear)
    clearing.start()
    clearing.join(0.05)
    assert clearing.is_alive()
    may_end.set()
    clearing.join(PATIENCE)
    assert sorted(closed) == ["a", "b", "c"]
    assert not idle


def test_one_that_cannot_be_closed_keeps_no_other_from_it() -> None:
    closed: list[str] = []

    class Broken(Keeper):
        def close(self) -> None:
            super().close()
            raise EngineError("by a test")

    idle: IdleKeepers[Keeper] = IdleKeepers()
    for kind, name in ((Broken, "a"), (Keeper, "b"), (Broken, "c")):
        idle.give(kind(name, closed))
    idle.clear()
    assert sorted(closed) == ["a", "b", "c"]


@pytest.mark.parametrize("threads", [8])
def test_for_several_threads(threads: int) -> None:
    """Each is with one at a time, and none gets lost."""
    closed: list[str] = []
    idle: IdleKeepers[Keeper] = IdleKeepers(most=3, seconds=0.001, last_seconds=0.001)
    made = []

    def work(name: str) -> None:
        for _ in range(200):
            keeper = idle.take()
            if keeper is None:
                keeper = Keeper(name, closed)
                made.append(name)
            idle.give(keeper)

    working = [threading.Thread(target=work, args=(str(number),)) for number in range(threads)]
    for each in working:
        each.start()
    for each in working:
        each.join()
    idle.clear()
    assert len(closed) == len(made)
