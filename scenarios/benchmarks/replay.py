"""What was recorded, as pytest-benchmark takes it: a clock that it reads twice a round, before and after."""

from __future__ import annotations

from collections.abc import Sequence


class Replay:
    """A timer under which each round takes as long as the next of these times, in seconds."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._inside = False

    def load(self, seconds: Sequence[float]) -> None:
        """What the next rounds take."""
        self._times = list(seconds)
        self._inside = False

    def __call__(self) -> float:
        """0 at the start of a round, and the round's time at its end: their difference is exact."""
        self._inside = not self._inside
        return 0.0 if self._inside or not self._times else self._times.pop(0)


def nothing() -> None:
    """What is called in each round: it was measured before."""
