"""What does a test event cost, in the format of pytest-benchmark? See the README."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest

from harness import runners
from harness.engines.choice import choose
from harness.measure.compare import Comparison, compare
from harness.measure.trees import TypicalTree
from harness.measure.trials import FLOOR, FULL, INCREMENTAL, BlockPlan, Sample
from harness.runners.base import COMMAND
from scenarios.benchmarks.replay import Replay, nothing

BLOCKS = 6
ARMS = (FLOOR, *runners.NOTES_NAMES)

replay = Replay()


@pytest.fixture(scope="module")
def recorded() -> Iterator[tuple[dict[str, Any], Sequence[Sample]]]:
    """Measure blocks in which every runner has its turn; return the facts and all samples."""
    with closing(choose().engine) as engine:
        comparison = Comparison(
            TypicalTree("cost=0.1"),
            [runners.parse_variant(name) for name in runners.NOTES_NAMES],
            engine,
            None,
            COMMAND,
            120,
            BlockPlan(0, blocks=BLOCKS, scenarios=(FULL, INCREMENTAL)),
            seed=1,
        )
        yield comparison.facts(), list(compare(comparison))


@pytest.mark.parametrize("scenario", [INCREMENTAL, FULL])
@pytest.mark.parametrize("runner", ARMS)
@pytest.mark.benchmark(timer=replay, disable_gc=False, warmup=False)
def test_a_test_event(
    runner: str,
    scenario: str,
    recorded: tuple[dict[str, Any], Sequence[Sample]],
    benchmark: Any,
) -> None:
    """Each round takes the time of one block."""
    facts, samples = recorded
    mine = [sample for sample in samples if (sample.runner, sample.scenario) == (runner, scenario)]
    assert all(sample.outcome == "completed" and sample.right for sample in mine)
    times = [sample.seconds for sample in mine]
    benchmark.group = f"{scenario} build"
    benchmark.extra_info.update(
        runner=runner,
        scenario=scenario,
        engine=facts["engine"]["engine"],
        tree=facts["tree"],
        blocks=[sample.block for sample in mine],
        recompiled=[sample.recompiled for sample in mine],
    )
    replay.load(times)
    benchmark.pedantic(nothing, rounds=len(times), iterations=1)
    if benchmark.enabled:
        assert benchmark.stats.stats.data == times
