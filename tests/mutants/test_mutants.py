"""The proofs have teeth: each mutant is refuted by the proof that it was made for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.runners.claims import Property
from harness.verify.proofs import PROOFS, Status, examine
from tests.mutants.catalogue import CONTROL, MUTANTS
from tests.mutants.mutant import Mutant
from tests.mutants.table import EFFORT, KILLED, PAGE, SPOILED_TITLE, WITHOUT


@pytest.mark.parametrize("mutant", MUTANTS, ids=[each.name for each in MUTANTS])
def test_each_mutant_is_killed(mutant: Mutant, tmp_path: Path) -> None:
    """By the cheapest property that can; `python -m tests.mutants` tries all of them."""
    if why := mutant.needs():
        pytest.skip(why)
    if mutant.killer not in PROOFS:
        pytest.skip(f"{mutant.killer} has no proof")
    with mutant.subject(tmp_path) as subject:
        found = examine(subject, mutant.killer, EFFORT, replay=mutant.replay)
    assert found.status is Status.REFUTED, found.reason
    assert found.counterexample is not None
    assert "a test event was faulty" not in found.counterexample.words


def test_the_page_is_of_these_mutants() -> None:
    """docs/reference/mutants.md, which `python -m tests.mutants --write` measures, has each of them
    with its history, killed by what it was made for; the honest runner by nothing; and each
    property kills a mutant that no other does, or a reason is given.
    """
    text = re.sub(
        rf"^{SPOILED_TITLE}\n.*?(?=^## )", "", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    names, rows = table[0][2:], {row[0]: row[2:] for row in table[2:]}
    since = re.findall(r"^- \*\*(.+?)\*\*, killed by \*.+?\*:", text, re.MULTILINE)
    assert {*rows, *since} == {each.name for each in (CONTROL, *MUTANTS)}
    assert KILLED not in rows.pop(CONTROL.name)
    for mutant in MUTANTS:
        if mutant.name in since:
            assert f"- **{mutant.name}**, killed by *{mutant.killer}*: {mutant.words}" in text
            continue
        assert f"- **{mutant.name}**: {mutant.words}" in text
        if mutant.killer in names:
            assert rows[mutant.name][names.index(mutant.killer)] == KILLED, mutant.name
    alone = {names[row.index(KILLED)] for row in rows.values() if row.count(KILLED) == 1}
    assert {Property(each) for each in names} - alone <= set(WITHOUT)


def test_each_mutant_tells_its_history() -> None:
    """A mistake that nobody made teaches nothing."""
    for mutant in MUTANTS:
        assert len(mutant.words) > 80, mutant.name
        assert mutant.name == mutant.kind.name
