"""The variants of the code that `make mutation` tries, and what it says of them."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.mutation.modules import EQUIVALENT, MODULES
from tests.mutation.variants import Variant, variants

ROOT = Path(__file__).parents[2]

SOURCE = """
from functools import lru_cache

@lru_cache(maxsize=8)
def half(figure: int | None = None) -> int | None:
    return None if figure is None else figure + 2
"""


def drawn(source: str = SOURCE, *, seed: int = 1, sample: int | None = None) -> list[Variant]:
    return variants("toy.py", source, seed=seed, sample=sample)


def test_each_variant_is_other_code() -> None:
    """That Python can read; annotations and decorators stay as they are."""
    codes = {each.code(SOURCE) for each in drawn()}
    assert len(codes) == len(drawn()) >= 3
    for code in codes:
        ast.parse(code)
        assert code.startswith(SOURCE[: SOURCE.index("    return")])


def test_a_place_counts_once_for_each_kind_of_change() -> None:
    """However many operators could stand there."""
    places = [(each.family, each.start) for each in drawn("a = b + c\n")]
    assert len(places) == len(set(places)) == 1


def test_the_draw_is_that_of_its_seed() -> None:
    source = (ROOT / "harness" / "measure" / "stats.py").read_text()
    few = drawn(source, sample=9)
    assert len(few) == 9
    assert few == drawn(source, sample=9)
    assert few != drawn(source, sample=9, seed=2)


def test_each_module_and_each_of_its_tests_is_there() -> None:
    """What is after the files narrows them."""
    for module, tests in MODULES.items():
        assert (ROOT / module).is_file()
        assert [
            each for each in tests if each.endswith(".py") and not (ROOT / each).is_file()
        ] == []


def test_an_excuse_is_about_code_that_is_there() -> None:
    """And gives a reason."""
    for known in EQUIVALENT:
        assert known.line in (ROOT / known.module).read_text(), known
        assert known.variant != known.line
        assert len(known.reason) > 20


def test_the_command_prints_a_line_for_each_module_and_a_total() -> None:
    """The variants of a small module, on a copy: what its tests miss is shown as a diff."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.mutation", "--only", "gate/verdict", "--sample", "2"],
        cwd=ROOT,
        env={**os.environ, "HARNESS_TEST_ENGINES": "local"},
        capture_output=True,
        text=True,
        check=True,
    )
    figures = {
        line[0]: [int(each) for each in line[1:4]]
        for line in map(str.split, ran.stdout.splitlines())
        if line[0] in ("harness/gate/verdict.py", "total")
    }
    assert figures["total"] == figures["harness/gate/verdict.py"]
    killed, survived, equivalent = figures["total"]
    assert killed + survived + equivalent == 2
    assert len(re.findall(r"^--- a/harness/gate/verdict.py$", ran.stdout, re.MULTILINE)) == survived
