"""The main job: runners side by side, with the floor beneath them. One measuring path for every front."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from harness.engines import Engine, Limits
from harness.runners.variant import Variant
from harness.trees import SourceTree
from harness.trials import Plan, Sample, Step, play
from harness.trials.arms import Arm, FloorArm, RunnerArm


@dataclass(frozen=True)
class Comparison:
    """What is to be compared, and how."""

    tree: SourceTree
    runners: Sequence[Variant]
    engine: Engine
    image: str | None
    command: str
    max_seconds: float  # limit of one build
    plan: Plan
    seed: int
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def facts(self) -> dict[str, Any]:
        """The first line of its result file."""
        return {
            "harness": version("tarpipe-harness"),
            "created": self.created,
            "machine": platform.node(),
            "engine": dict(self.engine.describe()),
            "image": self.engine.check_image(self.image),
            "tar": subprocess.run(
                ["tar", "--version"], capture_output=True, text=True, check=True
            ).stdout.partition("\n")[0],
            "processors": os.cpu_count(),
            "tree": self.tree.name,
            "command": self.command,
            "runners": [each.label for each in self.runners],
            "max_seconds": self.max_seconds,
            "budget_seconds": self.plan.budget_seconds,
            "blocks": self.plan.blocks,
            "seed": self.seed,
            "units": {"seconds": "s", "phases": "s", "bytes_in": "B", "bytes_out": "B"},
        }


def compare(comparison: Comparison, about_to: Callable[[Step], None] = lambda step: None) -> Iterator[Sample]:
    """The samples, block by block; everything that was made for them is gone afterwards."""
    engine, limits = comparison.engine, Limits(event_seconds=comparison.max_seconds + 60)
    with ExitStack() as stack:
        floor = FloorArm(engine, image=comparison.image, command=comparison.command, limits=limits)
        arms: list[Arm] = [stack.enter_context(closing(floor))]
        for variant in comparison.runners:
            runner = variant.open(
                engine,
                image=comparison.image,
                command=comparison.command,
                limits=limits,
                observe=True,
            )
            arms.append(stack.enter_context(closing(RunnerArm(variant.label, runner))))
        yield from play(
            comparison.tree,
            arms,
            comparison.plan,
            seed=comparison.seed,
            max_seconds=comparison.max_seconds,
            command=comparison.command,
            about_to=about_to,
        )
