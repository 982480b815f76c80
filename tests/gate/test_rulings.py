"""Each ruling by itself: which figures it is of, what it says, and when a gate may stop."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from harness.gate import HOPELESS, Evidence, early_stop, judge, settled, states
from harness.gate.evidence import check_budgets, counts, events, figures, measured_arms, others
from harness.gate.verdict import Ruling
from harness.inside.errors import UsageError
from harness.measure import looks
from harness.measure.stats import VerdictState
from harness.measure.trials.sample import Sample
from tests.gate.figures import PIPE, blocks, budgets
from tests.measure.samples import sample

PASSED, REGRESSED = VerdictState.PASSED, VerdictState.REGRESSED
INCONCLUSIVE = VerdictState.INCONCLUSIVE


def edit(runner: str, block: int, **changes: object) -> Sample:
    return sample(runner, scenario="incremental", block=block, **changes)


def counted(*figures: int | None, runner: str = PIPE) -> list[Sample]:
    """An edit in each block that recompiled so many files."""
    return [edit(runner, block, recompiled=each) for block, each in enumerate(figures)]


def ruled(evidence: Evidence, text: str) -> Ruling:
    """The ruling on the one budget."""
    return judge(evidence, budgets(text)).rulings[1]


def steady(ratio: float, count: int, *, wobble: float = 0.01) -> list[Sample]:
    """Blocks in which the ratio to the other runner goes up and down around this one."""
    return [
        edit(name, block, seconds=seconds)
        for block in range(count)
        for name, seconds in (
            ("bare-make", 1.0),
            ("katas-volume", 1.0),
            (PIPE, ratio * math.exp(wobble * (block % 5 - 2))),
        )
    ]


@pytest.mark.parametrize(
    ("text", "figures", "state", "says"),
    [
        ("exactly 2", (2, 2, 2), PASSED, "2 in 3 blocks"),
        ("exactly 2", (2, 1, 3), REGRESSED, "1 in block 2, not exactly 2; broken in 2 of 3 blocks"),
        ("at most 2", (0, 2, 1), PASSED, "0 to 2"),
        ("at most 2", (3, 2, 2), REGRESSED, "3 in block 1, not at most 2; broken in 1 of 3 blocks"),
        ("at least 2", (2, 5, 2), PASSED, "2 to 5"),
        (
            "at least 2",
            (2, 2, 1),
            REGRESSED,
            "1 in block 3, not at least 2; broken in 1 of 3 blocks",
        ),
        ("at most 2", (1, None, 2), PASSED, "1 to 2"),
        ("exactly 0", (0, 0), PASSED, "0 in 2 blocks"),
    ],
)
def test_a_counter_is_held_to_its_bound_in_every_block(
    text: str, figures: tuple[int | None, ...], state: VerdictState, says: str
) -> None:
    """The bound itself keeps to it; what was not counted does not count."""
    found = ruled(Evidence([counted(*figures)]), f'recompiled = "{text}"')
    known = sum(each is not None for each in figures)
    assert (found.state, found.says, found.blocks) == (state, says, known)
    assert (found.interval, found.limit, found.scatter) == (None, None, None)
    assert (found.outliers, found.warm_up) == (0, 0)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("at most 2 times katas-volume", PASSED),  # of the most that the other needed
        ("at most 1.9 times katas-volume", REGRESSED),
        ("at least 2 times katas-volume", PASSED),  # of the least
        ("at least 2.1 times katas-volume", REGRESSED),
    ],
)
def test_a_counter_is_compared_with_the_other_s_extreme(text: str, state: VerdictState) -> None:
    samples = [*counted(8, 10), *counted(4, 5, runner="katas-volume")]
    assert ruled(Evidence([samples]), f'recompiled = "{text}"').state is state


@pytest.mark.parametrize("against", [None, "base"])
def test_a_counter_of_a_baseline_is_that_of_the_other_run_or_arm(against: str | None) -> None:
    """Nobody divides it by bare make's."""
    text = 'recompiled = "at most 1 times the baseline"'
    other = counted(3, 7, runner=against or PIPE)
    runs, baseline = ([[*counted(6, 7), *other]], []) if against else ([counted(6, 7)], other)
    evidence = Evidence(runs, baseline=baseline, against=against)
    assert ruled(evidence, text).state is PASSED
    (budget,) = budgets(text)
    assert others(evidence, budget) == [3, 7]
    assert counts(evidence, budget) == [(0, 6), (1, 7)]


