"""What a proof gave: values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from harness.runners.claims import Property


class Status(StrEnum):
    """How the search for a counterexample ended."""

    PROVED = "proved"  # none was found among so many examples
    REFUTED = "refuted"  # one was found
    UNKNOWN = "unknown"  # it could not be tried here


class Refuted(AssertionError):
    """Raised by a check: the property does not hold of this example; str() says how, in words."""


class Untried(Exception):
    """Raised by a proof that cannot be tried here; str() says why."""


class OwnKind(Untried):
    """Where the katas are of a kind of the runner's own, which nobody else can look into."""


@dataclass(frozen=True)
class Counterexample:
    """The smallest one that was found."""

    words: str
    token: str  # what `harness verify --replay` takes


@dataclass(frozen=True)
class ProofResult:
    """One cell of the matrix: a property of a runner on an engine."""

    name: Property
    runner: str  # as its variant is labelled
    engine: str  # as it was asked for
    claimed: bool
    status: Status
    examples: int  # that were tried
    seconds: float
    counterexample: Counterexample | None = None
    reason: str = ""  # why it is unknown
    traceback: str = ""  # of an unexpected exception, which is why
    events: int = 0  # test events that were played for it
    entries: int = 0  # of trees, that were compared
    tried: Mapping[str, int] = field(
        default_factory=dict
    )  # what the examples had in them, and how many of them

    @property
    def as_claimed(self) -> bool:
        """Whether a claim was proved, or what is not claimed was shown not to hold."""
        return self.status == (Status.PROVED if self.claimed else Status.REFUTED)
