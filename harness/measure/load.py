"""The load experiment: one kata with many avatars that play at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import Any

from harness.measure.compare import Comparison, open_arm, open_floor
from harness.measure.trials import Sample
from harness.measure.trials.crowd import Crowds, CrowdStep, FloorTeam, RunnerTeam, Team, play_crowds


def load_facts(comparison: Comparison, crowds: Crowds) -> dict[str, Any]:
    """Return the facts for the first line of the result file."""
    return {
        **comparison.facts(),
        "avatars": list(crowds.sizes),
        "events": crowds.events,
        "budget_seconds": crowds.budget_seconds,
    }


def measure_load(
    comparison: Comparison,
    crowds: Crowds,
    about_to: Callable[[CrowdStep], None] = lambda step: None,
    report: Callable[[str], None] = lambda line: None,
) -> Iterator[Sample]:
    """Yield samples, block by block; everything made for them is removed at the end.

    Nothing is counted inside the sandboxes: looking would take processor time from the avatars.
    `report` gets one line about how long a round will take.
    """
    here = comparison.facts()["machine"]
    with ExitStack() as stack:
        floor = FloorTeam(partial(open_floor, comparison, observe=False))
        teams: list[Team] = [stack.enter_context(closing(floor))]
        for name, variant in comparison.arms().items():
            team = RunnerTeam(name, open_arm(comparison, variant, observe=False))
            teams.append(stack.enter_context(closing(team)))
        for sample in play_crowds(
            comparison.tree,
            teams,
            crowds,
            seed=comparison.seed,
            max_seconds=comparison.max_seconds,
            command=comparison.command,
            about_to=about_to,
            report=report,
        ):
            yield replace(sample, machine=here)
