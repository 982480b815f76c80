"""Budgets: what a result must keep to, in TOML whose values read as sentences.

    [katas-data-container.incremental]
    seconds = ["at most 1.4 times katas-volume", "at most 5 % above the baseline"]
    answered_seconds = "at most 1/10 of full"
    recompiled = "exactly 1"
    mtimes_changed = "exactly 0"
    memory = "at most 60 MB"

A heading names a runner and a scenario, a key names one of METRICS, and each sentence sets a bound:
`exactly`, `at most` or `at least`, a number, and what to compare with: another runner in the same
scenario, another scenario of the same runner, or the baseline. Every heading also demands, without
saying so, that all the runner's test events completed, with the right answer where it is known.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any

from harness.inside.errors import UsageError, not_among
from harness.measure.metrics import METRICS
from harness.measure.trials.arms import FLOOR
from harness.measure.trials.metric import Kind
from harness.measure.trials.scenario import SCENARIOS

BASELINE = "baseline"

_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}

GRAMMAR = re.compile(
    r"(?P<sense>exactly|at most|at least) (?P<amount>\d+(?:\.\d+)?(?:/\d+)?)"
    r"(?: ?(?P<unit>%|[a-zA-Z]?B))?"
    r"(?: (?P<how>times|of|above) (?:the )?(?P<than>\S+))?"
)

HELP = (
    "write it as 'exactly 1', 'at most 60 MB', 'at most 1.4 times katas-volume', 'at least 10 "
    "times incremental', "
    "'at most 1/10 of full' or 'at most 5 % above the baseline'"
)


class Sense(StrEnum):
    """The side of the bound on which a figure must stay."""

    EXACTLY = "exactly"
    AT_MOST = "at most"
    AT_LEAST = "at least"


@dataclass(frozen=True)
class Budget:
    """One sentence."""

    runner: str
    """The name of the arm."""
    scenario: str
    """One of SCENARIOS."""
    metric: str
    """One of METRICS."""
    sense: Sense
    """On which side of the amount the figure must stay."""
    amount: float
    """In the metric's unit; a factor if there is something to compare with."""
    than: str | None
    """What to compare with: a runner, a scenario or BASELINE; None: nothing."""
    text: str
    """The sentence as the user wrote it."""
    place: str
    """Where the user wrote it, for messages."""

    @property
    def noisy(self) -> bool:
        """Whether judging it needs an interval."""
        return self.than is not None and METRICS[self.metric].kind is not Kind.COUNTER

    def __str__(self) -> str:
        return f"{self.runner}, {self.scenario}: {self.metric.replace('_', ' ')} {self.text}"


