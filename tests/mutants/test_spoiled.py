"""The tests have teeth where no property does: each mistake in the trusted code fails the test that
it was made for.
"""

from __future__ import annotations

import ast

import pytest

from tests import ROOT
from tests.mutants.catalogue import MUTANTS
from tests.mutants.hostile import SPOILED
from tests.mutants.spoiled import Spoiled, try_it
from tests.mutants.table import PAGE, SPOILED_TITLE, spoiled_lines

CHEAP = [each for each in SPOILED if not each.dear]


@pytest.mark.parametrize("spoiled", CHEAP, ids=[each.name for each in CHEAP])
def test_each_mistake_fails_its_test(spoiled: Spoiled) -> None:
    """In a copy of the package; `python -m tests.mutants` tries those too that take long to
    fail.
    """
    result = try_it(spoiled)
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.failed, result.said


@pytest.mark.parametrize("spoiled", SPOILED, ids=[each.name for each in SPOILED])
def test_each_mistake_can_still_be_made(spoiled: Spoiled) -> None:
    """The source is the one that it was found in, and its test is there."""
    for each in spoiled.changes:
        assert len(each.found((ROOT / "harness" / each.file).read_text())) == 1, each.old
        assert each.old != each.new
    tests = ast.walk(ast.parse((ROOT / spoiled.file).read_text()))
    assert spoiled.function in {each.name for each in tests if isinstance(each, ast.FunctionDef)}


def test_the_page_tells_of_each() -> None:
    """As `python -m tests.mutants --write` does; each has a name of its own, and a history."""
    page = PAGE.read_text()
    assert "\n".join(spoiled_lines()) in page
    assert page.count(SPOILED_TITLE) == 1
    names = [*(each.name for each in SPOILED), *(each.name for each in MUTANTS)]
    assert len(set(names)) == len(names)
    assert [each.name for each in SPOILED if len(each.words) <= 80] == []
