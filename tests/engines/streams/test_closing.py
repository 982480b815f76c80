"""Many things are closed at once, and each of them."""

from __future__ import annotations

import threading

import pytest

from harness.engines.streams.closing import AT_ONCE, close_all
from harness.inside.errors import EngineError
from tests.support import PATIENCE


class Thing:
    def __init__(
        self, meet: threading.Barrier | None = None, error: Exception | None = None
    ) -> None:
        self.closed, self._meet, self._error = 0, meet, error

    def close(self) -> None:
        if self._meet:
            self._meet.wait(PATIENCE)
        self.closed += 1
        if self._error:
            raise self._error


@pytest.mark.parametrize("count", [0, 1, 2, AT_ONCE])
def test_all_are_closed_at_once(count: int) -> None:
    """None waits until another has ended: each waits for all of them here."""
    meet = threading.Barrier(count) if count else None
    things = [Thing(meet) for _ in range(count)]
    close_all(things)
    assert [each.closed for each in things] == [1] * count


def test_more_than_at_once() -> None:
    things = [Thing() for _ in range(3 * AT_ONCE)]
    close_all(things)
    assert all(each.closed == 1 for each in things)


def test_one_that_fails_keeps_no_other_from_being_closed() -> None:
    """And it is told."""
    things = [Thing(), Thing(error=EngineError("by a test")), Thing()]
    with pytest.raises(EngineError, match="by a test"):
        close_all(things)
    assert all(each.closed == 1 for each in things)
