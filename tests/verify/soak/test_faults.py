"""Faults of the soak happen on any engine that allows them."""

from __future__ import annotations

from contextlib import closing

import pytest

from harness.engines import Engine
from harness.runners import parse_variant
from harness.runners.run import Outcome
from harness.verify.faults.faulty_engine import FaultyEngine
from harness.verify.faults.packed_references import ALL, pack_references
from harness.verify.soak.presses import SoakFault, possible_faults
from tests.support import an_avatar, make_runner, play


def test_only_what_can_happen_is_drawn(shared_engine: Engine) -> None:
    """No keeper dies that a runner does not have, and no process is removed."""
    alone = possible_faults(shared_engine, keepers=False)
    assert SoakFault.RUN_KILLED in alone
    assert not [fault for fault in alone if fault.startswith("keeper")]
    every = possible_faults(shared_engine, keepers=True)
    assert (set(every) == set(SoakFault)) == shared_engine.removable


@pytest.mark.parametrize("how", ["killed", "stopped", "removed"])
def test_a_keeper_that_is_struck_is_replaced(shared_engine: Engine, how: str) -> None:
    """The test event after it finds what was accepted."""
    fault = SoakFault(f"keeper {how}")
    if fault not in possible_faults(shared_engine, keepers=True):
        pytest.skip("this engine's keepers cannot be removed")
    watched = FaultyEngine(shared_engine)
    with closing(make_runner("katas-data-container", watched)) as runner:
        avatar = an_avatar()
        assert play(runner, avatar, "echo 1 >made").tag == 1
        watched.strike(fault.victim, fault.action)
        run = play(runner, avatar, "cat made")
        assert (run.outcome, run.tag, run.stdout) == (Outcome.COMPLETED, 2, "1\n")


@pytest.mark.parametrize("name", ["katas-volume", "katas-data-container"])
def test_references_are_packed_wherever_the_history_is(shared_engine: Engine, name: str) -> None:
    """The history is as before, and goes on; what is not there is told."""
    with closing(parse_variant(name).open(shared_engine)) as runner:
        avatar = an_avatar()
        assert not pack_references(shared_engine, runner.katas, avatar, ALL)
        assert play(runner, avatar, "echo 1").tag == 1
        with runner.katas.history(avatar) as folder:
            assert not (folder / "packed-refs").exists()
        assert pack_references(shared_engine, runner.katas, avatar, ALL)
        with runner.katas.history(avatar) as folder:
            assert "refs/tags/1" in (folder / "packed-refs").read_text()
        assert play(runner, avatar, "echo 2").tag == 2
