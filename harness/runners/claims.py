"""The properties that a runner may claim, and that `harness verify` proves or refutes."""

from __future__ import annotations

from enum import StrEnum


class Property(StrEnum):
    """A property of a runner; the proof of the same name is in `harness.verify.proofs`."""

    EXACT_MTIMES = "exact-mtimes"
    """Every entry survives any number of round trips, to the nanosecond."""

    NO_MISSED_EDIT = "no-missed-edit"
    """make sees an edit, however soon it follows a build."""

    INCREMENTAL = "incremental-equals-full"
    """An incremental build produces what a build from nothing would."""

    MIRROR = "mirror"
    """What the user or the run deleted, renamed or changed the type of stays so."""

    EDITS = "edits"
    """An edit has the effect that it has on make in place: no stale answer, nothing more
    compiled.
    """

    RENAMES = "renames"
    """rename(2) works on any folder."""

    HISTORY = "history"
    """Each tag holds what was sent and printed, and the numbers go on, whatever git does to it."""

    ATOMIC = "atomic"
    """Whatever dies, the katas hold the state before or the state after."""

    DURABLE = "durable"
    """A power failure neither undoes nor tears a test event once it is accepted."""

    TIMED_OUT = "timed-out"
    """A test event past the limit leaves no trace."""

    ISOLATED = "isolated"
    """A run reaches only its own sandbox, within its limits."""

    OWNERSHIP = "ownership"
    """No uid is needed on the host, and no mode can break the next test event."""

    FRESH = "fresh"
    """Nothing outside the sandbox survives into the next test event."""

    BEHAVES = "behaves"
    """What users of the original rely on still holds."""


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
"""What a runner of another package claims by default. It never grows: claim later properties by
name.
"""

EVERYTHING = ALL_PROPERTIES | {Property.EDITS, Property.RENAMES, Property.HISTORY}
"""What the built-in runners claim, less the exceptions that each names. DURABLE is an option."""

OF_KEPT_TREES = frozenset(
    {Property.EXACT_MTIMES, Property.INCREMENTAL, Property.MIRROR, Property.EDITS, Property.RENAMES}
)
"""What only a runner that keeps what a run made can promise."""

NEEDS_ISOLATION = frozenset({Property.ISOLATED, Property.FRESH})
"""What a runner can promise only on an engine that isolates."""

NEEDS_BOUNDS = frozenset({Property.ISOLATED})
"""What a runner can promise only on an engine that bounds memory and filters system calls."""
