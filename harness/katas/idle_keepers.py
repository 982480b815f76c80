"""Keepers that nothing is asked of: kept for the next test event, as each takes a while to start, but not all and not for ever,
as each takes memory and descriptors.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Protocol, TypeVar

from harness.engines.streams.closing import close_all
from harness.inside.errors import HarnessError

_MOST = 8
"""So many wait at most; the one that has waited longest goes first."""

SECONDS, LAST_SECONDS = 60.0, 900.0
"""How long one waits; and how long where it is the only one, for a player who thinks long."""


class Waits(Protocol):
    """What can wait, and be closed."""

    def close(self) -> object: ...


_T = TypeVar("_T", bound=Waits)


class IdleKeepers(list[_T]):
    """The latest is the last. For several threads."""

    def __init__(
        self, most: int = _MOST, seconds: float = SECONDS, last_seconds: float = LAST_SECONDS
    ) -> None:
        super().__init__()
        self._most, self._seconds, self._last_seconds = most, seconds, last_seconds
        self._since: dict[int, float] = {}  # by the id of what waits
        self._going: list[_T] = []  # to be closed, by the thread that has nothing else to do
        self._changed = threading.Condition()
        self._closes = False  # there is that thread

    def take(self) -> _T | None:
        """The latest; None where there is none."""
        with self._changed:
            if not self:
                return None
            self._since.pop(id(self[-1]), None)
            return self.pop()

    def give(self, one: _T) -> None:
        """Let it wait. Does not wait for those that give way."""
        with self._changed:
            self.append(one)
            self._since[id(one)] = time.monotonic()
            while len(self) > self._most:
                self._going.append(self.pop(0))
            if not self._closes:
                self._closes = True
                threading.Thread(target=self._close, name="harness-idle", daemon=True).start()
            elif self._going:
                self._changed.notify_all()

    def clear(self) -> None:
        """Close all, and wait for those that are just being closed."""
        with self._changed:
            self._going += self
            super().clear()
            self._changed.notify_all()
            while self._closes:
                self._changed.wait()

    def _close(self) -> None:
        while True:
            with self._changed:
                while not self._going and (left := self._left()) > 0:
                    self._changed.wait(
                        min(left, self._seconds)
                    )  # another may have come, and it is no more the only one
                going, self._going = self._going, []
                while self and self._left() <= 0:
                    going.append(self.pop(0))
                if not going:
                    self._since.clear()
                    self._closes = False
                    self._changed.notify_all()
                    return
            with contextlib.suppress(
                HarnessError, OSError
            ):  # it is of no use any more, and nobody waits
                close_all(going)

    def _left(self) -> float:
        """Seconds until the one that has waited longest has to go; none where there is none."""
        if not self:
            return 0.0
        since = self._since.get(id(self[0]), 0.0)
        return since + (self._last_seconds if len(self) == 1 else self._seconds) - time.monotonic()
