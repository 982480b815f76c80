"""What a gate measures if there is no result yet: what its budgets name, and the base beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness import runners
from harness.gate.against import Base
from harness.gate.budgets import BASELINE, Budget
from harness.inside.errors import UsageError
from harness.measure.compare import Comparison
from harness.measure.trials.arms import FLOOR, Arm
from harness.measure.trials.remote import Opening, RemoteArm
from harness.measure.trials.scenario import SCENARIOS
from harness.runners.variant import Variant


@dataclass(frozen=True)
class Wanted:
    """The arms and scenarios to measure."""

    runners: tuple[Variant, ...]
    """Without the floor and the base."""
    base: Base | None
    """What --against names, if it was given."""
    scenarios: tuple[str, ...]
    """In the order of SCENARIOS."""

    @classmethod
    def of(cls, budgets: Sequence[Budget], head: str, base: Base | None) -> Wanted:
        """Collect all that the budgets need.

        Raises UsageError for a runner that is not installed, and for a budget that compares a
        runner other than `head` with the baseline while there is a base.
        """
        # Each name with the place that first asked for it, for messages.
        names = {head: ""} if base else {}
        scenarios = set()
        for budget in budgets:
            names.setdefault(budget.runner, f"{budget.place}: ")
            scenarios.add(budget.scenario)
            if budget.than in SCENARIOS:
                scenarios.add(budget.than)
            elif budget.than == BASELINE:
                if base and budget.runner != head:
                    raise UsageError(
                        f"{budget.place}: --against measures only {head}; give --runner "
                        f"{budget.runner}"
                    )
            elif budget.than is not None:
                names.setdefault(budget.than, f"{budget.place}: ")
        arms = [name for name in names if name != FLOOR and (base is None or name != base.arm)]
        kinds = []
        for name in arms:
            try:
                kinds.append(runners.parse_variant(name))
            except UsageError as error:
                raise UsageError(f"{names[name]}{error}") from error
            if name != kinds[-1].label:
                raise UsageError(
                    f"{names[name]}results call the runner {name} {kinds[-1].label}; use that name"
                )
        return cls(tuple(kinds), base, tuple(name for name in SCENARIOS if name in scenarios))

    @property
    def apart(self) -> bool:
        """Whether the base is another environment; then every runner plays in a child process."""
        return self.base is not None and self.base.python is not None

    def in_process(self) -> tuple[Variant, ...]:
        """Return the runners that play in this process, a base among them included."""
        if self.apart:
            return ()
        return (*self.runners, *([runners.parse_variant(self.base.runner)] if self.base else []))

    def beside(self, comparison: Comparison, engine: str) -> list[Callable[[], Arm]]:
        """Return openers of the arms in child processes; `engine` is as on the command line."""
        if not self.apart:
            return []
        assert self.base is not None
        assert self.base.python is not None
        sides = [(variant.label, variant.label, Path(sys.executable)) for variant in self.runners]
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
        """Return the facts for the first line of the result file."""
        facts = comparison.facts()
        if self.apart:
            assert self.base is not None
            facts["runners"] = [*(variant.label for variant in self.runners), self.base.arm]
        return {**facts, "against": self.base.arm if self.base else None}
