"""Runners under load: one kata with many avatars at once, and how that is told."""

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
    """The first line of the result file."""
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
    """The samples, block by block; everything that was made for them is gone afterwards. Nobody looks into the
    sandboxes, which would take the processors from the avatars, so nothing is counted there. `report` is told what
    to expect.
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
