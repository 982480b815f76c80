"""The guest of a local run-container: a process whose descendants all end with it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from harness.engines.guest.environment import TRUSTED
from harness.engines.local.cgroups import ControlGroup
from harness.engines.local.processes import GUEST, end, end_tree, labels, reap
from harness.engines.streams import ProcessStream


class LocalGuest(ProcessStream):
    """A guest. All its processes end with it, even those that left its process group."""

    def __init__(
        self, arguments: list[str], label: str, group: ControlGroup | None, *, adopts: bool
    ) -> None:
        super().__init__(arguments, environment={**TRUSTED, GUEST: label}, adopts=adopts)
        self._label = label
        self._group = group
        self._ending = threading.Lock()
        self._adopted: set[int] | None = None  # the processes that ended with it, once all have
        self.on_close: Callable[[], object] = lambda: None
        """Called once, when all have ended and the stream is closed."""

    def kill(self) -> None:
        with self._ending:
            if self._adopted is not None or not self.origin.is_here():
                return
            alive, self._adopted = False, set()
            if self._group:
                self._adopted = self._group.kill()
                return
            if self.process.poll() is None:
                alive, self._adopted = end_tree(self.process.pid)
            if not alive:  # it died before, so what it had started has other parents now
                end(lambda: {process for process, label in labels() if label == self._label})

    def close(self) -> None:
        self.kill()
        super().close()
        if self.origin.is_here():
            reap(self._adopted or ())
            self.on_close()
