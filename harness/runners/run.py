"""The result of a test event: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.inside.errors import HarnessError
from harness.inside.tree import Snapshot
from harness.inside.usage import DiskUsage
from harness.runners.products import Products


class Outcome(StrEnum):
    """How a test event ended."""

    COMPLETED = "completed"
    """The command ended within the limit, with any exit status."""

    TIMED_OUT = "timed_out"
    """The command reached the limit. Nothing was accepted."""

    FAULTY = "faulty"
    """It could not be carried out; the run's `reason` says why. Nothing was accepted."""


PHASE_WORDS = {
    "open": "open the katas",
    "save": "copy files",
    "start": "container start",
    "pipe_in": "pipe in",
    "run": "run",
    "pipe_out": "pipe out",
    "commit": "commit",
}
"""The kinds of step of a test event, in order, with the words for them. A runner has some of
them.
"""

PHASES = tuple(PHASE_WORDS)
"""The kinds of step of a test event, in order."""


@dataclass(frozen=True)
class Phase:
    """One numbered step of the notes."""

    kind: str
    """One of PHASES."""

    step: str
    """The step, as the notes number and name it."""

    nanoseconds: int
    """How long it took."""

    bytes_in: int = 0
    """Bytes piped into the run-container."""

    bytes_out: int = 0
    """Bytes piped out of the run-container."""


@dataclass(frozen=True)
class Output:
    """What a command printed, once it has ended in time and before its result is accepted."""

    status: int | None
    """The command's exit status."""

    stdout: str
    """What it printed, as UTF-8; other bytes are replaced. At most `Limits.output` bytes."""

    stderr: str
    """Like `stdout`."""

    truncated: bool
    """Whether stdout or stderr was cut to the limit."""


@dataclass(frozen=True)
class Observation:
    """The sandbox just before and just after a command, and what the command used."""

    before: Snapshot
    """The sandbox before it."""

    after: Snapshot
    """The sandbox after it."""

    processor_ns: int | None = None
    """Nanoseconds of processor time of all its processes. None: not counted here."""

    memory: int | None = None
    """Peak bytes of memory of the run-container. None: not counted here."""

    cost_ns: int = 0
    """Nanoseconds of the harness's own processor time that observing took."""

    grown: DiskUsage | None = None
    """How much more disk the avatar's katas use. None: unknown, or nothing was accepted."""


@dataclass(frozen=True)
class Run:
    """One test event, from the press of the button until the katas hold its result."""

    outcome: Outcome
    """How it ended."""

    status: int | None
    """The command's exit status. None: it reached the limit, or was not started."""

    stdout: str
    """What the command printed, as UTF-8; other bytes are replaced. At most `Limits.output`
    bytes.
    """

    stderr: str
    """Like `stdout`."""

    truncated: bool
    """Whether stdout or stderr was cut to the limit."""

    tag: int | None
    """The number of the accepted test event, from 1. None: nothing was accepted."""

    phases: tuple[Phase, ...]
    """The steps that were carried out, in order."""

    nanoseconds: int
    """How long all of it took, without observation."""

    reason: str = ""
    """Why it is faulty; or, if it completed, that processes were killed because memory ran out."""

    observed: Observation | None = None
    """Snapshots and usage. None: the runner does not observe, or the command did not complete."""

    products: Products | None = None
    """What the run made, changed and deleted. None: the caller did not ask for it."""

    answered: int | None = None
    """Nanoseconds until the command's output was known. None: it did not complete."""

    remarks: tuple[str, ...] = ()
    """What the player should know, a line each."""

    @classmethod
    def faulty(cls, error: HarnessError, nanoseconds: int) -> Run:
        """Return the run of a test event that could not begin."""
        return cls(Outcome.FAULTY, None, "", "", False, None, (), nanoseconds, reason=str(error))
