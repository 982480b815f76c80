"""The model of what the katas must hold: it takes what is right, and nothing else."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from harness.proofs.verdict import Refuted
from harness.soak.world import World
from harness.testing.sessions import Model, Node
from harness.tree import Entry

OLD = 1_500_000_000_000_000_001


def entry(size: int, stamp: int = OLD, kind: str = "f") -> Entry:
    return Entry(kind, 0o755 if kind == "d" else 0o644, size, stamp)


def begun() -> tuple[World, dict[bytes, Entry]]:
    """One test event has been played: two files were sent, and a run made a third."""
    world = World(keeps=True, exact=True, model=Model())
    world.model.visible = {b"a": Node("f", b"1"), b"b": Node("f", b"1")}
    there = {b".": entry(0, kind="d"), b"a": entry(1), b"b": entry(1)}
    world.arrive(there, OLD)
    world.model.tree[b"made"] = Node("f", b"22")
    there[b"made"] = entry(2, OLD + 1)
    world.ran(there)
    return world, dict(there)


def test_what_nobody_touched_is_as_it_was() -> None:
    """To the nanosecond."""
    world, there = begun()
    world.arrive(there, time.time_ns())
    there[b"made"] = replace(there[b"made"], mtime_ns=OLD + 2)
    with pytest.raises(Refuted, match=r"'made' has the mtime .* \(\+1 ns\)"):
        world.arrive(there, time.time_ns())


def test_an_edit_is_later_than_all_that_was_there() -> None:
    world, there = begun()
    world.model.visible[b"a"] = Node("f", b"2")
    with pytest.raises(Refuted, match="the edited 'a'"):
        world.arrive(there, time.time_ns())
    world, there = begun()
    world.model.visible[b"a"] = Node("f", b"2")
    world.arrive(there | {b"a": entry(1, OLD + 2)}, time.time_ns())


def test_what_a_run_rewrote_stays_and_what_it_took_away_comes_back_with_its_stamp() -> None:
    """A file that the player did not edit is not written again."""
    world, there = begun()
    world.model.tree[b"a"] = Node("f", b"rewritten")
    del world.model.tree[b"b"]
    del there[b"b"]
    there[b"a"] = entry(9, OLD + 5)
    world.ran(there)
    with pytest.raises(Refuted, match="'b' was put back"):
        world.arrive(there | {b"b": entry(1, OLD + 9)}, time.time_ns())
    world.model.tree.pop(b"b")
    world.arrive(there | {b"b": entry(1)}, time.time_ns())


def test_of_a_test_event_that_was_cut_off_each_file_is_old_or_new() -> None:
    """What is there tells which, and the session goes on from it."""
    world, there = begun()
    world.model.visible[b"a"] = Node("f", b"333")
    world.doubt = {b"a": (Node("f", b"1"), Node("f", b"333"))}
    world.arrive(there | {b"a": entry(3, OLD + 7)}, time.time_ns())
    world, there = begun()
    world.model.visible[b"a"] = Node("f", b"333")
    world.doubt = {b"a": (Node("f", b"1"), Node("f", b"333"))}
    with pytest.raises(Refuted, match="'a' has the size"):
        world.arrive(there | {b"a": entry(8, OLD + 7)}, time.time_ns())
