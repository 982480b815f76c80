"""The search: counterexamples are small and can be replayed, and nothing that goes wrong passes for
a proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from harness import runners
from harness.engines.local.engine import LocalEngine
from harness.inside.errors import KatasError, UsageError
from harness.runners.claims import Property
from harness.verify import proofs
from harness.verify.proofs import (
    PROFILES,
    ProofResult,
    Refuted,
    Search,
    Status,
    Subject,
    Untried,
    examine,
)
from tests.support import one_line

Prove = Callable[[Subject, Search], None]


@pytest.fixture
def subject(tmp_path: Path) -> Iterator[Subject]:
    with closing(LocalEngine(tmp_path, bubblewrap=False)) as engine:
        yield Subject(runners.parse_variant("tmp"), engine, "local-plain")


@pytest.fixture
def examined(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ProofResult]:
    """Examines one property by a proof of the test's own."""

    def run(prove: Prove, profile: str = "ci", replay: str | None = None) -> ProofResult:
        monkeypatch.setattr(proofs, "proof", lambda name: prove)
        return examine(subject, Property.ATOMIC, PROFILES[profile], replay=replay)

    return run


def too_large(number: int) -> None:
    if number > 9:
        raise Refuted(f"{number} is too large")


def drawn(subject: Subject, search: Search) -> None:
    search.drawn("numbers", st.integers(0, 1000), too_large, most=100)


def listed(subject: Subject, search: Search) -> None:
    search.listed("numbers", range(1000), too_large)


class Counter(RuleBasedStateMachine):
    """A session that goes wrong after three steps."""

    def __init__(self, search: Search) -> None:
        super().__init__()
        self.search, self.steps = search, 0

    @rule()
    def step(self) -> None:
        self.steps += 1
        with self.search.attempt() as wanted:
            if wanted and self.steps == 3:
                raise Refuted("three steps")


def played(subject: Subject, search: Search) -> None:
    search.played("sessions", lambda: Counter(search), most=20, steps=10)


@pytest.mark.parametrize(
    ("prove", "words"),
    [(drawn, "10 is too large"), (listed, "10: 10 is too large"), (played, "three steps")],
)
def test_a_counterexample_is_the_smallest_and_can_be_replayed(
    prove: Prove, words: str, examined: Callable[..., ProofResult]
) -> None:
    """However it is searched for; a replay tries nothing else."""
    found = examined(prove)
    assert found.status is Status.REFUTED
    assert found.counterexample is not None
    assert found.counterexample.words == words
    again = examined(prove, replay=found.counterexample.token)
    assert again.counterexample == found.counterexample
    assert again.examples == 1


def test_a_counterexample_that_was_mended_no_longer_refutes(
    examined: Callable[..., ProofResult],
) -> None:
    """Then its replay says so, as one example."""
    found = examined(drawn)
    assert found.counterexample is not None

    def mended(subject: Subject, search: Search) -> None:
        search.drawn("numbers", st.integers(0, 1000), lambda number: None, most=100)

    again = examined(mended, replay=found.counterexample.token)
    assert (again.status, again.examples) == (Status.PROVED, 1)


@pytest.mark.parametrize(
    "word", ["rubbish", "numbers.rubbish", "numbers.", "others.MTI", "numbers.Ni4xIEFBQQ"]
)
def test_a_word_that_is_no_counterexample_is_refused(
    word: str, examined: Callable[..., ProofResult]
) -> None:
    """In one line; an empty one searches anew, which is how a race is replayed."""
    if word == "numbers.":
        assert examined(drawn, replay=word).status is Status.REFUTED
        return
    with pytest.raises(UsageError) as error:
        examined(drawn, replay=word)
    assert one_line(error.value)


def test_a_race_that_is_lost_only_once_is_lost(examined: Callable[..., ProofResult]) -> None:
    """Hypothesis calls such a failure flaky; a property that holds most of the time does not
    hold.
    """
    times = iter(range(1000))

    def racing(subject: Subject, search: Search) -> None:
        def check(number: int) -> None:
            if next(times) == 5:
                raise Refuted("too late")

        search.drawn("races", st.integers(), check, most=20)

    found = examined(racing)
    assert found.status is Status.REFUTED
    assert found.counterexample is not None
    assert found.counterexample.words == "too late (not every time)"


@pytest.mark.parametrize("prove", [drawn, played])
def test_making_a_counterexample_smaller_has_its_time(
    prove: Prove, examined: Callable[..., ProofResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond it nothing more is tried; the smallest that there was is shown, and can be
    replayed.
    """
    monkeypatch.setitem(PROFILES, "ci", replace(PROFILES["ci"], shrink_seconds=0.0))
    found = examined(prove)
    assert found.status is Status.REFUTED
    assert found.counterexample is not None
    again = examined(prove, replay=found.counterexample.token)
    assert again.counterexample == found.counterexample


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Untried("no Docker here"), "no Docker here"),
        (KatasError("the disk is full"), "the disk is full"),
        (UsageError("needs Docker 26"), "needs Docker 26"),
        (ZeroDivisionError("by\nzero"), "the proof broke off: ZeroDivisionError: by zero"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_what_goes_wrong_leaves_it_unknown(
    error: Exception, reason: str, inside: bool, examined: Callable[..., ProofResult]
) -> None:
    """Before the examples or in one of them, with the reason in one line; only what was unexpected
    has a traceback.
    """

    def check(number: int) -> None:
        raise error

    def prove(subject: Subject, search: Search) -> None:
        if inside:
            search.drawn("numbers", st.integers(), check, most=5)
        raise error

    found = examined(prove)
    assert (found.status, found.reason) == (Status.UNKNOWN, reason)
    assert bool(found.traceback) == isinstance(error, ZeroDivisionError)


def test_nothing_tried_is_nothing_proved(examined: Callable[..., ProofResult]) -> None:
    """A proof that lists no case at all has not shown anything."""
    found = examined(lambda subject, search: search.listed("none", (), too_large))
    assert (found.status, found.reason) == (Status.UNKNOWN, "nothing was tried")


def test_the_ci_profile_tries_the_same_each_time(examined: Callable[..., ProofResult]) -> None:
    """And thorough tries seventeen times as many as one usually does."""
    seen: list[list[int]] = []

    def prove(subject: Subject, search: Search) -> None:
        seen.append([])
        search.drawn("numbers", st.integers(), seen[-1].append, most=20)

    assert examined(prove).examples == 6
    assert examined(prove).examples == 6
    assert seen[0] == seen[1]
    assert examined(prove, "thorough").examples == 17 * 20
