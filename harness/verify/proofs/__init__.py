"""The proofs: a module for each property of `harness.runners.claims`, with one function, `prove`.

A proof searches for a counterexample. If it finds one it raises Refuted, through `Search`, which
makes the counterexample as small as possible. It raises Untried if it cannot be tried on the
engine at hand, and returns if there is no counterexample.

`shared` holds what proofs have in common, `faults` what they inject, and `power` the model of power
failures.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

from harness.inside.errors import HarnessError, UsageError
from harness.runners.claims import Property
from harness.verify.proofs.shared.search import PROFILES, CounterexampleFound, Effort, Search
from harness.verify.proofs.shared.subject import Subject
from harness.verify.proofs.shared.verdict import ProofResult, Refuted, Status, Untried

PROOFS = {
    Property.EXACT_MTIMES: "exact_mtimes",
    Property.INCREMENTAL: "incremental_equals_full",
    Property.MIRROR: "mirror",
    Property.EDITS: "edits",
    Property.RENAMES: "renames",
    Property.HISTORY: "history",
    Property.BEHAVES: "behaves",
    Property.NO_MISSED_EDIT: "no_missed_edit",
    Property.ATOMIC: "atomic",
    Property.DURABLE: "durable",
    Property.TIMED_OUT: "timed_out",
    Property.OWNERSHIP: "ownership",
    Property.ISOLATED: "isolated",
    Property.FRESH: "fresh",
}
"""Property to the module of its proof."""

_SAID = 300
"""Characters that are kept of what an unexpected exception says."""


def proof(name: Property) -> Callable[[Subject, Search], None]:
    """Return the proof of a property."""
    prove: Callable[[Subject, Search], None] = import_module(
        f"harness.verify.proofs.{PROOFS[name]}"
    ).prove
    return prove


def examine(
    subject: Subject, name: Property, effort: Effort, *, replay: str | None = None
) -> ProofResult:
    """Search for a counterexample.

    Raises UsageError if `replay` is not the token of one. Any other error, in the proof or in the
    runner, makes the status unknown.
    """
    search = Search(effort, replay=replay)
    subject = replace(subject, tally=search.tally)
    started = time.monotonic()
    status, counterexample, reason, trace = Status.PROVED, None, "", ""
    try:
        proof(name)(subject, search)
    except CounterexampleFound as found:
        status, counterexample = Status.REFUTED, found.counterexample
    except (Untried, HarnessError) as error:
        if replay and isinstance(error, UsageError):
            raise
        status, reason = Status.UNKNOWN, str(error)
    except Exception as error:
        said = " ".join(str(error).split())[:_SAID]
        status, reason = Status.UNKNOWN, f"the proof broke off: {type(error).__name__}: {said}"
        trace = traceback.format_exc()
    if status is Status.PROVED and not search.examples:
        if replay:
            raise UsageError(
                f"{replay} is not the token of a counterexample to {name}: "
                "give the property that it came with"
            )
        status, reason = Status.UNKNOWN, "nothing was tried"
    return ProofResult(
        name=name,
        runner=subject.variant.label,
        engine=subject.engine_name,
        claimed=name in subject.variant.claims(subject.engine),
        status=status,
        examples=search.examples,
        events=search.tally.events,
        entries=search.tally.entries,
        tried=dict(search.tally.tried),
        seconds=time.monotonic() - started,
        counterexample=counterexample,
        reason=reason,
        traceback=trace,
    )


__all__ = [
    "PROFILES",
    "PROOFS",
    "Effort",
    "ProofResult",
    "Refuted",
    "Search",
    "Status",
    "Subject",
    "Untried",
    "examine",
    "proof",
]
