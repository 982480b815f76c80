"""The proof that no uid is needed on the host, and that no mode can break the next test event."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engines import Engine, SandboxSpec
from harness.inside import disk, ownership
from harness.inside.layout import Avatar
from harness.inside.store import Event, Katas
from harness.katas.places import open_folder_katas
from harness.runners.claims import Property
from harness.runners.katas_data_container import KatasDataContainer
from harness.runners.katas_volume import KatasVolume
from harness.verify.proofs import Status
from harness.verify.proofs.shared.search import token
from harness.verify.proofs.shared.switching import Switch
from tests.verify.proofs.examining import Examine, on_bubblewrap, on_plain_processes


@on_bubblewrap
@pytest.mark.parametrize("runner", ["katas-data-container:standby=seeded"])
def test_who_claims_it_is_proved(runner: str, examined: Examine) -> None:
    found = examined(runner, Property.OWNERSHIP)
    assert (found.status, found.reason) == (Status.PROVED, "")
    assert found.examples > 5


@pytest.mark.parametrize("shared_engine", ["local", "docker"], indirect=True)
@pytest.mark.parametrize("runner", ["katas-volume", "katas-data-container:granularity=avatar"])
def test_a_mount_needs_a_uid(runner: str, examined: Examine) -> None:
    """Of a folder or of a volume: the sandbox's owner is another than the katas' where root plays;
    else the run is the very user whose they are.
    """
    found = examined(runner, Property.OWNERSHIP)
    assert not found.claimed
    assert found.counterexample is not None
    assert "the host" in found.counterexample.words
    again = examined(runner, Property.OWNERSHIP, replay=found.counterexample.token)
    assert again.counterexample == found.counterexample


@on_bubblewrap
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_katas_that_forget_whose_a_sandbox_is(
    examined: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mistake was the harness's own: what a runner that pipes put into a sandbox of the
    player's was not handed over to the next run that mounts it.
    """
    monkeypatch.setattr(ownership, "changing", lambda *arguments, **options: nullcontext())
    case = token("switches", str(Switch("katas-volume", begins=True)))
    found = examined("tmp", Property.OWNERSHIP, replay=case)
    assert found.counterexample is not None
    assert "Permission denied" in found.counterexample.words
    monkeypatch.undo()
    assert examined("tmp", Property.OWNERSHIP, replay=case).counterexample is None


class RunsAsTheirOwner(KatasVolume):
    """As when the harness is nobody in particular: the player's code is the user whose the katas
    are.
    """

    def spec(self, avatar: Avatar, katas: Event) -> SandboxSpec:
        return replace(super().spec(avatar, katas), uid=os.geteuid(), gid=os.getegid())


@on_plain_processes
def test_a_mount_needs_a_uid_that_is_the_katas_own(examined: Examine) -> None:
    """Owners do not tell, then, but what the run is given to write into does."""
    found = examined(RunsAsTheirOwner, Property.OWNERSHIP)
    assert found.counterexample is not None
    assert found.counterexample.words.startswith(
        "mounted: the run writes into a folder of the host"
    )


class RunsAsRoot(KatasDataContainer):
    """The mistake: the player's code is whoever the container starts as."""

    def spec(self, avatar: Avatar, katas: Event) -> SandboxSpec:
        return replace(super().spec(avatar, katas), uid=0, gid=0)


@pytest.mark.parametrize("shared_engine", ["docker"], indirect=True)
def test_a_run_that_is_root(examined: Examine) -> None:
    found = examined(RunsAsRoot, Property.OWNERSHIP)
    assert found.counterexample is not None
    assert found.counterexample.words.startswith("inside the run: ")


@on_plain_processes
def test_katas_that_do_not_open_what_a_run_closed(
    examined: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mistake was the harness's own: root, who needs no permission, took it that the run's user
    needs none.
    """
    monkeypatch.setattr(disk, "permit", lambda folder, need: None)

    class InAFolder(KatasDataContainer):
        """Whose katas are not behind a keeper, where this test cannot reach."""

        @classmethod
        def open_katas(cls, engine: Engine, place: str | Path | None, **options: str) -> Katas:
            return open_folder_katas(place)

    found = examined(InAFolder, Property.OWNERSHIP)
    assert found.counterexample is not None
    assert "after chmod 0000 . a test event was faulty" in found.counterexample.words
