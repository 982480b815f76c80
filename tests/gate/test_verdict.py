"""The verdict of a gate on each of several runners."""

from __future__ import annotations

from harness.gate.verdict import Ruling, Verdict
from harness.measure.stats import Interval, VerdictState

INTERVAL = Interval(1.2, 1.1, 1.3, 0.99, 60)


def ruling(
    runner: str, metric: str, state: VerdictState, *, interval: Interval | None = None
) -> Ruling:
    """A ruling on an incremental build that says its metric, and then some advice."""
    says = f"has too much {metric}; mend it"
    return Ruling(runner, "incremental", metric, "is small", state, says, 60, interval=interval)


def decisive(*rulings: Ruling) -> list[tuple[str, VerdictState, str]]:
    found = Verdict(rulings, (), (), {}).runners
    return [(each.runner, each.state, each.decisive.metric) for each in found]


def test_each_runner_has_its_own_verdict_in_the_order_of_the_rulings() -> None:
    assert decisive(
        ruling("tmp", "seconds", VerdictState.PASSED),
        ruling("katas-volume", "seconds", VerdictState.REGRESSED),
        ruling("tmp", "files", VerdictState.INCONCLUSIVE),
    ) == [
        ("tmp", VerdictState.INCONCLUSIVE, "files"),
        ("katas-volume", VerdictState.REGRESSED, "seconds"),
    ]


def test_what_decides_is_a_time_if_one_is_as_bad_as_the_worst() -> None:
    """Else the first ruling that is; never one that is better."""
    passed, regressed = VerdictState.PASSED, VerdictState.REGRESSED
    first, second = ruling("tmp", "memory", regressed), ruling("tmp", "files", regressed)
    better = ruling("tmp", "seconds", passed, interval=INTERVAL)
    assert decisive(better, first, second) == [("tmp", regressed, "memory")]
    worse = ruling("tmp", "seconds", regressed, interval=INTERVAL)
    assert decisive(better, first, second, worse) == [("tmp", regressed, "seconds")]


def test_a_runner_is_told_in_a_few_words_without_advice() -> None:
    (found,) = Verdict((ruling("tmp", "tree_bytes", VerdictState.PASSED),), (), (), {}).runners
    assert found.says == "incremental: tree bytes has too much tree_bytes"