def test_what_is_counted_on_neither_side_of_a_baseline_keeps_to_it() -> None:
    """Unless one side has a count, or there is nothing to compare with."""
    text = 'recompiled = "at most 1 times the baseline"'
    none = counted(None, None)
    found = ruled(Evidence([none], baseline=none), text)
    assert (found.state, found.blocks) == (PASSED, 0)
    assert found.says == "not counted on either side: this build makes no object files"
    for now, before in ((none, counted(1)), (counted(1), none)):
        with pytest.raises(UsageError, match=r"recompiled of .* was not measured"):
            judge(Evidence([now], baseline=before), budgets(text))
    with pytest.raises(UsageError, match=r"mtimes_kept of .* was not measured"):
        judge(Evidence([none], baseline=none), budgets('mtimes_kept = "at most 1 of baseline"'))


def test_failed_test_events_are_counted_and_the_first_is_named() -> None:
    samples = counted(1, 1, 1, 1)
    whole = judge(Evidence([samples]), budgets('recompiled = "exactly 1"')).rulings[0]
    assert (whole.state, whole.says, whole.blocks) == (PASSED, "all 4 test events", 4)
    assert (whole.metric, whole.budget) == ("test events", "completed and right")
    samples[1] = replace(samples[1], outcome="timed_out", right=False)
    samples[2] = replace(samples[2], right=False)
    samples[3] = replace(samples[3], right=None)
    failed = judge(Evidence([samples]), budgets('recompiled = "exactly 1"')).rulings[0]
    assert failed.state is REGRESSED
    assert failed.says == "2 of 4 test events failed, the first one in block 2: timed out"
    wrong = judge(Evidence([samples[2:]]), budgets('recompiled = "exactly 1"')).rulings[0]
    assert wrong.says == "1 of 2 test events failed, the first one in block 3: a wrong answer"


def test_a_heading_is_ruled_once_whatever_its_budgets() -> None:
    found = judge(
        Evidence([counted(1)]), budgets('recompiled = "exactly 1"\nbytes_in = "at most 10 B"')
    )
    assert [each.metric for each in found.rulings] == ["test events", "recompiled", "bytes_in"]


@pytest.mark.parametrize(
    ("limit", "state", "says"),
    [
        (2.1, PASSED, "2 (1.99 to 2.01) in 60 blocks"),
        (1.9, REGRESSED, "2 (1.99 to 2.01) in 60 blocks"),
        (2.0, INCONCLUSIVE, "2 (1.99 to 2.01) in 60 blocks; it lies at the limit, so no number of "
         "blocks can decide"),
    ],
)  # fmt: skip
def test_a_ratio_says_its_interval_and_what_would_settle_it(
    limit: float, state: VerdictState, says: str
) -> None:
    found = ruled(Evidence([steady(2.0, 60)]), f'seconds = "at most {limit} times katas-volume"')
    assert (found.state, found.says, found.limit) == (state, says, limit)
    assert found.interval is not None
    assert found.interval.confidence == looks.share(1)
    assert (found.blocks, found.outliers, found.warm_up) == (60, 0, 0)
    assert found.scatter == pytest.approx(math.exp(0.01 / 0.6744898))
    least = ruled(Evidence([steady(2.0, 60)]), f'seconds = "at least {limit} times katas-volume"')
    assert least.state is {PASSED: REGRESSED, REGRESSED: PASSED}.get(state, state)


