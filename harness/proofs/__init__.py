"""What is proved: a file for each property of `harness.runners.claims`, each with one function, `prove`.

A proof searches for a counterexample. It raises Refuted (through `Search`, which makes it as small as can be) where it finds
one, Untried where the engine at hand cannot show it, and returns where there was none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module

from harness.errors import EngineError
from harness.proofs.search import Effort, Found, Search
from harness.proofs.subject import Subject
from harness.proofs.verdict import Finding, Refuted, Status, Untried
from harness.runners.claims import Property

PROOFS = {
    Property.NO_MISSED_EDIT: "no_missed_edit",
}
"""Property to the module of its proof."""


def proof(name: Property) -> Callable[[Subject, Search], None]:
    """The proof of a property."""
    prove: Callable[[Subject, Search], None] = import_module(f"harness.proofs.{PROOFS[name]}").prove
    return prove


def examine(subject: Subject, name: Property, effort: Effort, *, replay: str | None = None) -> Finding:
    """Search for a counterexample. Raises UsageError for a `replay` that is none."""
    search = Search(effort, replay=replay)
    started = time.monotonic()
    status, counterexample, reason = Status.PROVED, None, ""
    try:
        proof(name)(subject, search)
    except Found as found:
        status, counterexample = Status.REFUTED, found.counterexample
    except (Untried, EngineError) as error:
        status, reason = Status.UNKNOWN, str(error)
    if status is Status.PROVED and not search.examples:
        status, reason = Status.UNKNOWN, "nothing was tried"
    return Finding(
        name=name,
        runner=subject.variant.label,
        engine=subject.engine_name,
        claimed=name in subject.variant.claims(subject.engine),
        status=status,
        examples=search.examples,
        seconds=time.monotonic() - started,
        counterexample=counterexample,
        reason=reason,
    )


__all__ = [
    "PROOFS",
    "Effort",
    "Finding",
    "Refuted",
    "Search",
    "Status",
    "Subject",
    "Untried",
    "examine",
    "proof",
]
