"""Bare make is the measure: where it does not build, nothing is compared with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from harness import runners
from harness.engines import Engine
from harness.engines.local.engine import LocalEngine
from harness.inside.errors import BuildFailed
from harness.measure.compare import Comparison, compare
from harness.measure.load import measure_load
from harness.measure.trees import OwnTree
from harness.measure.trials import FLOOR, BlockPlan, Sample, by_the_floor
from harness.measure.trials.build_failure import SHOWN_LINES, check_built
from harness.measure.trials.crowd import Crowds
from harness.runners.base import COMMAND
from harness.runners.run import Outcome, Run
from tests.measure.samples import sample
from tests.support import one_line


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with closing(LocalEngine(tmp_path_factory.mktemp("home"))) as engine:
        yield engine


def run(**changes: object) -> Run:
    fields: dict[str, object] = {
        "outcome": Outcome.COMPLETED,
        "status": 2,
        "stdout": "",
        "stderr": "",
    }
    fields |= {"truncated": False, "tag": None, "phases": (), "nanoseconds": 1}
    return Run(**(fields | changes))  # type: ignore[arg-type]


def refused(found: Run) -> BuildFailed:
    with pytest.raises(BuildFailed) as caught:
        check_built(found, "its first full build", COMMAND, 9)
    one_line(caught.value)
    return caught.value


def comparison(tree: Path, engine: Engine, script: str) -> Comparison:
    (tree / "cyber-dojo.sh").write_text(f"#!/bin/sh\n{script}\n")
    (tree / "cyber-dojo.sh").chmod(0o755)
    (tree / "source").write_text("one\n")
    plan = BlockPlan(0, blocks=9)
    return Comparison(
        OwnTree(tree, "source"), [runners.parse_variant("tmp")], engine, None, COMMAND, 60, plan, 1
    )


def test_the_line_that_tells_is_in_the_message_and_all_that_was_printed_in_its_note() -> None:
    """Compilers say first what is wrong; what says nothing of the kind is judged by its last
    line.
    """
    compiler = "In file included from a.c:\na.c:1: fatal error: x.h: No such file\nmake: *** [a.o] Error 1\n"
    error = refused(run(stdout="cc a.c\n", stderr=compiler))
    assert "exit status 2: a.c:1: fatal error: x.h: No such file;" in str(error)
    assert error.__notes__ == [f"cc a.c\n{compiler.rstrip()}"]
    assert "exit status 2: 1 of 2 tests are red;" in str(
        refused(run(stdout="hm\n1 of 2 tests are red\n\n"))
    )
    assert "exit status 2; fix the build" in str(refused(run()))


def test_a_flood_of_output_is_shown_by_its_end() -> None:
    error = refused(run(stderr="line\n" * 1000 + "last\n"))
    lines = error.__notes__[0].splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("[941 lines before]", "last", SHOWN_LINES + 1)


def test_a_build_that_did_not_end_or_begin_says_so() -> None:
    assert "within 9 s; raise --max-seconds" in str(
        refused(run(outcome=Outcome.TIMED_OUT, status=None))
    )
    faulty = run(outcome=Outcome.FAULTY, status=None, reason="the image has no make")
    assert "cannot begin its first full build: the image has no make" in str(refused(faulty))


def test_an_edit_that_breaks_the_build_ends_it_at_its_first_one(
    local: Engine, tmp_path: Path
) -> None:
    """The full block before it is kept; nobody plays hundreds of broken builds."""
    broken = comparison(
        tmp_path, local, "[ $(wc -l <source) = 1 ] || { echo syntax error; exit 1; }"
    )
    samples: list[Sample] = []
    with pytest.raises(
        BuildFailed, match="first incremental build, with exit status 1: syntax error"
    ):
        samples.extend(compare(broken))
    assert {each.scenario for each in samples} == {"full"}
    assert len(samples) == 2


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo no rule; exit 2", "its first build"),
        ("[ $(wc -l <source) = 1 ]", "an incremental build"),
    ],
)
def test_a_crowd_does_not_play_builds_that_fail(
    script: str, words: str, local: Engine, tmp_path: Path
) -> None:
    crowds = Crowds((1, 2), events=4, budget_seconds=0.1)
    with pytest.raises(BuildFailed, match=words):
        list(measure_load(comparison(tmp_path, local, script), crowds))


def test_a_failed_build_is_no_reference() -> None:
    """In a block in which bare make failed nobody knows what is right; in one in which a runner
    did, it is wrong.
    """
    block = [sample(FLOOR, answer="1", right=None), sample("tmp", answer="1", right=None)]
    assert [each.right for each in by_the_floor(block)] == [True, True]
    failed = [replace(each, status=2) for each in block]
    assert [each.right for each in by_the_floor(failed)] == [None, None]
    assert [each.right for each in by_the_floor([block[0], failed[1]])] == [True, False]