def test_two_budgets_share_their_confidence() -> None:
    """A counter has no part in it."""
    text = (
        'seconds = ["at most 3 times katas-volume", "at least 1.5 times bare-make"]\n'
        'recompiled = "exactly 24"'
    )
    found = judge(Evidence([steady(2.0, 60)]), budgets(text)).rulings[1:]
    confidences = [each.interval.confidence for each in found if each.interval]
    assert confidences == [looks.share(2)] * 2


def test_what_lies_near_the_limit_says_how_far_off_a_verdict_is() -> None:
    """In blocks while these are few enough, in noise beyond."""
    evidence = Evidence([steady(2.0, 60, wobble=0.1)])
    near = ruled(evidence, 'seconds = "at most 2.05 times katas-volume"')
    assert near.to_settle is not None
    assert 60 < near.to_settle <= HOPELESS == 1920
    assert near.says.endswith(
        f"; {near.to_settle - 60} more blocks, {near.to_settle} in all, should settle it"
    )
    hopeless = ruled(evidence, 'seconds = "at most 2.004 times katas-volume"')
    assert hopeless.to_settle is not None
    assert hopeless.to_settle > HOPELESS
    assert hopeless.scatter is not None
    bearable = math.log(hopeless.scatter) * math.sqrt(HOPELESS / hopeless.to_settle)
    assert hopeless.says.endswith(
        f"; too noisy, or too near the limit: it varies by {hopeless.scatter - 1:.0%} from block "
        f"to block; with {math.exp(bearable) - 1:.1%}, 1920 blocks would settle it"
    )
    wild = ruled(
        Evidence([steady(2.0, 60, wobble=0.7)]), 'seconds = "at most 2.02 times katas-volume"'
    )
    assert wild.scatter is not None
    assert wild.scatter > 2
    assert f"it varies by {wild.scatter * 100 - 100:.0f}% from block to block" in wild.says
    before = steady(2.0, 60, wobble=0.1)
    apart = ruled(
        Evidence([before], baseline=before), 'seconds = "at most 1.002 times the baseline"'
    )
    assert apart.scatter is None
    assert apart.says.endswith(
        f"; it lies so near the limit that some {apart.to_settle} blocks would be needed"
    )


def test_what_is_too_few_is_named_by_its_scenario_only_if_it_is_fewer() -> None:
    """Blocks are named plainly if both sides have as many."""
    full = [
        sample(PIPE, block=100 + block, seconds=4.0 * math.exp(0.3 * (block % 3 - 1)))
        for block in range(15)
    ]
    text = 'seconds = "at most 1/2 of full"'
    for count, words in (
        (14, r"\d+ more blocks"),
        (15, r"\d+ more blocks"),
        (16, "more full blocks"),
    ):
        mine = [each for each in steady(2.1, count) if each.runner == PIPE]
        found = ruled(Evidence([[*mine, *full]]), text)
        assert found.state is INCONCLUSIVE
        assert re.search(words, found.says), found.says
        assert found.scatter is None


@pytest.mark.parametrize(
    ("mine", "theirs", "runner", "said"),
    [
        (
            1,
            2,
            PIPE,
            "seconds of katas-data-container (incremental) was measured in only one block",
        ),
        (2, 1, "full", "seconds of katas-data-container (full) was measured in only one block"),
        (0, 1, PIPE, "seconds of katas-data-container (incremental) was not measured in any"),
    ],
)
def test_the_side_with_too_few_figures_is_named(
    mine: int, theirs: int, runner: str, said: str
) -> None:
    """What did not complete is no figure."""
    samples = [
        edit(PIPE, 99, outcome="faulty"),
        *(edit(PIPE, block) for block in range(mine)),
        *(sample(PIPE, block=10 + block) for block in range(theirs)),
    ]
    with pytest.raises(UsageError) as caught:
        judge(Evidence([samples]), budgets('seconds = "at most 1/2 of full"'))
    assert said in str(caught.value)


