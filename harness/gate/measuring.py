"""What a gate measures where there is no result yet: what its budgets name, and the base beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness import runners
from harness.gate.base import Base
from harness.gate.budgets import BASELINE, Budget
from harness.inside.errors import UsageError
from harness.measure.compare import Comparison
from harness.measure.trials.arms import FLOOR, Arm
from harness.measure.trials.remote import Opening, RemoteArm
from harness.measure.trials.scenario import SCENARIOS
from harness.runners.variant import Variant


@dataclass(frozen=True)
class Wanted:
    """Arms and scenarios."""

    runners: tuple[Variant, ...]
    base: Base | None
    scenarios: tuple[str, ...]

    @classmethod
    def of(cls, budgets: Sequence[Budget], head: str, base: Base | None) -> Wanted:
        """All that the budgets need. Raises UsageError for a runner that is not installed, and where the
        baseline of another runner than `head` is asked for beside a base.
        """
        names = {head: ""} if base else {}  # and where each was asked for first
        scenarios = set()
        for each in budgets:
            names.setdefault(each.runner, f"{each.place}: ")
            scenarios.add(each.scenario)
            if each.than in SCENARIOS:
                scenarios.add(each.than)
            elif each.than == BASELINE:
                if base and each.runner != head:
                    raise UsageError(
                        f"{each.place}: --against is measured for {head} alone; give --runner {each.runner}"
                    )
            elif each.than is not None:
                names.setdefault(each.than, f"{each.place}: ")
        arms = [name for name in names if name != FLOOR and (base is None or name != base.arm)]
        kinds = []
        for name in arms:
            try:
                kinds.append(runners.parse_variant(name))
            except UsageError as error:
                raise UsageError(f"{names[name]}{error}") from error
            if name != kinds[-1].label:
                raise UsageError(
                    f"{names[name]}this names the runner {name}; in results it is {kinds[-1].label}"
                )
        return cls(tuple(kinds), base, tuple(each for each in SCENARIOS if each in scenarios))

    @property
    def apart(self) -> bool:
        """Whether the base is another environment: then every runner plays in a child process."""
        return self.base is not None and self.base.python is not None

    def in_process(self) -> tuple[Variant, ...]:
        """The runners of this process, a base of its own included."""
        if self.apart:
            return ()
        return (*self.runners, *([runners.parse_variant(self.base.runner)] if self.base else []))

    def beside(self, comparison: Comparison, engine: str) -> list[Callable[[], Arm]]:
        """The runners that are children, each of its environment; `engine` is its name on the command line."""
        if not self.apart:
            return []
        assert self.base is not None
        assert self.base.python is not None
        sides = [(each.label, each.label, Path(sys.executable)) for each in self.runners]
        sides.append((self.base.arm, self.base.runner, self.base.python))
        return [
            partial(
                RemoteArm,
                arm,
                python,
                Opening(runner, engine, comparison.image, comparison.command, comparison.limits),
            )
            for arm, runner, python in sides
        ]

    def facts(self, comparison: Comparison) -> dict[str, object]:
        """The first line of the result."""
        facts = comparison.facts()
        if self.apart:
            assert self.base is not None
            facts["runners"] = [*(each.label for each in self.runners), self.base.arm]
        return {**facts, "against": self.base.arm if self.base else None}
