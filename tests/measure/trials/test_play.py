"""Blocks as they are played, each scenario with every arm, on the local engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness import runners
from harness.engines import Engine
from harness.engines.local.engine import LocalEngine
from harness.inside.errors import UsageError
from harness.measure.compare import Comparison, compare
from harness.measure.trees import OwnTree, SourceTree, TypicalTree
from harness.measure.trials import FLOOR, BlockPlan, Sample
from harness.measure.trials.scenario import (
    FIRST,
    FULL,
    HEADER,
    INCREMENTAL,
    NO_OP,
    SCENARIOS,
    scenario,
)
from harness.runners.base import COMMAND

ALL = tuple(SCENARIOS)
INCREMENTALS = ("katas-volume", "katas-data-container")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with closing(LocalEngine(tmp_path_factory.mktemp("home"))) as engine:
        yield engine


def comparison(
    tree: SourceTree, engine: Engine, plan: BlockPlan, *names: str, again: str | None = None
) -> Comparison:
    return Comparison(
        tree,
        [runners.parse_variant(each) for each in names],
        engine,
        None,
        COMMAND,
        60,
        plan,
        1,
        again,
    )


@pytest.fixture(scope="module")
def samples(local: Engine) -> list[Sample]:
    """A block of every scenario, with one runner against itself."""
    plan = BlockPlan(0, blocks=1, scenarios=ALL)
    asked = comparison(
        TypicalTree("cost=0.05"), local, plan, *INCREMENTALS, "tmp", again="katas-volume"
    )
    return list(compare(asked))


def test_each_block_has_every_arm_once_in_shuffled_order(samples: list[Sample]) -> None:
    """A runner against itself has an arm for each of the two."""
    blocks: dict[int, list[Sample]] = {}
    for each in samples:
        blocks.setdefault(each.block, []).append(each)
    arms = {FLOOR, "katas-volume", "katas-volume#2", "katas-data-container", "tmp"}
    assert sorted(blocks) == list(range(len(ALL)))
    for block in blocks.values():
        assert {each.runner for each in block} == arms
        assert [each.place for each in block] == list(range(len(arms)))
        assert len({each.scenario for each in block}) == 1
    assert len({tuple(each.runner for each in block) for block in blocks.values()}) > 1


def test_each_scenario_recompiles_what_depends_on_it_and_answers_right(
    samples: list[Sample],
) -> None:
    """In the runners as in the floor; edits of the source and of the header add up in one tree."""
    expected = {FULL: 24, FIRST: 24, INCREMENTAL: 1, NO_OP: 0, HEADER: 12}
    for each in samples:
        assert each.right, each
        assert each.recompiled == (24 if each.runner == "tmp" else expected[each.scenario]), each
    assert {each.scenario for each in samples} == set(expected)


def test_stamps_are_counted_from_one_scenario_to_the_next(samples: list[Sample]) -> None:
    """All but the edited file of 122; of a full build there is nothing to compare with."""
    for each in samples:
        if each.build == FULL:
            assert each.mtimes_kept is None
        elif each.runner != "tmp":
            assert (each.mtimes_kept, each.mtimes_changed) == (122 - (each.scenario != NO_OP), 0)


def test_what_is_used_is_measured(samples: list[Sample]) -> None:
    """A full build uses more processor time than one in which there is nothing to do, whoever is
    measured.
    """
    for runner in (FLOOR, *INCREMENTALS):
        mine = [each for each in samples if each.runner == runner]
        used = {each.scenario: each.processor_seconds or 0.0 for each in mine}
        assert used[FULL] > used[NO_OP]
        assert used[FIRST] > used[NO_OP]
    assert all(each.harness_seconds is not None and each.harness_seconds > 0 for each in samples)
    assert {each.tree_files for each in samples} == {122}
    assert [each.at for each in samples] == sorted(each.at or 0.0 for each in samples)


def test_both_moments_and_the_growth_of_the_katas_are_measured(samples: list[Sample]) -> None:
    """The output is in hand before the katas hold it; what runs make is kept where it is of use,
    and a first test event takes the most.
    """
    for each in samples:
        assert each.answered_seconds
        if each.runner == FLOOR:
            assert each.answered_seconds == each.seconds
            assert each.disk_history is None
            continue
        assert each.answered_seconds < each.seconds
        assert each.disk_visible is not None
        assert each.disk_extra is not None
        assert each.disk_history
        assert (each.disk_visible > 600_000) == (each.build == FULL)
        assert (each.disk_extra > 600_000) == (each.build == FULL and each.runner != "tmp")
        assert each.disk_history > 0


def test_what_is_prepared_is_ready_before_another_arm_plays(local: Engine) -> None:
    """Every incremental build finds its tree piped in, and nothing but the edit is left to be
    sent.
    """
    name = "katas-data-container:standby=seeded"
    asked = comparison(TypicalTree("cost=0.01"), local, BlockPlan(0, blocks=3), name)
    sent = [
        each.bytes_in
        for each in compare(asked)
        if (each.runner, each.scenario) == (name, INCREMENTAL)
    ]
    assert len(sent) == 3
    assert max(sent) < 200_000


def test_a_verdict_that_is_settled_ends_the_run(local: Engine) -> None:
    """After the block that settled it, whole, however many more were asked for."""
    asked = comparison(TypicalTree("cost=0.01"), local, BlockPlan(0, blocks=50), "tmp")
    heard: list[int] = []

    def settled(samples: list[Sample]) -> bool:
        heard.append(len(samples))
        return len(samples) >= 6

    assert len(list(compare(asked, settled=settled))) == 6  # type: ignore[arg-type]
    assert heard == [2, 4, 6]


def test_a_header_of_a_tree_of_one_s_own_is_edited_if_it_is_named(
    local: Engine, tmp_path: Path
) -> None:
    """Without a name that is said before anything is measured."""
    (tmp_path / "cyber-dojo.sh").write_text("#!/bin/sh\nmake -s; wc -c <built\n")
    (tmp_path / "cyber-dojo.sh").chmod(0o755)
    (tmp_path / "Makefile").write_text("built: source header\n\tcat source header >built\n")
    (tmp_path / "source").write_text("one\n")
    (tmp_path / "header").write_text("two\n")
    plan = BlockPlan(0, blocks=1, scenarios=(FULL, INCREMENTAL, HEADER))
    with pytest.raises(UsageError, match="--edit-header FILE"):
        next(iter(compare(comparison(OwnTree(tmp_path, "source"), local, plan, "tmp"))))
    tree = OwnTree(tmp_path, "source", header="header")
    samples = list(compare(comparison(tree, local, plan, "katas-volume")))
    assert [each.answer for each in samples] == ["8", "8", "10", "10", "12", "12"]
    assert all(each.right for each in samples)


def test_an_unknown_scenario_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        UsageError, match="there is no scenario odd; there are: full, first, incremental"
    ):
        scenario("odd")
