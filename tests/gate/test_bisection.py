"""The search for a commit: every culprit is found, with as few gates as a binary search takes."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable, Collection, Sequence

import pytest
from rich.console import Console

from harness.gate.bisection import Answer, Bisection, BisectOutcome, Question
from harness.gate.revision import Commit
from harness.measure.stats import Interval
from harness.report.bisection import answer_words, render

GOOD = Commit("g" * 40, "release")
LIMIT = 1.05


def history(count: int) -> tuple[Commit, ...]:
    return tuple(Commit(f"{place:02}" + "0" * 38, f"change {place}") for place in range(count))


def searched(
    levels: Sequence[float], *, width: float = 0.01, untold: Collection[int] = ()
) -> Bisection:
    """Search commits that take so many times as long as GOOD, with intervals of this width.

    Commits of these places cannot be timed.
    """
    commits = history(len(levels))
    level = {GOOD: 1.0, **dict(zip(commits, levels, strict=True))}
    search = Bisection(GOOD, commits, LIMIT)
    while (question := search.question()) is not None:
        ratio = level[question.commit] / level[question.base]
        interval = Interval(ratio * (1 - width), ratio, ratio * (1 + width), 15, 0.99)
        lost = question.commit in {commits[place] for place in untold}
        search.answer(Answer(question, None if lost else interval, "it is broken" if lost else ""))
        assert len(search.answers) <= len(levels) + 2
    return search


def shown(search: Bisection) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(
        render(search, lambda good, bad: f"harness bisect {good} {bad}"), soft_wrap=True
    )
    return out.getvalue()


@pytest.mark.parametrize("count", range(1, 18))
def test_each_culprit_is_found_with_the_gates_of_a_binary_search(count: int) -> None:
    """One for the ends, one for each halving, and one beside the commit before it."""
    for culprit in range(count):
        search = searched([1.0] * culprit + [1.2] * (count - culprit))
        assert search.outcome is BisectOutcome.COMMIT
        assert search.suspects == (search.commits[culprit],)
        assert search.before == (search.commits[culprit - 1] if culprit else GOOD)
        assert search.own is not None
        assert search.own.interval is not None
        assert search.own.interval.estimate == pytest.approx(1.2)
        asked = [answer.question for answer in search.answers]
        assert len(set(asked)) == len(asked) <= 2 + math.ceil(math.log2(count))
        assert f"{search.commits[culprit]} made it slower: 1.20 (1.19 to 1.21)" in shown(search)


@pytest.mark.parametrize("count", [4, 5])
def test_what_cannot_be_timed_is_left_out(count: int) -> None:
    """Whatever is broken, the culprit is among the suspects, and each other suspect is broken."""
    for culprit in range(count):
        levels = [1.0] * culprit + [1.2] * (count - culprit)
        for size in range(count):
            for untold in itertools.combinations(range(count - 1), size):
                search = searched(levels, untold=untold)
                assert search.commits[culprit] in search.suspects
                assert {search.commits.index(each) for each in search.suspects[:-1]} <= set(untold)
                one = len(search.suspects) == 1
                assert search.outcome is (BisectOutcome.COMMIT if one else BisectOutcome.RANGE)
    words = shown(searched([1.0] * 3 + [1.2] * 3, untold=(1, 2)))
    assert "One of these 3 commits" in words
    assert words.count("left out: it is broken") == 2


def test_a_long_stretch_of_broken_commits_takes_few_gates() -> None:
    """Its neighbours are not tried one by one as long as the culprit is outside it."""
    search = searched([1.0] * 90 + [1.2] * 10, untold=range(30, 70))
    assert search.suspects == (search.commits[90],)
    assert len(search.answers) < 12


def test_of_two_steps_the_first_is_found() -> None:
    """The level between them is neither that of GOOD nor that of BAD, and no reason to be unsure."""
    for first, second in itertools.combinations(range(9), 2):
        levels = [1.0] * first + [1.1] * (second - first) + [1.21] * (9 - second)
        search = searched(levels, width=0.02)
        assert search.outcome is BisectOutcome.COMMIT
        assert search.commits.index(search.suspects[0]) in (first, second)
        assert search.own is not None
        assert search.own.interval is not None
        assert search.own.interval.estimate == pytest.approx(1.1)


def test_small_steps_that_add_up_are_told() -> None:
    """Each gate beside GOOD is sure, and yet the last commit is as fast as the one before it."""
    search = searched([1.05, 1.09, 1.10, 1.2], width=0.001)
    assert search.outcome is BisectOutcome.GRADUAL
    assert search.suspects == (search.commits[2],)
    assert "Several small steps may add up" in shown(search)


def test_what_else_made_it_slower_is_told() -> None:
    """A commit that explains a part only is not taken for the whole."""
    search = searched([1.0, 1.2, 1.2, 1.2, 1.3, 1.3])
    assert search.suspects == (search.commits[1],)
    assert "That is only a part of it: harness bisect" in shown(search)
    assert "only a part" not in shown(searched([1.0, 1.3, 1.3, 1.3]))


@pytest.mark.parametrize(
    ("level", "width", "outcome", "words"),
    [
        (1.0, 0.01, BisectOutcome.NOT_SLOWER, "is not slower than"),
        (0.5, 0.01, BisectOutcome.NOT_SLOWER, "is not slower than"),
        (1.03, 0.01, BisectOutcome.NOT_SLOWER, "is not slower than"),
        (1.03, 0.05, BisectOutcome.UNSURE, "It is unsure whether"),
        (1.06, 0.02, BisectOutcome.COMMIT, "made it slower"),
    ],
)
def test_the_ends_are_compared_first(
    level: float, width: float, outcome: BisectOutcome, words: str
) -> None:
    """If BAD is not slower, or that is unsure, nothing else is measured."""
    search = searched([1.0, level, level], width=width)
    assert search.outcome is outcome
    assert words in shown(search)
    if outcome is not BisectOutcome.COMMIT:
        assert len(search.answers) == 1


def test_a_limit_never_exceeds_what_the_slow_commits_take() -> None:
    """However wrong the first estimate is: a slow commit would pass for a fast one."""
    commits = history(3)
    search = Bisection(GOOD, commits, LIMIT)
    first = search.question()
    assert first == Question(commits[-1], GOOD, LIMIT)
    search.answer(Answer(first, Interval(1.06, 2.0, 3.0, 15, 0.99)))
    asked = search.question()
    assert asked is not None
    assert asked.limit == 1.06
    search.answer(Answer(asked, Interval(1.5, 1.6, 1.7, 15, 0.99)))
    asked = search.question()
    assert asked is not None
    assert asked.limit == pytest.approx(1.6**0.5)


def test_an_answer_is_told_in_a_line() -> None:
    question = Question(history(1)[0], GOOD, LIMIT)
    interval: Callable[[float, float], Interval] = lambda low, high: Interval(  # noqa: E731
        low, (low + high) / 2, high, 15, 0.99
    )
    for low, high, words in ((1.1, 1.3, "slower"), (0.9, 1.0, "not slower"), (0.9, 1.3, "unsure")):
        assert f"in 15 blocks: {words}" in answer_words(Answer(question, interval(low, high)))
    assert "is left out: no pip" in answer_words(Answer(question, None, "no pip"))
