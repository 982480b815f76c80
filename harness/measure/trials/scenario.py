"""The scenarios that can be measured: what the player did before the button was pressed."""

from __future__ import annotations

from dataclasses import dataclass

from harness.inside.errors import UsageError

FULL, INCREMENTAL, NO_OP, HEADER, FIRST = "full", "incremental", "no-op", "header", "first"


@dataclass(frozen=True)
class Scenario:
    """One of them. A block plays one scenario, with every arm once."""

    name: str
    build: str  # FULL: from nothing; INCREMENTAL: from where the arm's last test event left off
    words: str  # in a table


SCENARIOS = {
    each.name: each
    for each in (
        Scenario(FULL, FULL, "full build"),  # of a new avatar, by a runner that has been at work
        Scenario(
            FIRST, FULL, "first test event"
        ),  # of new katas, by a runner that has just been opened
        Scenario(INCREMENTAL, INCREMENTAL, "incremental build"),  # one source was edited
        Scenario(
            NO_OP, INCREMENTAL, "no-op build"
        ),  # the button was pressed again, and nothing else
        Scenario(HEADER, INCREMENTAL, "header's edit"),  # one with wide fan-out
    )
}
"""By name, in the order of a table."""


def scenario(name: str) -> Scenario:
    """Raises UsageError for an unknown name."""
    if name not in SCENARIOS:
        raise UsageError(f"there is no scenario {name}; there are: {', '.join(SCENARIOS)}")
    return SCENARIOS[name]
