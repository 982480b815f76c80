"""How blocks are handed out, and what travels to a worker: without any cluster."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import pytest

from harness.inside.errors import EngineError
from harness.measure.cluster import MOST_DEATHS, Work, unlike
from harness.measure.cluster.comparing import stints
from harness.measure.cluster.worker import Parcel, Stint, play_stint
from harness.measure.trees import OwnTree, TypicalTree
from harness.measure.trials import BlockPlan

MODEL = Stint(
    tree=Parcel("typical:cost=0.01"),
    runners=("tmp",),
    again=None,
    engine="local",
    image=None,
    command="./cyber-dojo.sh",
    max_seconds=60,
    scenarios=("full", "incremental"),
    rounds=0,
    seed=7,
)


def test_so_many_rounds_are_handed_out_as_were_asked_for() -> None:
    """Five a stint and the rest in the last; no two stints shuffle alike."""
    handed = list(stints(BlockPlan(0, 12), MODEL, machines=2))
    assert [each.rounds for each in handed] == [5, 5, 2]
    assert len({each.seed for each in handed}) == 3


def test_each_machine_has_a_stint_however_small_the_budget() -> None:
    assert len(list(stints(BlockPlan(1e-9), MODEL, machines=3))) == 3


def test_a_stint_is_played_by_one_machine_and_begins_with_a_build_from_nothing() -> None:
    """It and its samples travel as values."""
    (stint,) = stints(BlockPlan(0, 1), MODEL, machines=1)
    samples = pickle.loads(pickle.dumps(play_stint(pickle.loads(pickle.dumps(stint)))))
    assert [each.scenario for each in samples] == ["full", "full", "incremental", "incremental"]
    assert all(each.right for each in samples)
    assert len({each.machine for each in samples}) == 1


def test_a_tree_of_one_s_own_travels_whole(tmp_path: Path) -> None:
    """With its modes, links and edits, and under its own name; a tree that can be made anywhere
    does not.
    """
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (here / "cyber-dojo.sh").write_text("#!/bin/sh\n")
    (here / "cyber-dojo.sh").chmod(0o755)
    (here / "a.c").write_bytes(b"\xff\n")
    (here / "link").symlink_to("a.c")
    parcel = pickle.loads(pickle.dumps(Parcel.of(OwnTree(here, "a.c"), "a.c", None)))
    there.mkdir()
    tree = parcel.open(there)
    assert tree.name == str(here)
    assert (there / "cyber-dojo.sh").stat().st_mode & 0o777 == 0o755
    assert (there / "link").readlink() == Path("a.c")
    assert tree.edit(1).content == OwnTree(here, "a.c").edit(1).content
    assert Parcel.of(TypicalTree("cost=0.1"), None, None) == Parcel("typical:cost=0.1")


def test_a_job_that_was_given_back_is_taken_by_whoever_waits() -> None:
    """One who has nothing left to do waits for as long as others may still die."""
    work = Work(iter(["job"]))
    pending = work.take()
    assert pending is not None
    taken: list[object] = []
    waiting = threading.Thread(target=lambda: taken.append(work.take()))
    waiting.start()
    work.give_back(pending)
    waiting.join(30)
    assert taken == [pending]
    work.finish()
    assert work.take() is None
    assert not work.left()


def test_a_job_that_machines_die_of_is_given_up() -> None:
    work = Work(iter(["job"]))
    for _ in range(MOST_DEATHS - 1):
        pending = work.take()
        assert pending is not None
        work.give_back(pending)
    pending = work.take()
    assert pending is not None
    with pytest.raises(EngineError, match="machines died while playing the same job"):
        work.give_back(pending)


def test_machines_that_differ_in_what_figures_depend_on_are_told() -> None:
    """And nothing of those that are alike."""
    engine = {"engine": "docker 26", "storage driver": "overlay2"}
    one = {
        "id": "one",
        "host": "a",
        "cpu": "x",
        "processors": 2,
        "kernel": "6",
        "tar": "t",
        "engine": engine,
    }
    other = one | {"id": "other", "host": "b"}
    assert unlike([one, other]) == []
    (said,) = unlike([one, other | {"engine": engine | {"storage driver": "fuse-overlayfs"}}])
    assert said == (
        "the machines differ in their storage driver: overlay2 on one; fuse-overlayfs on other"
    )
    assert "disturb each other" in unlike([one, other | {"host": "a"}])[0]
