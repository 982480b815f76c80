"""The proof that a run reaches nothing but its own sandbox, and is bounded."""

from __future__ import annotations

import pytest

from harness.engines.local import engine as local
from harness.engines.local.bubblewrap import unshare
from harness.runners.claims import Property
from harness.verify.proofs import Status
from harness.verify.proofs.isolated import ATTEMPTS
from tests.verify.proofs.examining import Examine, on_bubblewrap, on_plain_processes


@on_bubblewrap
@pytest.mark.parametrize("runner", ["katas-data-container:standby=seeded"])
def test_who_claims_it_is_proved(runner: str, examined: Examine) -> None:
    found = examined(runner, Property.ISOLATED)
    assert (found.status, found.reason) == (Status.PROVED, "")
    assert found.examples == len(ATTEMPTS)


@on_plain_processes
def test_plain_processes_reach_the_host(examined: Examine) -> None:
    """Which is why it is not claimed there; its token shows it again."""
    found = examined("tmp", Property.ISOLATED)
    assert not found.claimed
    assert found.counterexample is not None
    assert found.counterexample.words.startswith("a run tries for a")
    again = examined("tmp", Property.ISOLATED, replay=found.counterexample.token)
    assert again.counterexample == found.counterexample


@on_bubblewrap
def test_a_network_that_was_left_open(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits on the host hears of it."""
    enclose = local.enclose

    def leaky(*arguments: object, **options: object) -> list[str]:
        words = enclose(*arguments, **options)  # type: ignore[arg-type]
        return [word for word in words if word != "--unshare-net"]

    monkeypatch.setattr(local, "enclose", leaky)
    found = examined("tmp", Property.ISOLATED)
    assert found.claimed
    assert found.counterexample is not None
    assert (
        found.counterexample.words
        == "a run tries for the network: it was reached: a connection arrived"
    )


@on_bubblewrap
def test_a_sandbox_that_has_no_bound(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake was the local engine's: its sandboxes lay on the host's disk, which any run could
    fill.
    """
    monkeypatch.setattr(local, "empty", lambda *arguments: list(unshare()))
    found = examined("tmp", Property.ISOLATED)
    assert found.counterexample is not None
    assert found.counterexample.words == "a run tries for the sandbox: it was reached"


@on_bubblewrap
def test_files_without_number(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake was every engine's: only their bytes were bounded, and empty files have none."""
    empty = local.empty
    monkeypatch.setattr(
        local, "empty", lambda target, size, files, owner: empty(target, size, 1 << 20, owner)
    )
    found = examined("tmp", Property.ISOLATED)
    assert found.counterexample is not None
    assert found.counterexample.words == "a run tries for many files: it was reached"
