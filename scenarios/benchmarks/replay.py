"""Replays recorded times to pytest-benchmark, as a clock that it reads before and after a round."""

from __future__ import annotations

from collections.abc import Sequence


class Replay:
    """A timer that makes each round take the next recorded time, in seconds."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._inside = False

    def load(self, seconds: Sequence[float]) -> None:
        """Set the times of the next rounds."""
        self._times = list(seconds)
        self._inside = False

    def __call__(self) -> float:
        """Return 0 at the start of a round and its time at the end: the difference is exact."""
        self._inside = not self._inside
        return 0.0 if self._inside or not self._times else self._times.pop(0)


def nothing() -> None:
    """Do nothing in a round: it was measured before."""
