"""Run-containers that stand by: started, or even seeded, while the player is thinking.

Each serves one test event, and is thrown away if it is not needed. A few threads prepare them for
all avatars, so none of these threads may wait for an avatar. Nothing is prepared while an avatar
plays, and a press does not wait for a container that is only queued.
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
"""How many are prepared at once, at most."""


@dataclass(frozen=True)
class Standing:
    """One run-container that stands by."""

    sandbox: Sandbox
    """Its sandbox."""

    seed: Seed | None = None
    """What the sandbox already holds. None: nothing."""

    untold: str = ""
    """Why it holds nothing, though it was to hold the tree. Empty: it was not to."""


@dataclass(frozen=True)
class Missed:
    """In place of a run-container that could not be prepared."""

    reason: str
    """Why, in one line."""


class Standby:
    """The run-containers that stand by: one for each avatar, and a limited number in all.

    Beyond the limit, the least recently used one is thrown away.
    """

    def __init__(self, start: Callable[[Avatar], Standing], most: int) -> None:
        """`start` prepares one, in another thread, and may be slow. `most` is the limit."""
        self._start, self._most = start, most
        self.standing: OrderedDict[Avatar, Future[Standing]] = OrderedDict()
        """Those that stand by, or are being prepared; the least recently used comes first."""
        self._workers = ThreadPoolExecutor(
            max_workers=WORKERS, thread_name_prefix="harness-standby"
        )
        self._playing: Counter[Avatar] = Counter()
        self._lock = threading.Lock()
        self._closed = False

    def prepare(self, avatar: Avatar) -> Future[Standing] | None:
        """Begin to prepare a container, unless one is there. Replaces one that failed.

        Returns None once closed, and while the avatar plays.
        """
        with self._lock:
            if self._closed or self._playing[avatar]:
                return None
            ready = self.standing.get(avatar)
            failed = (
                ready is not None and ready.done() and not ready.cancelled() and ready.exception()
            )
            if ready is None or failed:
                self.standing[avatar] = self._workers.submit(self._start, avatar)
            ready = self.standing[avatar]
            self.standing.move_to_end(avatar)
            superfluous = [
                self.standing.popitem(last=False)[1] for _ in range(len(self.standing) - self._most)
            ]
        for standing in superfluous:
            _throw_away(standing)
        return ready

    @contextlib.contextmanager
    def playing(
        self, avatar: Avatar, *, of_anybody: bool = False
    ) -> Iterator[Standing | Missed | None]:
        """Give the block, which plays a test event of the avatar, what `take` returns."""
        with self._lock:
            self._playing[avatar] += 1
        standing = None
        try:
            standing = self.take(avatar, of_anybody=of_anybody)
            yield standing
        finally:
            if isinstance(standing, Standing):
                standing.sandbox.close()
            with self._lock:
                self._playing[avatar] -= 1
                if not self._playing[avatar]:
                    del self._playing[avatar]

    def take(self, avatar: Avatar, *, of_anybody: bool = False) -> Standing | Missed | None:
        """Take the avatar's container; the caller closes it. Returns None if there is none.

        Returns Missed, once, if it could not be prepared.

        Waits for one that is being prepared, which is no slower than to start another, but not for
        one that is only queued. `of_anybody`: if need be, take another avatar's that is ready; only
        for containers that hold nothing.
        """
        with self._lock:
            standing = self.standing.pop(avatar, None)
            if not standing and of_anybody:
                for other in [key for key, ready in self.standing.items() if ready.done()][:1]:
                    standing = self.standing.pop(other)
        if not standing or standing.cancel():
            return None
        try:
            return standing.result()
        except (HarnessError, OSError) as error:
            return Missed(str(error))

    def close(self) -> None:
        """Throw all of them away."""
        with self._lock:
            self._closed = True
            left = list(self.standing.values())
            self.standing.clear()
        close_all(map(_Superfluous, left))
        self._workers.shutdown(wait=True)


@dataclass(frozen=True)
class _Superfluous:
    standing: Future[Standing]

    def close(self) -> None:
        _throw_away(self.standing)


def _throw_away(standing: Future[Standing]) -> None:
    """Close a container, also one that is still being prepared, once it is ready."""

    def close(done: Future[Standing]) -> None:
        with contextlib.suppress(HarnessError, OSError):
            done.result().sandbox.close()

    if not standing.cancel():
        standing.add_done_callback(close)
