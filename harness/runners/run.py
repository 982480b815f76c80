"""What one test event gave: values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.inside.errors import HarnessError
from harness.inside.tree import Snapshot
from harness.inside.usage import DiskUsage
from harness.runners.products import Products


class Outcome(StrEnum):
    """How a test event ended."""

    COMPLETED = "completed"  # within the limit, whatever the exit status
    TIMED_OUT = "timed_out"  # past the limit: as if the attempt was never made
    FAULTY = "faulty"  # could not be carried out; the run's reason says why


PHASE_WORDS = {
    "open": "open the katas",
    "save": "copy files",
    "start": "container start",
    "pipe_in": "pipe in",
    "run": "run",
    "pipe_out": "pipe out",
    "commit": "commit",
}
"""The kinds of step that a test event is made of, in their order, and the words for them; a runner has some of them."""

PHASES = tuple(PHASE_WORDS)


@dataclass(frozen=True)
class Phase:
    """One numbered step of the notes."""

    kind: str  # one of PHASES
    step: str  # as the notes number and name it
    nanoseconds: int
    bytes_in: int = 0  # piped into the run-container
    bytes_out: int = 0  # piped out of it


@dataclass(frozen=True)
class Output:
    """What a command printed that ended in time: the player need not wait for it to be kept."""

    status: int | None  # the command's own exit status
    stdout: str  # UTF-8, what is not was replaced
    stderr: str
    truncated: bool  # stdout or stderr was longer than the limit


@dataclass(frozen=True)
class Observation:
    """The sandbox inside the run-container, just before and just after the command, and what the command used."""

    before: Snapshot
    after: Snapshot
    processor_ns: int | None = None  # processor time of all processes of the command
    memory: int | None = (
        None  # bytes that the run-container had at most, so far; None: nobody counts them
    )
    cost_ns: int = 0  # processor time that observing took the harness itself
    grown: DiskUsage | None = (
        None  # by how much the avatar takes more of the disk; None: not accepted
    )


@dataclass(frozen=True)
class Run:
    """One test event, from the press of the button until the katas hold it."""

    outcome: Outcome
    status: int | None  # the command's own exit status
    stdout: str  # UTF-8, what is not was replaced
    stderr: str
    truncated: bool  # stdout or stderr was longer than the limit
    tag: int | None  # of an accepted test event
    phases: tuple[Phase, ...]
    nanoseconds: int  # until the katas held it: all together, observation left out
    reason: str = ""  # of what is faulty; of what completed: that processes of it were killed for want of memory
    observed: Observation | None = None
    products: Products | None = None  # what it made, changed and deleted, where that was asked for
    answered: int | None = None  # nanoseconds until the output was in hand, where that was sooner
    remarks: tuple[str, ...] = ()  # what whoever pressed should know, a line each

    @classmethod
    def faulty(cls, error: HarnessError, nanoseconds: int) -> Run:
        """One that could not even begin."""
        return cls(Outcome.FAULTY, None, "", "", False, None, (), nanoseconds, reason=str(error))
