"""The soak is clean where all is right, and finds what is wrong, with the command that shows it
again.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from harness import runners
from harness.engines.local.engine import LocalEngine
from harness.inside.errors import EngineError
from harness.runners.base import BaseRunner
from harness.runners.event import TestEvent
from harness.runners.variant import Variant
from harness.verify.soak import ENOUGH, Soaked, replay_soak_command, soak
from tests.mutants.edits import AgainstTheSandbox, SendsAll
from tests.mutants.mutant import Honest

SEED = "test"


def soaked(kind: type[BaseRunner] | str, home: Path, *, until: int) -> Soaked:
    """One avatar's test events up to this number."""
    variant = runners.parse_variant(kind) if isinstance(kind, str) else Variant(kind, {})
    with closing(LocalEngine(home)) as engine:
        return soak(engine, [variant], seconds=300, seed=SEED, avatars=1, only=(0, until))


def test_an_honest_runner_is_clean(tmp_path: Path) -> None:
    """No fault is drawn that it cannot stand, and what it keeps is what the model says."""
    found = soaked(Honest, tmp_path, until=25)
    assert [each.words for each in found.violations] == []
    assert found.events == 26
    assert found.counts["downloads checked"] >= 5
    assert found.counts["entries compared"] > 0


def test_a_mistake_is_found_and_can_be_played_again(tmp_path: Path) -> None:
    """The same one, by the words that are printed."""
    for kind in (SendsAll, AgainstTheSandbox):
        found = soaked(kind, tmp_path, until=59)
        assert found.violations, kind
        first = found.violations[0]
        again = soaked(kind, tmp_path, until=first.number)
        assert [each.number for each in again.violations] == [first.number]
        command = replay_soak_command("local", [runners.parse_variant("tmp")], SEED, first)
        assert command.endswith(f"--only 0:{first.number}")
        assert f"--seed {SEED}" in command


class AlwaysFails(Honest):
    """The mistake: nothing works at all."""

    def play(self, event: TestEvent) -> None:
        raise EngineError("there is no room")


def test_it_ends_where_nothing_is_right(tmp_path: Path) -> None:
    """Nobody reads the same violation for an hour."""
    with closing(LocalEngine(tmp_path)) as engine:
        found = soak(engine, [Variant(AlwaysFails, {})], seconds=300, seed=SEED, avatars=1)
    assert found.seconds < 300
    assert len(found.violations) >= ENOUGH
