"""What a runner may claim: the properties that `harness verify` proves or refutes."""

from __future__ import annotations

from enum import StrEnum


class Property(StrEnum):
    """One property of a runner; see the proof of the same name in `harness.proofs`."""

    EXACT_MTIMES = "exact-mtimes"  # every entry survives any number of round trips, to the nanosecond
    NO_MISSED_EDIT = "no-missed-edit"  # make sees an edit, however soon after a build it comes
    INCREMENTAL = "incremental-equals-full"  # a build from where the last left off is one from nothing
    MIRROR = "mirror"  # what the user or the run deleted, renamed or changed the type of stays so
    ATOMIC = "atomic"  # whatever dies, the katas are the state before or the state after
    TIMED_OUT = "timed-out"  # past the limit it is as if the attempt was never made
    ISOLATED = "isolated"  # a run reaches nothing but its own sandbox, and is bounded
    OWNERSHIP = "ownership"  # no uid is needed on the host, and no mode can break the next test event
    FRESH = "fresh"  # nothing outside the sandbox survives into the next test event
    BEHAVES = "behaves"  # what users of the original rely on


ALL = frozenset(Property)

NEEDS_ISOLATION = frozenset({Property.ISOLATED, Property.FRESH})
"""What no runner can promise on an engine that does not keep a run from the host."""

NEEDS_BOUNDS = frozenset({Property.ISOLATED})
"""What no runner can promise on an engine that leaves a gap: memory that nothing bounds, or calls that nothing filters."""
