"""A look at a sandbox, for runners that observe: what it holds, and what it has used."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness.engines import Sandbox
from harness.engines.usage import ResourceUsage
from harness.inside.tree import Snapshot
from harness.runners.run import Observation


@dataclass(frozen=True)
class Look:
    """What a sandbox holds and has used at one moment. Its time does not count."""

    seen: Snapshot
    """What it holds."""

    usage: ResourceUsage
    """What its processes have used so far."""

    cost_ns: int
    """Nanoseconds of the harness's own processor time that looking took."""

    @classmethod
    def at(cls, sandbox: Sandbox) -> Look:
        """Look at the sandbox now."""
        started = time.process_time_ns()
        seen, usage = sandbox.observe(), sandbox.usage()
        return cls(seen, usage, time.process_time_ns() - started)

    def until(self, later: Look) -> Observation:
        """Return what one command did between two looks."""
        return Observation(
            self.seen,
            later.seen,
            later.usage.processor_ns - self.usage.processor_ns
            if self.usage.processor_ns is not None and later.usage.processor_ns is not None
            else None,
            later.usage.memory,
            self.cost_ns + later.cost_ns,
        )
