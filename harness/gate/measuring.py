"""What a gate measures if there is no result yet: what its budgets name, and the base beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
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
    """Without the floor and the bases."""
    bases: Mapping[str, Base]
    """By the name of the runner whose baseline it is; empty without --against."""
    scenarios: tuple[str, ...]
    """In the order of SCENARIOS."""

    @classmethod
    def of(cls, budgets: Sequence[Budget], bases: Mapping[str, Base]) -> Wanted:
        """Collect the runners that have a base, and all that the budgets need.

        Raises UsageError for a runner that is not installed, and for a budget that compares a
        runner without a base with the baseline while others have one.
        """
        # Each name with the place that first asked for it, for messages.
        names = dict.fromkeys(bases, "")
        scenarios = set()
        for budget in budgets:
            names.setdefault(budget.runner, f"{budget.place}: ")
            scenarios.add(budget.scenario)
            if budget.than in SCENARIOS:
                scenarios.add(budget.than)
            elif budget.than == BASELINE:
                if bases and budget.runner not in bases:
                    raise UsageError(
                        f"{budget.place}: --against measures only {', '.join(bases)}; give "
                        f"--runner {budget.runner}"
                    )
            elif budget.than is not None:
                names.setdefault(budget.than, f"{budget.place}: ")
        taken = {FLOOR, *(base.arm for base in bases.values())}
        arms = [name for name in names if name not in taken]
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
        return cls(tuple(kinds), bases, tuple(name for name in SCENARIOS if name in scenarios))

    @property
    def apart(self) -> bool:
        """Whether the bases are of another environment; then all play in child processes."""
        return any(base.python is not None for base in self.bases.values())

    @property
    def against(self) -> str | dict[str, str] | None:
        """The arm that is the baseline of all runners, or that of each; None without --against."""
        arms = {runner: base.arm for runner, base in self.bases.items()}
        return arms if len(set(arms.values())) > 1 else next(iter(arms.values()), None)

    def in_process(self) -> tuple[Variant, ...]:
        """Return the runners that play in this process, a base among them included."""
        if self.apart:
            return ()
        bases = dict.fromkeys(base.runner for base in self.bases.values())
        return (*self.runners, *map(runners.parse_variant, bases))

    def beside(self, comparison: Comparison, engine: str) -> list[Callable[[], Arm]]:
        """Return openers of the arms in child processes; `engine` is as on the command line."""
        if not self.apart:
            return []
        sides = [(variant.label, variant.label, Path(sys.executable)) for variant in self.runners]
        sides += [
            (base.arm, base.runner, base.python) for base in self.bases.values() if base.python
        ]
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
            bases = (base.arm for base in self.bases.values())
            facts["runners"] = [*(variant.label for variant in self.runners), *bases]
        return {**facts, "against": self.against}