def read_budgets(path: Path) -> tuple[Budget, ...]:
    """Read the budgets of a file. Raises UsageError, with the line or the key, for invalid ones."""
    try:
        with path.open("rb") as file:
            return parse_budgets(tomllib.load(file), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error


def parse_budgets(tables: dict[str, Any], source: str) -> tuple[Budget, ...]:
    """Parse the budgets in the tables of `source`. Raises UsageError, with the key."""
    budgets = tuple(_budgets(tables, source))
    if not budgets:
        raise UsageError(f"{source}: there is no budget; {HELP}")
    _check_contradictions(budgets)
    return budgets


def budget(runner: str, scenario: str, metric: str, text: str, place: str) -> Budget:
    """Parse one sentence. Raises UsageError, with the place, if it is invalid or makes no sense."""
    if scenario not in SCENARIOS:
        raise UsageError(f"{place}: {not_among('scenario', scenario, SCENARIOS)}")
    if metric not in METRICS:
        raise UsageError(f"{place}: {not_among('metric', metric, METRICS)}")
    words = GRAMMAR.fullmatch(" ".join(text.split()))
    if words is None:
        raise UsageError(f"{place}: {text!r} is not a budget; {HELP}")
    sense, unit, how, than = Sense(words["sense"]), words["unit"] or "", words["how"], words["than"]
    try:
        amount = float(Fraction(words["amount"]))
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{place}: {words['amount']} is not a number") from None
    if (
        (unit == "%") != (how == "above")
        or (how and unit not in ("", "%"))
        or unit not in (*_UNITS, "%")
    ):
        raise UsageError(f"{place}: {text!r} is not a budget; {HELP}")
    if sense is Sense.EXACTLY and how:
        raise UsageError(f"{place}: a measured ratio is never exact; write at most or at least")
    if how is None and METRICS[metric].kind is Kind.TIME:
        raise UsageError(
            f"{place}: a time alone depends on the machine; compare it, as in "
            f"'at most 1.4 times {FLOOR}'"
        )
    if how and (amount == 0 and unit != "%"):
        raise UsageError(f"{place}: 0 times as much can never be kept")
    if than in (runner, scenario):
        raise UsageError(f"{place}: this compares {runner}, {scenario} with itself")
    if runner == FLOOR and than == BASELINE and METRICS[metric].kind is Kind.TIME:
        raise UsageError(
            f"{place}: a baseline is compared by ratios to {FLOOR}, which has no ratio to itself"
        )
    if unit not in ("", "%") and METRICS[metric].unit != "B":
        raise UsageError(f"{place}: {metric} is a number, not a size; leave out {unit}")
    amount = 1 + amount / 100 if unit == "%" else amount * _UNITS[unit]
    return Budget(runner, scenario, metric, sense, amount, than, " ".join(text.split()), place)


def _budgets(tables: dict[str, Any], source: str) -> Iterator[Budget]:
    for runner, scenarios in tables.items():
        for scenario, metrics in _table(scenarios, f"{source}: {runner}").items():
            for metric, texts in _table(metrics, f"{source}: {runner}.{scenario}").items():
                place = f"{source}: {runner}.{scenario}.{metric}"
                for text in texts if isinstance(texts, list) else [texts]:
                    if not isinstance(text, str):
                        raise UsageError(f"{place}: {text!r} is not a sentence; {HELP}")
                    yield budget(runner, scenario, metric, text, place)


def _table(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(
            f"{place}: write a heading [RUNNER.SCENARIO], then a metric and its budget on each line"
        )
    return value


def _check_contradictions(budgets: Sequence[Budget]) -> None:
    """Raise UsageError for budgets that contradict each other or set the same bound twice."""
    bounds: dict[tuple[str, ...], list[tuple[float, float, Budget]]] = {}
    for budget in budgets:
        what, low, high = _bounds(budget)
        for other_low, other_high, other in bounds.setdefault(what, []):
            if max(low, other_low) > min(high, other_high) * (1 + 1e-9):
                raise UsageError(
                    f"{budget.place}: {budget.text!r} contradicts {other.text!r} ({other.place})"
                )
            if (
                budget.sense is other.sense
                and budget.runner == other.runner
                and budget.scenario == other.scenario
            ):
                raise UsageError(
                    f"{budget.place}: {budget.text!r} and {other.text!r} bound the same figure; "
                    "keep one of them"
                )
        bounds[what].append((low, high, budget))


def _bounds(budget: Budget) -> tuple[tuple[str, ...], float, float]:
    """Return what is bounded, and its bounds; a ratio and its inverse are the same thing."""
    infinity = float("inf")
    low = 0.0 if budget.sense is Sense.AT_MOST else budget.amount
    high = infinity if budget.sense is Sense.AT_LEAST else budget.amount
    one = (budget.runner, budget.scenario)
    if budget.than is None or budget.than == BASELINE:
        return (*one, budget.metric, budget.than or ""), low, high
    other = (
        (budget.runner, budget.than) if budget.than in SCENARIOS else (budget.than, budget.scenario)
    )
    if one < other:
        return (*one, *other, budget.metric), low, high
    return (*other, *one, budget.metric), 1 / high, infinity if low == 0 else 1 / low


def intervals(budgets: Iterable[Budget]) -> int:
    """Count the budgets that need an interval; they share one confidence."""
    return sum(budget.noisy for budget in budgets)
