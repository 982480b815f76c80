"""What a runner may claim: the properties that `harness verify` proves or refutes."""

from __future__ import annotations

from enum import StrEnum


class Property(StrEnum):
    """One property of a runner; see the proof of the same name in `harness.verify.proofs`."""

    EXACT_MTIMES = (
        "exact-mtimes"  # every entry survives any number of round trips, to the nanosecond
    )
    NO_MISSED_EDIT = "no-missed-edit"  # make sees an edit, however soon after a build it comes
    INCREMENTAL = (
        "incremental-equals-full"  # a build from where the last left off is one from nothing
    )
    MIRROR = "mirror"  # what the user or the run deleted, renamed or changed the type of stays so
    EDITS = "edits"  # an edit means what it means to make in place: never a stale answer, never more compiled
    RENAMES = "renames"  # rename(2) works on any folder, as on one disk
    HISTORY = "history"  # each tag holds what was sent and printed, and numbers go on, whatever git does with it
    ATOMIC = "atomic"  # whatever dies, the katas are the state before or the state after
    DURABLE = (
        "durable"  # once it is accepted, no failure of the power undoes a test event, or tears it
    )
    TIMED_OUT = "timed-out"  # past the limit it is as if the attempt was never made
    ISOLATED = "isolated"  # a run reaches nothing but its own sandbox, and is bounded
    OWNERSHIP = (
        "ownership"  # no uid is needed on the host, and no mode can break the next test event
    )
    FRESH = "fresh"  # nothing outside the sandbox survives into the next test event
    BEHAVES = "behaves"  # what users of the original rely on


ALL_PROPERTIES = frozenset(
    {
        Property.EXACT_MTIMES,
        Property.NO_MISSED_EDIT,
        Property.INCREMENTAL,
        Property.MIRROR,
        Property.ATOMIC,
        Property.TIMED_OUT,
        Property.ISOLATED,
        Property.OWNERSHIP,
        Property.FRESH,
        Property.BEHAVES,
    }
)
"""What a runner of another package claims that says ALL, or nothing. It never grows: what came later is claimed by name."""

EVERYTHING = ALL_PROPERTIES | {Property.EDITS, Property.RENAMES, Property.HISTORY}
"""What the built-in runners claim, but for what they say. What they do only when asked to is not in it."""

OF_KEPT_TREES = frozenset(
    {Property.EXACT_MTIMES, Property.INCREMENTAL, Property.MIRROR, Property.EDITS, Property.RENAMES}
)
"""What no runner can promise that does not keep what a run made."""

NEEDS_ISOLATION = frozenset({Property.ISOLATED, Property.FRESH})
"""What no runner can promise on an engine that does not keep a run from the host."""

NEEDS_BOUNDS = frozenset({Property.ISOLATED})
"""What no runner can promise on an engine that leaves a gap: memory that nothing bounds, or calls that nothing filters."""
