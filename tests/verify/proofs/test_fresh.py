"""The proof that nothing outside the sandbox survives into the next test event."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.engines import Engine, Sandbox, SandboxSpec
from harness.engines.docker.engine import DockerEngine
from harness.engines.local import engine as local
from harness.runners.claims import Property
from harness.runners.katas_data_container import KatasDataContainer
from harness.runners.variant import Variant
from harness.verify.proofs import PROFILES, Status, Subject, examine, fresh
from harness.verify.proofs.fresh import AFTER, FOLDERS
from tests.verify.proofs.examining import Examine, on_bubblewrap, on_plain_processes


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    """In the name of all that the proof plants, and not in that of a proof in another process."""
    found = secrets.token_hex(6)
    known = SimpleNamespace(token_hex=lambda size: found, randbelow=secrets.randbelow)
    monkeypatch.setattr(fresh, "secrets", known)
    return found


@on_bubblewrap
@pytest.mark.parametrize("runner", ["katas-data-container:standby=seeded"])
def test_who_claims_it_is_proved(runner: str, examined: Examine) -> None:
    found = examined(runner, Property.FRESH)
    assert (found.status, found.reason) == (Status.PROVED, "")
    assert found.examples > len(FOLDERS) * len(AFTER)


@on_plain_processes
def test_plain_processes_share_a_folder_for_temporary_files(examined: Examine, token: str) -> None:
    """Which is why it is not claimed there; what was left for the proof is removed again, and its
    token shows it again.
    """
    found = examined("katas-data-container", Property.FRESH)
    assert not found.claimed
    assert found.counterexample is not None
    assert found.counterexample.words == (
        "a file in /tmp, in the avatar's own next test event: it is still there"
    )
    assert not list(Path("/tmp").glob(f"*{token}*"))
    again = examined("katas-data-container", Property.FRESH, replay=found.counterexample.token)
    assert again.counterexample == found.counterexample


@on_bubblewrap
def test_an_engine_that_shares_a_folder_of_the_host(
    examined: Examine, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    """It says that it isolates, and is refuted."""
    enclose = local.enclose

    def shared(*arguments: Any, **options: Any) -> list[str]:
        words = enclose(*arguments, **options)
        place = words.index("--remount-ro")
        return [*words[:place], "--bind", "/tmp", "/tmp", *words[place:]]

    monkeypatch.setattr(local, "enclose", shared)
    found = examined("tmp", Property.FRESH)
    assert found.claimed
    assert found.counterexample is not None
    assert "a file in /tmp" in found.counterexample.words
    assert not list(Path("/tmp").glob(f"*{token}*"))


class KeepsItsContainer(KatasDataContainer):
    """The mistake: a container is kept for the next test event, which is faster."""

    _kept: Sandbox | None = None

    def __init__(self, engine: Engine, *arguments: object, **options: object) -> None:
        super().__init__(engine, *arguments, **options)  # type: ignore[arg-type]
        self.engine = self  # type: ignore[assignment]
        self._engine = engine

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)

    def open(self, spec: SandboxSpec) -> Sandbox:
        if self._kept is None:
            self._kept = self._engine.open(spec)
            self._close, self._kept.close = self._kept.close, lambda: None  # type: ignore[method-assign]
        return self._kept

    def close(self) -> None:
        if self._kept is not None:
            self._close()
        super().close()


def test_a_container_that_is_used_again(open_engine: Callable[[str], Engine]) -> None:
    """What one run left in its /tmp the next one finds."""
    with closing(open_engine("docker")) as engine:
        assert isinstance(engine, DockerEngine)
        found = examine(
            Subject(Variant(KeepsItsContainer, {}), engine, "docker"),
            Property.FRESH,
            PROFILES["ci"],
        )
    assert found.counterexample is not None
    assert found.counterexample.words == (
        "a file in /tmp, in the avatar's own next test event: it is still there"
    )
