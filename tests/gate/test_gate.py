"""The gate: samples and budgets to one verdict."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.gate import Evidence, early_stop, judge, settled
from harness.inside.errors import UsageError
from harness.measure import looks
from harness.measure.stats import VerdictState
from tests.gate.figures import PIPE, blocks, budgets
from tests.support import one_line

PIPED = {"katas-volume": 4.0, PIPE: 5.0}
AT_MOST = 'seconds = "at most {} times katas-volume"'


def states(evidence: Evidence, text: str) -> list[VerdictState]:
    """Of the budgets, the one about the test events left out."""
    return [each.state for each in judge(evidence, budgets(text)).rulings[1:]]


@pytest.mark.parametrize(
    ("limit", "state", "exit_status"),
    [
        (1.4, VerdictState.PASSED, 0),
        (1.1, VerdictState.REGRESSED, 1),
        (1.25, VerdictState.INCONCLUSIVE, 3),
    ],
)
def test_a_ratio_is_judged_by_its_whole_interval(
    limit: float, state: VerdictState, exit_status: int
) -> None:
    """Here it is 1.25, give or take."""
    verdict = judge(Evidence([blocks(PIPED)]), budgets(AT_MOST.format(limit)))
    assert (verdict.state, verdict.exit_status) == (state, exit_status)
    interval = verdict.rulings[1].interval
    assert interval is not None
    assert interval.low < 1.25 < interval.high


def test_counters_gate_hard() -> None:
    """One block in forty is one too many, and it is named."""
    samples = blocks(PIPED, recompiled=1, mtimes_changed=0)
    text = 'recompiled = "exactly 1"\nmtimes_changed = "exactly 0"'
    assert states(Evidence([samples]), text) == [VerdictState.PASSED, VerdictState.PASSED]
    where = next(
        place for place, each in enumerate(samples) if each.runner == PIPE and each.block == 16
    )
    samples[where] = replace(samples[where], recompiled=24)
    verdict = judge(Evidence([samples]), budgets(text))
    assert [each.state for each in verdict.rulings[1:]] == [
        VerdictState.REGRESSED,
        VerdictState.PASSED,
    ]
    assert "24 in block 17" in verdict.rulings[1].says
    assert verdict.exit_status == 1


def test_files_recompiled_that_nobody_can_count_are_no_more_than_the_others() -> None:
    """A build without object files can be gated all the same, and is settled; a bound that is a
    number cannot be kept to.
    """
    samples = blocks(PIPED, looks.LOOKS[0], recompiled=None)
    text = 'recompiled = "at most 1 times katas-volume"'
    verdict = judge(Evidence([samples]), budgets(text))
    assert verdict.rulings[1].state is VerdictState.PASSED
    assert "not counted on either side" in verdict.rulings[1].says
    assert settled(samples, budgets(text))
    one_side = [replace(each, recompiled=1) if each.runner == PIPE else each for each in samples]
    for found, told in ((one_side, text), (samples, 'recompiled = "exactly 1"')):
        with pytest.raises(UsageError, match=r"recompiled of .* was not measured"):
            judge(Evidence([found]), budgets(told))


def test_a_counter_may_be_compared() -> None:
    """With the most that the other needed."""
    samples = [replace(each, bytes_in=100 if each.runner == PIPE else 90) for each in blocks(PIPED)]
    assert states(Evidence([samples]), 'bytes_in = "at most 1.2 times katas-volume"') == [
        VerdictState.PASSED
    ]
    assert states(Evidence([samples]), 'bytes_in = "at most 1.1 times katas-volume"') == [
        VerdictState.REGRESSED
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outcome": "timed_out"}, "timed out"),
        ({"right": False}, "a wrong answer"),
        ({"outcome": "faulty", "reason": "no space"}, "no space"),
    ],
)
def test_a_test_event_that_failed_breaks_every_budget_s_heading(
    changes: dict[str, object], said: str
) -> None:
    """A build that was fast and wrong is no fast build; nobody has to ask for that."""
    samples = blocks(PIPED)
    samples[-1] = replace(samples[-1], **changes)  # type: ignore[arg-type]
    verdict = judge(Evidence([samples]), budgets(AT_MOST.format(2)))
    assert verdict.rulings[0].state is VerdictState.REGRESSED
    assert said in verdict.rulings[0].says
    assert "1 of 40" in verdict.rulings[0].says


def test_another_scenario_of_the_same_runner() -> None:
    """A tenth of a full build, of which there are fewer blocks."""
    samples = blocks({PIPE: 5.0}) + blocks({PIPE: 150.0}, 10, scenario="full", first=40, seed=2)
    assert states(Evidence([samples]), 'seconds = "at most 1/10 of full"') == [VerdictState.PASSED]
    assert states(Evidence([samples]), 'seconds = "at most 1/80 of full"') == [
        VerdictState.REGRESSED
    ]


def test_a_baseline_is_compared_by_ratios_to_bare_make() -> None:
    """A machine that is four times as slow today, all of it, has made no runner slower."""
    today = [replace(each, seconds=4 * each.seconds) for each in blocks({PIPE: 5.0}, seed=2)]
    slower = [replace(each, seconds=4 * each.seconds) for each in blocks({PIPE: 6.5}, seed=2)]
    text = 'seconds = "at most 10 % above the baseline"'
    before = blocks({PIPE: 5.0}, seed=3)
    assert states(Evidence([today], baseline=before), text) == [VerdictState.PASSED]
    assert states(Evidence([slower], baseline=before), text) == [VerdictState.REGRESSED]


def test_a_baseline_in_the_same_blocks_is_paired_with_them() -> None:
    samples = blocks({PIPE: 5.0, "base": 5.0})
    text = 'seconds = "at most 10 % above the baseline"'
    assert states(Evidence([samples], against="base"), text) == [VerdictState.PASSED]
    assert states(Evidence([samples], against="bare-make"), text) == [VerdictState.REGRESSED]


def test_several_results_are_judged_together() -> None:
    """Blocks of two runs are twice the blocks; no block of one is paired with one of the other."""
    runs = [blocks(PIPED), blocks(PIPED, seed=2)]
    interval = judge(Evidence(runs), budgets(AT_MOST.format(1.4))).rulings[1].interval
    assert interval is not None
    assert interval.blocks == 80


def test_what_is_inconclusive_says_how_many_blocks_would_settle_it() -> None:
    """And so many do settle it."""
    text = AT_MOST.format(1.3)
    ruling = judge(Evidence([blocks(PIPED)]), budgets(text)).rulings[1]
    assert ruling.state is VerdictState.INCONCLUSIVE
    assert ruling.to_settle is not None
    assert f"{ruling.to_settle - 40} more blocks" in ruling.says
    more = Evidence([blocks(PIPED, ruling.to_settle)])
    assert states(more, text) == [VerdictState.PASSED]


def test_a_machine_that_is_too_noisy_is_told_by_how_much() -> None:
    """Twice as slow or as fast from block to block, a limit of a percent is out of reach."""
    ruling = judge(Evidence([blocks(PIPED, noise=0.7)]), budgets(AT_MOST.format(1.26))).rulings[1]
    assert "too noisy" in ruling.says or "no number of blocks" in ruling.says
    assert ruling.scatter is not None
    assert ruling.scatter > 1.5


def test_few_blocks_decide_nothing_and_say_so() -> None:
    ruling = judge(Evidence([blocks(PIPED, 5)]), budgets(AT_MOST.format(9))).rulings[1]
    assert ruling.state is VerdictState.INCONCLUSIVE
    assert "too few for an interval" in ruling.says
    assert ruling.to_settle == looks.LOOKS[0]


def test_the_pair_of_the_same_runner_tells_the_noise() -> None:
    """And a pair that differs tells that something else is measured."""
    fair = judge(Evidence([blocks({**PIPED, f"{PIPE}#2": 5.0})]), budgets(AT_MOST.format(1.4)))
    (noise,) = fair.noise
    assert noise.runner == PIPE
    assert noise.interval.low < 1 < noise.interval.high
    assert fair.remarks == ()
    unfair = judge(Evidence([blocks({**PIPED, f"{PIPE}#2": 6.0})]), budgets(AT_MOST.format(1.4)))
    assert "differs from itself by" in unfair.remarks[0]


def test_outliers_and_a_warm_up_are_reported_and_not_dropped() -> None:
    samples = blocks(PIPED, noise=0.02)
    slow = [
        replace(
            each, seconds=each.seconds * (9 if each.block == 20 else 3 if each.block < 10 else 1)
        )
        if each.runner == PIPE
        else replace(each, seconds=each.seconds * (3 if each.block < 10 else 1))
        for each in samples
    ]
    ruling = judge(Evidence([slow]), budgets(AT_MOST.format(1.4))).rulings[1]
    assert (ruling.outliers, ruling.warm_up, ruling.blocks) == (1, 10, 40)


@pytest.mark.parametrize(
    ("text", "heading", "said"),
    [
        (
            'seconds = "at most 2 times katas-volumee"',
            "",
            "the result has no runner katas-volumee; it has: bare",
        ),
        ('recompiled = "exactly 1"', "tmp.incremental", "the result has no runner tmp"),
        (
            'recompiled = "exactly 1"',
            f"{PIPE}.full",
            "the result has no scenario full of katas-data",
        ),
        ('seconds = "at most 1/10 of full"', "", "the result has no scenario full"),
        ('seconds = "at most 5 % above the baseline"', "", "there is no baseline; give --baseline"),
        (
            'phase_commit = "at most 2 times katas-volume"',
            "",
            "phase_commit of katas-data-container (incremental) was not measured",
        ),
        (
            'mtimes_changed = "exactly 0"',
            "",
            "mtimes_changed of katas-data-container was not measured",
        ),
    ],
)
def test_a_budget_about_what_was_not_measured_is_refused(
    text: str, heading: str, said: str
) -> None:
    """With its place in the file, and what there is instead."""
    with pytest.raises(UsageError) as caught:
        judge(Evidence([blocks(PIPED)]), budgets(text, heading or f"{PIPE}.incremental"))
    assert said in one_line(caught.value)
    assert str(caught.value).startswith("budgets.toml: ")


def test_one_block_is_refused() -> None:
    with pytest.raises(
        UsageError, match=rf"seconds of {PIPE} \(incremental\) was measured in only one block"
    ):
        judge(Evidence([blocks(PIPED, 1)]), budgets(AT_MOST.format(2)))


def test_what_would_settle_it_names_what_is_too_few() -> None:
    """Full builds are played once in five rounds."""
    samples = [*blocks(PIPED, 15), *blocks({PIPE: 40.0}, 3, scenario="full", first=15)]
    verdict = judge(Evidence([samples]), budgets('seconds = "at most 1/5 of full"'))
    (said,) = [each.says for each in verdict.rulings if each.metric == "seconds"]
    assert re.search(r"; \d+ more full blocks, \d+ in all, should settle it$", said)


def test_a_baseline_without_the_arm_is_refused() -> None:
    text = 'seconds = "at most 5 % above the baseline"'
    with pytest.raises(UsageError, match="the baseline has no runner katas-data-container"):
        judge(Evidence([blocks(PIPED)], baseline=blocks({})), budgets(text))
    floorless = [each for each in blocks(PIPED) if each.runner != "bare-make"]
    with pytest.raises(UsageError, match="the result has no runner bare-make"):
        judge(Evidence([floorless], baseline=blocks(PIPED)), budgets(text))


def test_it_is_settled_at_a_look_and_nowhere_else() -> None:
    """Whoever stops as soon as he likes what he sees is wrong more often than his interval says."""
    found, stop = budgets(AT_MOST.format(1.4)), early_stop(budgets(AT_MOST.format(1.4)))
    at = [count for count in range(1, 61) if settled(blocks(PIPED, count), found)]
    assert at
    assert set(at) <= set(looks.LOOKS)
    assert stop(blocks(PIPED, at[0]))
    assert not settled(blocks(PIPED, 60), budgets(AT_MOST.format(1.25)))


def test_it_is_not_settled_before_every_arm_had_its_turn() -> None:
    """The full builds may come later."""
    found = budgets('seconds = ["at most 1.4 times katas-volume", "at most 1/2 of full"]')
    assert not settled(blocks(PIPED, 60), found)
    both = blocks(PIPED, 10, scenario="full", first=60) + blocks(PIPED, 60)
    fast = [
        replace(each, seconds=each.seconds / 9) if each.scenario == "incremental" else each
        for each in both
    ]
    assert settled(fast, found)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.5, 2), st.floats(1, 3), st.integers(12, 40), st.integers(0, 1000))
def test_a_verdict_is_monotone(ratio: float, slower: float, count: int, seed: int) -> None:
    """What has regressed has also if it is slower still; what passed has also if it is faster."""
    order = [VerdictState.PASSED, VerdictState.INCONCLUSIVE, VerdictState.REGRESSED]
    before = judge(Evidence([blocks({PIPE: ratio}, count, seed=seed)]), BARE).state
    after = judge(Evidence([blocks({PIPE: ratio * slower}, count, seed=seed)]), BARE).state
    assert order.index(before) <= order.index(after)


BARE = budgets('seconds = "at most 1.05 times bare-make"')
