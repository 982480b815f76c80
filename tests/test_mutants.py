"""The proofs have teeth: each mutant is refuted by the proof that it was made for."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.proofs import PROOFS, Status, examine
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant
from tests.mutants.table import EFFORT


@pytest.mark.parametrize("mutant", MUTANTS, ids=[each.name for each in MUTANTS])
def test_each_mutant_is_killed(mutant: Mutant, tmp_path: Path) -> None:
    """By the cheapest property that can; `python -m tests.mutants` tries all of them."""
    if why := mutant.needs():
        pytest.skip(why)
    if mutant.killer not in PROOFS:
        pytest.skip(f"{mutant.killer} has no proof")
    with mutant.subject(tmp_path) as subject:
        found = examine(subject, mutant.killer, EFFORT)
    assert found.status is Status.REFUTED, found.reason
    assert found.counterexample is not None
    assert "a test event was faulty" not in found.counterexample.words


def test_each_mutant_tells_its_history() -> None:
    """A mistake that nobody made teaches nothing."""
    for mutant in MUTANTS:
        assert len(mutant.words) > 80, mutant.name
        assert mutant.name == mutant.kind.name
