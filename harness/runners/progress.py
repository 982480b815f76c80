"""What a test event has come to so far, until it is told as a `Run`."""

from __future__ import annotations

from dataclasses import dataclass

from harness.engines import Execution
from harness.engines.guest.caches import cache_remarks
from harness.runners.products import Products
from harness.runners.run import Observation, Outcome, Output, Run
from harness.runners.stopwatch import Stopwatch


@dataclass
class Progress:
    """What a test event has come to so far. Its steps fill it in."""

    execution: Execution | None = None
    """What the command did. None: it has not run."""

    tag: int | None = None
    """The number of the accepted test event. None: it is not accepted, or not yet."""

    reason: str = ""
    """As in `Run`."""

    observed: Observation | None = None
    """As in `Run`."""

    products: Products | None = None
    """As in `Run`."""

    answered: int | None = None
    """As in `Run`."""

    missed: str = ""
    """Why what was prepared for it could not be used. Empty: it could, or nothing was prepared."""

    @property
    def outcome(self) -> Outcome:
        """How the test event ends if nothing more happens."""
        if self.tag is not None:
            return Outcome.COMPLETED
        if self.execution and self.execution.timed_out and not self.reason:
            return Outcome.TIMED_OUT
        return Outcome.FAULTY

    def output(self) -> Output:
        """Return what the command printed; nothing before it has run."""
        if self.execution is None:
            return Output(None, "", "", False)
        return Output(
            status=self.execution.status,
            stdout=self.execution.stdout.decode(errors="replace"),
            stderr=self.execution.stderr.decode(errors="replace"),
            truncated=self.execution.truncated,
        )

    def run(self, watch: Stopwatch) -> Run:
        """Return the test event as a value."""
        output = self.output()
        return Run(
            outcome=self.outcome,
            status=output.status,
            stdout=output.stdout,
            stderr=output.stderr,
            truncated=output.truncated,
            tag=self.tag,
            phases=tuple(watch.phases),
            nanoseconds=watch.elapsed(),
            reason=self.reason,
            observed=self.observed,
            products=self.products,
            answered=self.answered,
            remarks=self.remarks(),
        )

    def remarks(self) -> tuple[str, ...]:
        """Return what the player should know."""
        missed = f"the head start failed, and the test event started from nothing: {self.missed}"
        return (
            *(cache_remarks(self.execution.caches) if self.execution else ()),
            *((missed,) if self.missed else ()),
        )
