"""The proof that a run past its limit leaves no trace."""

from __future__ import annotations

import re

import pytest

from harness.runners.claims import Property
from harness.runners.event import TestEvent
from harness.runners.katas_volume import KatasVolume
from harness.verify.proofs import Status
from harness.verify.proofs.timed_out import ENDLESS
from tests.verify.proofs.examining import Examine, on_bubblewrap, on_plain_processes


@on_bubblewrap
@pytest.mark.parametrize("runner", ["katas-data-container:standby=seeded"])
def test_who_claims_it_is_proved(runner: str, examined: Examine) -> None:
    found = examined(runner, Property.TIMED_OUT)
    assert (found.status, found.reason) == (Status.PROVED, "")
    assert found.examples >= 5


@on_bubblewrap
def test_what_a_volume_mount_leaves(examined: Examine) -> None:
    """What a run had done by then, in the first example; and its token shows it again.

    On a busy machine the limit may come before some of the five runs did anything.
    """
    left = re.compile(
        f"of runs that do not end each changes all that it finds: a run that ({'|'.join(ENDLESS)}) "
        "left a trace in the katas: '[a-z]+' "
    )
    found = examined("katas-volume", Property.TIMED_OUT)
    assert found.counterexample is not None
    assert left.match(found.counterexample.words)
    again = examined("katas-volume", Property.TIMED_OUT, replay=found.counterexample.token)
    assert again.counterexample is not None
    assert left.match(again.counterexample.words)
    assert again.counterexample.token == found.counterexample.token


class CommitsWhatTimedOut(KatasVolume):
    """The mistake: whether the run had ended was not asked."""

    def play(self, event: TestEvent) -> None:
        event.save("1st")
        event.start()
        event.run()
        event.commit("2nd")


@on_plain_processes
def test_a_commit_of_a_run_past_its_limit(examined: Examine) -> None:
    found = examined(CommitsWhatTimedOut, Property.TIMED_OUT)
    assert found.counterexample is not None
    assert "a run that loops was completed past its limit" in found.counterexample.words
