"""The main experiment: runners side by side, with the floor. Every front measures by this path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any

from harness.engines import Engine, Limits
from harness.engines.extras import DISTRIBUTION
from harness.measure import machine
from harness.measure.checkout import describe_checkout
from harness.measure.metrics import RESULT_UNITS
from harness.measure.trees import SourceTree
from harness.measure.trials import BlockPlan, Sample, Step, play
from harness.measure.trials.arms import Arm, FloorArm, RunnerArm
from harness.runners.base import BaseRunner
from harness.runners.variant import Variant

FLOOR_SECONDS = 86_400.0
"""The floor's limit, a day: its container serves many test events, unlike a run-container."""

AGAIN = "#2"
"""Suffix for the second arm of a runner that is compared with itself."""


@dataclass(frozen=True)
class Comparison:
    """What is to be compared, and how."""

    tree: SourceTree
    """What is built."""
    runners: Sequence[Variant]
    """What builds it, besides the floor."""
    engine: Engine
    """Where it is built."""
    image: str | None
    """The image of the run-containers; None: harness-gcc."""
    command: str
    """The command line of a test event."""
    max_seconds: float
    """The time limit of one build."""
    plan: BlockPlan
    """Which blocks to play."""
    seed: int
    """The seed of the order within the blocks."""
    again: str | None = None
    """The label of the runner that plays twice, as an A/A pair that shows the noise."""
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """When the comparison was made, in ISO 8601."""

    @property
    def limits(self) -> Limits:
        return Limits(event_seconds=self.max_seconds + 60)

    def arms(self) -> dict[str, Variant]:
        """The runners by the names of their arms, without the floor."""
        kinds = {variant.label: variant for variant in self.runners}
        return {
            name: kinds[name.removesuffix(AGAIN)] for name in arm_names(list(kinds), self.again)
        }

    def facts(self) -> dict[str, Any]:
        """The facts for the first line of its result file."""
        return {
            **measured_on([machine.describe_machine(self.engine, self.image)]),
            "created": self.created,
            "tree": self.tree.name,
            "command": self.command,
            "runners": list(self.arms()),
            "again": self.again,
            "max_seconds": self.max_seconds,
            "seed": self.seed,
            **self.plan.facts(),
        }


def arm_names(runners: Sequence[str], again: str | None) -> list[str]:
    """Return the names of the arms of these runners, one maybe twice, without the floor."""
    return [
        name
        for runner in runners
        for name in ((runner, runner + AGAIN) if runner == again else (runner,))
    ]


def measured_on(machines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the facts of a result file that say where it was measured, and with what.

    A fact that is given only once is that of the first machine.
    """
    first = machines[0]
    return {
        "harness": version(DISTRIBUTION),
        "machine": first["id"],
        "machines": {facts["id"]: facts for facts in machines},
        **{name: first[name] for name in ("engine", "image", "tar", "processors")},
        "units": RESULT_UNITS,
        "project": describe_checkout(),
    }


def compare(
    comparison: Comparison,
    about_to: Callable[[Step], None] = lambda step: None,
    settled: Callable[[Sequence[Sample]], bool] = lambda samples: False,
    beside: Sequence[Callable[[], Arm]] = (),
) -> Iterator[Sample]:
    """Yield samples, block by block, until the plan ends or they are `settled`.

    `about_to` hears of each step before it is played. `beside` opens arms in addition to the
    comparison's runners. Everything made for the comparison is removed at the end.
    """
    here = machine.describe_machine(comparison.engine, comparison.image)["id"]
    with ExitStack() as stack:
        arms: list[Arm] = [stack.enter_context(closing(open_floor(comparison)))]
        opening: list[Callable[[], Arm]] = [
            *(
                partial(RunnerArm, name, partial(open_arm, comparison, variant))
                for name, variant in comparison.arms().items()
            ),
            *beside,
        ]
        arms += [stack.enter_context(closing(open_arm())) for open_arm in opening]
        for sample in play(
            comparison.tree,
            arms,
            comparison.plan,
            seed=comparison.seed,
            max_seconds=comparison.max_seconds,
            command=comparison.command,
            about_to=about_to,
            settled=settled,
        ):
            yield replace(sample, machine=here)


def open_floor(comparison: Comparison, *, observe: bool = True) -> FloorArm:
    """Open the floor, whose container may last as long as the comparison."""
    return FloorArm(
        comparison.engine,
        image=comparison.image,
        command=comparison.command,
        limits=replace(comparison.limits, event_seconds=FLOOR_SECONDS),
        observe=observe,
    )


def open_arm(comparison: Comparison, variant: Variant, *, observe: bool = True) -> BaseRunner:
    """Open one of the runners, with katas of its own."""
    return variant.open(
        comparison.engine,
        image=comparison.image,
        command=comparison.command,
        limits=comparison.limits,
        observe=observe,
    )
