"""Faults from outside: each strikes once, where it was to, and the engine is as good as before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import cast

import pytest

from harness.engines import Engine
from harness.inside.errors import UsageError
from harness.inside.layout import Avatar
from harness.runners.base import BaseRunner
from harness.runners.run import Outcome
from harness.verify.faults.breakable import FROM, TO
from harness.verify.faults.disk_faults import FULL, KILLED
from harness.verify.faults.faulty_engine import FaultyEngine
from harness.verify.faults.stream_faults import CutInput, CutOutput, KillAt, Refuse, StreamFault
from harness.verify.faults.timed_fault import CUT, HARNESS, KEEPER, RUN, StreamPlace, TimedFault
from tests.support import an_avatar, make_runner, script

pytestmark = pytest.mark.parametrize("shared_engine", ["local-plain", "docker"], indirect=True)

FAULTS = [
    TimedFault(RUN, KILLED, StreamPlace(RUN, FROM, 1)),
    TimedFault(RUN, CUT, StreamPlace(KEEPER, FROM, 3000)),
    TimedFault(KEEPER, KILLED, StreamPlace(RUN, TO, 100)),
    TimedFault(KEEPER, CUT, StreamPlace(KEEPER, TO, 300)),
    TimedFault(KEEPER, KILLED, change=3),
    TimedFault(KEEPER, FULL, change=20),
]


@pytest.fixture(scope="module")
def faulty(shared_engine: Engine) -> FaultyEngine:
    return FaultyEngine(shared_engine)


@pytest.fixture(scope="module")
def runner(faulty: FaultyEngine) -> Iterator[BaseRunner]:
    with closing(make_runner("katas-data-container", cast(Engine, faulty))) as opened:
        yield opened


@pytest.fixture
def avatar() -> Avatar:
    return an_avatar()


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_strikes_once(
    faulty: FaultyEngine, runner: BaseRunner, avatar: Avatar, fault: TimedFault
) -> None:
    """The test event in which it waits is faulty, for a reason in one line; the next is an ordinary
    one.
    """
    with faulty.armed(fault):
        struck = runner.run(avatar, script("echo 1 >made"), max_seconds=60)
    assert (struck.outcome, struck.tag) == (Outcome.FAULTY, None)
    assert struck.reason.isprintable()
    assert runner.run(avatar, script("echo 1"), max_seconds=60).tag == 1


def test_a_fault_that_is_not_reached_does_nothing(
    faulty: FaultyEngine, runner: BaseRunner, avatar: Avatar
) -> None:
    with faulty.armed(TimedFault(RUN, KILLED, StreamPlace(RUN, FROM, 10**9))):
        assert runner.run(avatar, script("true"), max_seconds=60).tag == 1
    assert runner.run(avatar, script("true"), max_seconds=60).tag == 2


def test_a_test_event_is_listened_to(
    faulty: FaultyEngine, runner: BaseRunner, avatar: Avatar
) -> None:
    """Whose turn it is, byte by byte, and how often the keeper changed its disk."""
    with faulty.recording() as course:
        assert runner.run(avatar, script("true"), max_seconds=60).tag == 1
    assert set(course.opened) == {RUN, KEEPER}
    assert course.changes > 10
    ends: dict[tuple[str, str], int] = {}
    for turn in course.turns:
        assert turn.start == ends.get((turn.stream, turn.way), 0)
        assert turn.end > turn.start
        ends[turn.stream, turn.way] = turn.end
    assert set(ends) == {(RUN, TO), (RUN, FROM), (KEEPER, TO), (KEEPER, FROM)}


@pytest.mark.parametrize("fault", [*FAULTS, TimedFault(HARNESS, KILLED, change=1)], ids=str)
def test_a_fault_in_words_can_be_read_again(fault: TimedFault, shared_engine: Engine) -> None:
    assert TimedFault.parse(str(fault)) == fault


def test_words_that_are_no_fault(shared_engine: Engine) -> None:
    with pytest.raises(UsageError, match="is not a fault"):
        TimedFault.parse("the run-container is tired at byte 1")


@pytest.mark.parametrize("victim", [RUN, KEEPER])
@pytest.mark.parametrize(
    "fault", [CutOutput(1), CutInput(40), KillAt(1), Refuse("by a test")], ids=str
)
def test_a_fault_of_a_stream_breaks_a_real_engine(
    faulty: FaultyEngine, runner: BaseRunner, avatar: Avatar, fault: StreamFault, victim: str
) -> None:
    """The values that break a fake engine's streams, once."""
    faulty.end_keepers()
    faulty.inject(fault, keeper=victim == KEEPER)
    struck = runner.run(avatar, script("true"), max_seconds=60)
    assert (struck.outcome, struck.tag) == (Outcome.FAULTY, None)
    assert runner.run(avatar, script("true"), max_seconds=60).tag == 1


def test_what_is_struck_at_once(faulty: FaultyEngine, runner: BaseRunner, avatar: Avatar) -> None:
    """While nobody uses it, a keeper is replaced; the last run-container is the one that runs."""
    assert runner.run(avatar, script("true"), max_seconds=60).tag == 1
    faulty.strike(KEEPER, KILLED)
    assert runner.run(avatar, script("true"), max_seconds=60).tag == 2
    ended = threading.Event()

    def strike() -> None:
        while not ended.wait(0.2):
            faulty.strike(RUN, KILLED, last=True)

    with ThreadPoolExecutor(1) as other:
        striking = other.submit(strike)
        struck = runner.run(avatar, script("sleep 1000"), max_seconds=500)
        ended.set()
        striking.result()
    assert (struck.outcome, struck.tag) == (Outcome.FAULTY, None)


def test_nothing_is_counted_where_nobody_asks(
    faulty: FaultyEngine, runner: BaseRunner, avatar: Avatar
) -> None:
    """An hour of the soak keeps no course of it."""
    with faulty.recording() as course:
        assert runner.run(avatar, script("true"), max_seconds=60).tag == 1
    turns = len(course.turns)
    assert runner.run(avatar, script("true"), max_seconds=60).tag == 2
    assert len(course.turns) == turns > 0
