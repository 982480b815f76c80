"""Examine the engines of other packages: whether each can be opened, is exact, and builds C."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

from harness.engines.choice import ENGINE_GROUP, choose
from harness.engines.doctor.finding import Finding, FindingGroup, builds_nothing, explain
from harness.engines.doctor.round_trip import make_round_trip
from harness.engines.plug_ins import plug_in_names


def plug_in_groups(report: Callable[[str], None] = lambda line: None) -> Iterator[FindingGroup]:
    """Yield what was found of each; `report` gets a line of progress at a time."""
    for name in plug_in_names(ENGINE_GROUP):
        report(f"the engine {name}")
        yield FindingGroup(f"Engine {name}, of another package", (_finding(name),))


def _finding(name: str) -> Finding:
    try:
        choice = choose(name)
        with closing(choice.engine) as engine:
            trip = make_round_trip(engine)
    except Exception as error:
        return Finding("engine", "missing", explain(error), f"--engine {name} does not work.")
    if trip.problem:
        return Finding("engine", "missing", trip.problem, "Builds would go stale.")
    what = f"{choice.why}; a sandbox answers after {trip.start_seconds * 1000:.0f} ms"
    advice = builds_nothing(name, trip.lacks, makes_images=engine.makes_images)
    return Finding(
        "engine",
        "fair" if choice.warning or trip.lacks else "good",
        what,
        choice.warning or "Runs are isolated from the host and from each other.",
        advice if trip.lacks else "",
    )
