"""Run-containers that stand by: started, or even seeded, while the player is thinking. Each serves one test event, and is
thrown away if it is not needed.

Few threads prepare them for all avatars, so none may wait for what an avatar is at: none is prepared for one that is playing,
and a press that comes while its head start only stands in the queue goes without.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from harness.engines import Sandbox
from harness.engines.streams.closing import close_all
from harness.inside.errors import HarnessError
from harness.inside.layout import Avatar
from harness.runners.seed import Seed

WORKERS = 4
"""How many may be prepared at once."""


@dataclass(frozen=True)
class Standing:
    """One run-container that stands by."""

    sandbox: Sandbox
    seed: Seed | None = None


class Standby:
    """At most so many, one for each avatar; the least recently used gives way."""

    def __init__(self, start: Callable[[Avatar], Standing], most: int) -> None:
        """`start` may take its time, and is called in a thread of its own."""
        self._start, self._most = start, most
        self._standing: OrderedDict[Avatar, Future[Standing]] = OrderedDict()
        self._workers = ThreadPoolExecutor(
            max_workers=WORKERS, thread_name_prefix="harness-standby"
        )
        self._playing: Counter[Avatar] = Counter()
        self._lock = threading.Lock()
        self._closed = False

    def prepare(self, avatar: Avatar) -> Future[Standing] | None:
        """Begin to prepare one, unless it was; one that failed is begun anew. None once closed, and while the avatar plays."""
        with self._lock:
            if self._closed or self._playing[avatar]:
                return None
            found = self._standing.get(avatar)
            failed = (
                found is not None and found.done() and not found.cancelled() and found.exception()
            )
            if found is None or failed:
                self._standing[avatar] = self._workers.submit(self._start, avatar)
            ready = self._standing[avatar]
            self._standing.move_to_end(avatar)
            superfluous = [
                self._standing.popitem(last=False)[1]
                for _ in range(len(self._standing) - self._most)
            ]
        for each in superfluous:
            _throw_away(each)
        return ready

    @contextlib.contextmanager
    def playing(self, avatar: Avatar, *, of_anybody: bool = False) -> Iterator[Standing | None]:
        """A test event of the avatar, with what was prepared for it, as `take` gives it."""
        with self._lock:
            self._playing[avatar] += 1
        standing = None
        try:
            standing = self.take(avatar, of_anybody=of_anybody)
            yield standing
        finally:
            if standing:
                standing.sandbox.close()
            with self._lock:
                self._playing[avatar] -= 1
                if not self._playing[avatar]:
                    del self._playing[avatar]

    def take(self, avatar: Avatar, *, of_anybody: bool = False) -> Standing | None:
        """The avatar's, which is the caller's from now on; waits for one that is being prepared, which takes no longer
        than to start another, but for none that is only to be. `of_anybody`: if need be another's that is ready, where it
        holds nothing.
        """
        with self._lock:
            found = self._standing.pop(avatar, None)
            if not found and of_anybody:
                for other in [key for key, each in self._standing.items() if each.done()][:1]:
                    found = self._standing.pop(other)
        if not found or found.cancel():
            return None
        try:
            return found.result()
        except (HarnessError, OSError):
            return None  # a test event that starts from nothing tells why

    def close(self) -> None:
        """Throw all of them away."""
        with self._lock:
            self._closed = True
            left = list(self._standing.values())
            self._standing.clear()
        close_all(map(_Superfluous, left))
        self._workers.shutdown(wait=True)


@dataclass(frozen=True)
class _Superfluous:
    standing: Future[Standing]

    def close(self) -> None:
        _throw_away(self.standing)


def _throw_away(standing: Future[Standing]) -> None:
    """Also one that is only being prepared, once it is."""

    def close(done: Future[Standing]) -> None:
        with contextlib.suppress(HarnessError, OSError):
            done.result().sandbox.close()

    if not standing.cancel():
        standing.add_done_callback(close)
