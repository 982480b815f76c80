"""The model of what the katas must hold: it takes what is right, and nothing else."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from harness.inside.tree import Entry
from harness.verify.proofs.shared.verdict import Refuted
from harness.verify.soak.model import World
from harness.verify.testing.sessions import Model, Node

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


@pytest.mark.parametrize("name", ["a", "made"])
@pytest.mark.parametrize("has_folder", [True, False])
def test_a_product_of_the_player_s_own_may_be_older(name: str, *, has_folder: bool) -> None:
    """Only what takes the place of a file that runs alone wrote, and only if a folder has stamps."""
    world, there = begun()
    world.model.has_folder = has_folder
    world.model.visible[name.encode()] = Node("f", b"333")
    there |= {name.encode(): entry(3, OLD - 5)}
    if has_folder and name == "made":
        world.arrive(there, time.time_ns())
        return
    with pytest.raises(Refuted, match=f"the edited '{name}'"):
        world.arrive(there, time.time_ns())


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


def cut_off(old: Node, new: Node, *, program: bool = False) -> tuple[World, dict[bytes, Entry]]:
    """A test event that was to send another `a` was cut off, and left what a run had made of it."""
    world, there = begun()
    there[b"a"] = replace(there[b"a"], mode=0o755 if program else 0o644)
    world.entries[b"a"] = there[b"a"]
    world.model.tree[b"a"] = replace(world.model.tree[b"a"], program=program)
    world.model.sent[b"a"], world.model.visible[b"a"] = old, new
    world.doubt = {b"a": (old, new)}
    world.had.pop(b"a")  # the stamp that it was given was never seen
    return world, there


def test_a_permission_alone_may_have_been_sent_or_not() -> None:
    """Whoever was sent the program loses the permission, and who was sent none keeps what a run
    gave.
    """
    for mode in (0o755, 0o644):
        world, there = cut_off(Node("f", b"1", program=True), Node("f", b"1"), program=True)
        world.arrive(there | {b"a": replace(there[b"a"], mode=mode)}, time.time_ns())
        assert world.model.tree[b"a"].program == (mode == 0o755)


def test_what_is_put_back_after_a_cut_is_older_than_the_press() -> None:
    """It may be newer than all that was there, by the stamp that it was sent with."""
    for stamp, edited in ((OLD + 7, False), (time.time_ns() + 10**9, True)):
        world, there = cut_off(Node("l", b"there"), Node("l", b"here"))
        world.arrive(there | {b"a": entry(0, stamp, kind="l")}, time.time_ns())
        assert (b"a" in world.edited) == edited


def test_a_folder_that_became_a_file_before_a_cut_tells_what_was_sent() -> None:
    """The player has neither any more: the file goes if it was sent, and stays if the folder
    was.
    """
    for stays in (False, True):
        world, there = cut_off(Node("d"), Node("f", b"1"))
        del world.model.visible[b"a"]
        found = there if stays else {path: each for path, each in there.items() if path != b"a"}
        world.arrive(found, time.time_ns())
        assert (b"a" in world.model.tree) == stays


def test_a_folder_of_the_player_that_holds_only_what_may_go_may_go_itself() -> None:
    """After a cut nobody knows whose a folder in it was."""
    model = Model()
    model.tree = {b"a": Node("d"), b"a/x": Node("d")}
    model.sent, model.emptied = {b"a": Node("d")}, {b"a/x"}
    model.arrive()
    assert model.emptied == {b"a", b"a/x"}
    model.settle({})
    assert model.tree == {}
