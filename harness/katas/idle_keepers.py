"""Keepers that wait for the next test event, because starting one takes time.

They take memory and descriptors, so only a few wait, and only for a limited time.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from harness.engines.streams.closing import close_all
from harness.inside.errors import HarnessError

_MOST = 8
"""How many may wait; the one that has waited longest goes first."""

_SECONDS, _LAST_SECONDS = 60.0, 900.0
"""How long one may wait; and how long if it is the only one, for a player who thinks long."""


class _Waits(Protocol):
    """Anything that can wait and be closed."""

    def close(self) -> object:
        """End it."""


_T = TypeVar("_T", bound=_Waits)


class IdleKeepers(list[_T]):
    """A stack of waiting keepers, safe for several threads; the latest is the last."""

    def __init__(
        self, most: int = _MOST, seconds: float = _SECONDS, last_seconds: float = _LAST_SECONDS
    ) -> None:
        super().__init__()
        self._most, self._seconds, self._last_seconds = most, seconds, last_seconds
        # When each began to wait, in monotonic seconds, by its id().
        self._since: dict[int, float] = {}
        # Those that a thread of its own will close.
        self._going: list[_T] = []
        self._changed = threading.Condition()
        # Whether that thread is running.
        self._closes = False

    def take(self, fit: Callable[[_T], bool] = lambda one: True) -> _T | None:
        """Return the latest that is fit, which is quickly told; None if there is none."""
        with self._changed:
            for at in reversed(range(len(self))):
                if fit(self[at]):
                    self._since.pop(id(self[at]), None)
                    return self.pop(at)
            return None

    def give(self, one: _T) -> None:
        """Let one wait; does not wait for those that must go to be closed."""
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
        """Close all, and wait for those that are already being closed."""
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
                    # Wake up in between: another may have come, and then the limit is shorter.
                    self._changed.wait(min(left, self._seconds))
                going, self._going = self._going, []
                while self and self._left() <= 0:
                    going.append(self.pop(0))
                if not going:
                    self._since.clear()
                    self._closes = False
                    self._changed.notify_all()
                    return
            # Nobody needs them any more, and nobody waits to hear of an error.
            with contextlib.suppress(HarnessError, OSError):
                close_all(going)

    def _left(self) -> float:
        """Return the seconds until the one that has waited longest must go; 0 if there is none."""
        if not self:
            return 0.0
        since = self._since.get(id(self[0]), 0.0)
        return since + (self._last_seconds if len(self) == 1 else self._seconds) - time.monotonic()
