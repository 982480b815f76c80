"""The scenarios that can be measured: what the player does before a press."""

from __future__ import annotations

from dataclasses import dataclass

from harness.inside.errors import not_among

FULL, INCREMENTAL, NO_OP, HEADER, FIRST = "full", "incremental", "no-op", "header", "first"


@dataclass(frozen=True)
class Scenario:
    """One scenario. A block plays one, with every arm once."""

    name: str
    """As options and results call it."""
    build: str
    """FULL: from nothing; INCREMENTAL: from where the arm's last test event left off."""
    words: str
    """As a table calls it."""


SCENARIOS = {
    known.name: known
    for known in (
        # A new avatar, with a runner that has played before.
        Scenario(FULL, FULL, "full build"),
        # New katas, with a runner that was just opened.
        Scenario(FIRST, FULL, "first test event"),
        # One source was edited.
        Scenario(INCREMENTAL, INCREMENTAL, "incremental build"),
        # The test button was pressed again, without an edit.
        Scenario(NO_OP, INCREMENTAL, "no-op build"),
        # A header with wide fan-out was edited.
        Scenario(HEADER, INCREMENTAL, "header's edit"),
    )
}
"""The scenarios by name, in the order of a table."""


def scenario(name: str) -> Scenario:
    """Return the scenario of this name. Raises UsageError for an unknown one."""
    if name not in SCENARIOS:
        raise not_among("scenario", name, SCENARIOS)
    return SCENARIOS[name]
