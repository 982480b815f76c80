"""The result of a proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from harness.runners.claims import Property


class Status(StrEnum):
    """How the search for a counterexample ended."""

    # No counterexample was found.
    PROVED = "proved"
    # A counterexample was found.
    REFUTED = "refuted"
    # It could not be tried here.
    UNKNOWN = "unknown"


class Refuted(AssertionError):
    """Raised by a check if the property does not hold of an example; str() says how."""


class Untried(Exception):
    """Raised by a proof that cannot be tried here; str() says why."""


class OwnKind(Untried):
    """Raised if the runner keeps katas of its own kind, which no proof can look into."""


@dataclass(frozen=True)
class Counterexample:
    """The smallest counterexample that was found."""

    words: str
    """What happened, for a reader."""
    token: str
    """What `harness verify --replay` takes."""


@dataclass(frozen=True)
class ProofResult:
    """One cell of the matrix: a property of a runner on an engine."""

    name: Property
    """The property."""
    runner: str
    """The label of the runner's variant."""
    engine: str
    """The name by which the engine was asked for."""
    claimed: bool
    """Whether the runner claims the property on this engine."""
    status: Status
    """How the search ended."""
    examples: int
    """How many examples were tried."""
    seconds: float
    """How long the search took."""
    counterexample: Counterexample | None = None
    """Set if the status is refuted."""
    reason: str = ""
    """Why the status is unknown."""
    traceback: str = ""
    """Of an unexpected exception, which is then the reason."""
    events: int = 0
    """Test events that were played."""
    entries: int = 0
    """Entries of trees that were compared."""
    tried: Mapping[str, int] = field(default_factory=dict)
    """What the examples contained, and how many examples contained it."""

    @property
    def as_claimed(self) -> bool:
        """Whether a claim was proved, or a property that is not claimed was refuted."""
        return self.status == (Status.PROVED if self.claimed else Status.REFUTED)
