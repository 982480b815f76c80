"""The proof that no failure of the power undoes what was accepted, or tears what is there."""

from __future__ import annotations

import pytest

from harness.runners.claims import Property
from harness.verify.proofs import Status
from tests.verify.proofs.examining import Examine, on_bubblewrap, on_plain_processes


@on_plain_processes
@pytest.mark.parametrize("runner", ["tmp:durable=yes", "katas-data-container:durable=yes"])
def test_who_asks_for_it_is_proved(runner: str, examined: Examine) -> None:
    """In at least a thousand states."""
    found = examined(runner, Property.DURABLE)
    assert (found.status, found.reason) == (Status.PROVED, "")
    assert found.claimed
    assert found.examples >= 1000


@on_bubblewrap
@pytest.mark.parametrize(
    "runner",
    ["katas-overlay:layers=2,durable=yes", "katas-data-container:standby=seeded,durable=yes"],
)
def test_who_changes_a_tree_in_parts_is_proved_too(runner: str, examined: Examine) -> None:
    """Layers that are folded, and what is brought back of a tree that stood by."""
    found = examined(runner, Property.DURABLE)
    assert (found.status, found.reason) == (Status.PROVED, "")


@on_plain_processes
@pytest.mark.parametrize("runner", ["tmp", "katas-data-container"])
def test_who_does_not_ask_may_lose_the_newest(runner: str, examined: Examine) -> None:
    """As the token tells again."""
    found = examined(runner, Property.DURABLE)
    assert found.as_claimed
    assert found.counterexample is not None
    assert (
        "test event 1 was reported as accepted, but there are only 0 tags"
        in found.counterexample.words
    )
    again = examined(runner, Property.DURABLE, replay=found.counterexample.token)
    assert again.counterexample is not None
    assert again.counterexample.token == found.counterexample.token
