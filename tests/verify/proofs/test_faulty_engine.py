"""Faults from outside: each strikes once, where it was to, and the engine is as good as before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import cast

import pytest

from harness.engines import Engine
from harness.inside.errors import UsageError
from harness.inside.layout import Avatar
from harness.runners.base import BaseRunner
from harness.runners.run import Outcome
from harness.verify.proofs.faults.disk_faults import FULL, KILLED
from harness.verify.proofs.faults.faulty_engine import (
    CUT,
    FROM,
    HARNESS,
    KEEPER,
    RUN,
    TO,
    FaultyEngine,
    StreamPlace,
    TimedFault,
)
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