def test_two_blocks_are_enough_to_say_that_they_are_too_few() -> None:
    found = ruled(Evidence([steady(2.0, 2)]), 'seconds = "at most 3 times katas-volume"')
    assert found.state is INCONCLUSIVE
    assert found.says.startswith("1.97 in 2 blocks, too few for an interval; 13 more blocks, 15 in")


def test_pairs_are_of_the_same_block_and_run() -> None:
    """Ratios to a baseline are to bare make's in the same block; memory is compared as it is."""
    (budget,) = budgets('seconds = "at most 2 times katas-volume"')
    samples = [
        edit(PIPE, 0, seconds=1.0), edit("katas-volume", 0, seconds=10.0),
        edit(PIPE, 1, seconds=2.0), edit("katas-volume", 1, seconds=20.0, outcome="faulty"),
        edit(PIPE, 2, seconds=3.0), edit("katas-volume", 3, seconds=30.0),
    ]  # fmt: skip
    both = figures(Evidence([samples, samples]), budget)
    assert (both.one, both.other, both.paired, both.blocks) == ([1.0, 1.0], [10.0, 10.0], True, 2)
    (apart,) = budgets('seconds = "at most 1/2 of full"')
    two = figures(Evidence([[*samples, sample(PIPE, block=7, seconds=9.0)]]), apart)
    assert (two.one, two.other, two.paired, two.blocks) == ([1.0, 2.0, 3.0], [9.0], False, 1)
    (base,) = budgets('seconds = "at most 2 times the baseline"')
    floors = [edit("bare-make", 0, seconds=4.0), edit("bare-make", 2, seconds=2.0)]
    old = figures(Evidence([[*samples, *floors]], baseline=[*samples, *floors]), base)
    assert (old.one, old.other, old.paired) == ([0.25, 1.5], [0.25, 1.5], False)
    (memory,) = budgets('memory = "at most 2 times the baseline"')
    bytes_ = [edit(PIPE, block, memory=each) for block, each in enumerate((5, None, 7))]
    assert figures(Evidence([bytes_], baseline=bytes_), memory).one == [5, 7]


def test_a_phase_is_a_figure_of_its_own() -> None:
    (budget,) = budgets('phase_save = "at most 2 times katas-volume"')
    samples = [
        edit(name, 0, phases={"save": seconds, "run": 9.0})
        for name, seconds in ((PIPE, 1.5), ("katas-volume", 2.5))
    ]
    found = figures(Evidence([samples]), budget)
    assert (found.one, found.other) == ([1.5], [2.5])


def test_a_baseline_needs_bare_make_only_for_times() -> None:
    samples = counted(1, 1)
    check_budgets(
        Evidence([samples], baseline=samples), budgets('recompiled = "at most 1 of baseline"')
    )
    for baseline, text in ((samples, "the baseline has no runner bare-make"), ([], "no baseline")):
        with pytest.raises(UsageError, match=text):
            check_budgets(
                Evidence([samples], baseline=baseline), budgets('seconds = "at most 1 of baseline"')
            )


def test_arms_and_events_are_those_of_all_runs() -> None:
    runs = [counted(1), [*counted(2, runner="tmp"), sample(PIPE, outcome="faulty")]]
    assert measured_arms(runs) == {PIPE: {"incremental", "full"}, "tmp": {"incremental"}}
    assert events(Evidence(runs), PIPE, "full") == runs[1][1:]
    with pytest.raises(UsageError, match=r"no scenario header of tmp; it has: incremental$"):
        check_budgets(Evidence(runs), budgets('recompiled = "exactly 1"', "tmp.header"))


def test_the_noise_is_that_of_each_scenario_of_the_budgets() -> None:
    """Of common blocks of all runs, two or more."""

    def pair(count: int, ratio: float) -> list[Sample]:
        return [
            edit(name, block, seconds=seconds)
            for block in range(count)
            for name, seconds in (
                ("bare-make", 1.0),
                ("katas-volume", 1.0),
                (PIPE, 2.0),
                (f"{PIPE}#2", 2.0 * ratio * math.exp(0.01 * (block % 5 - 2))),
            )
        ]

    text = budgets('seconds = "at most 3 times katas-volume"')
    (one,) = judge(Evidence([pair(10, 1.0), pair(10, 1.0)]), text).noise
    assert (one.runner, one.scenario, one.interval.blocks) == (PIPE, "incremental", 20)
    assert one.interval.confidence == 0.99
    assert one.interval.estimate == pytest.approx(1.0)
    lonely = [*pair(20, 1.0), edit(f"{PIPE}#2", 50, seconds=2.0)]
    assert judge(Evidence([lonely]), text).noise[0].interval.blocks == 20
    assert judge(Evidence([[*steady(2.0, 20), *pair(1, 1.0)[3:]]]), text).noise == ()
    two = [*steady(2.0, 20), *pair(2, 1.0)[3::4]]
    assert judge(Evidence([two]), text).noise[0].interval.blocks == 2
    exact = [replace(each, seconds=1.0) for each in pair(20, 1.0)]
    assert judge(Evidence([exact]), text).remarks == ()
    fair = judge(Evidence([pair(20, 1.0)], remarks=["odd"]), text)
    assert fair.remarks == ("odd",)
    for ratio, share in ((0.8, "20.0%"), (1.25, "25.0%")):
        unfair = judge(Evidence([pair(20, ratio)]), text)
        assert unfair.noise[0].interval.estimate == pytest.approx(ratio)
        assert unfair.remarks == (
            f"{PIPE} differs from itself by {share} (incremental), so something other than the "
            "runner was measured; trust no ratio that is as near to its limit",
        )


def test_it_is_settled_by_the_scenario_with_the_most_blocks() -> None:
    """Only right after one of its blocks that is a look, or when all blocks have been played."""
    text = budgets('seconds = "at most 3 times katas-volume"')
    samples = steady(2.0, 15)
    assert settled(samples, text)
    assert not settled(samples[:-3], text)
    assert not settled([*samples, sample(PIPE, block=50)], text)
    assert not settled(steady(2.0, 14), text, most=15)
    assert settled(steady(2.0, 14), text, most=14)
    assert settled(steady(2.0, 14), text, most=13)
    many = [edit(PIPE, block) for block in range(looks.LOOKS[-1])]
    assert settled(many, text)
    assert not settled(many[:-1], text)
    assert early_stop(text)(many)
    assert not early_stop(text)(many[:-1])
    assert not early_stop(text)(many[: looks.LOOKS[-2]])
    assert not early_stop(text)(samples[:-3])
    assert early_stop(text, most=14)(samples[:-3])


def test_it_is_settled_only_if_no_budget_is_open() -> None:
    """A regression is settled too; the arm that is the baseline is asked for by its name."""
    for ratio, done in ((2.0, True), (3.0, False), (4.0, True)):
        samples = steady(ratio, 60)
        text = budgets('seconds = "at most 3 times katas-volume"')
        assert settled(samples, text) is done
        base = budgets('seconds = "at most 3 times the baseline"')
        assert settled(samples, base, against="katas-volume") is done
        assert early_stop(base, against="katas-volume")(samples) is done
        assert states(Evidence([samples], against="katas-volume"), base) == states(
            Evidence([samples]), text
        )


def test_the_worst_ruling_is_the_verdict() -> None:
    samples = blocks({"katas-volume": 4.0, PIPE: 5.0}, recompiled=1)
    for text, state, status in (
        ('recompiled = "exactly 1"', PASSED, 0),
        ('recompiled = "exactly 1"\nseconds = "at most 1.25 times katas-volume"', INCONCLUSIVE, 3),
        ('recompiled = "exactly 2"\nseconds = "at most 1.25 times katas-volume"', REGRESSED, 1),
    ):
        verdict = judge(Evidence([samples], facts={"tree": "t"}), budgets(text))
        assert (verdict.state, verdict.exit_status) == (state, status)
        assert verdict.facts == {"tree": "t"}
