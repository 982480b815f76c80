"""Budgets: what a result must keep to, in TOML that reads as a sentence.

    [katas-data-container.incremental]
    seconds = ["at most 1.4 times katas-volume", "at most 1/10 of full", "at most 5 % above the baseline"]
    recompiled = "exactly 1"
    mtimes_changed = "exactly 0"
    memory = "at most 60 MB"

A heading names a runner and a scenario, a key one of METRICS, and each sentence a bound: `exactly`, `at most` or
`at least`, a number, and what it is compared with: another runner in the same scenario, another scenario of the
same runner, or the baseline. That the runner's test events all completed, and gave the right answer where it is
known, is part of every heading and need not be said.
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

from harness.inside.errors import UsageError
from harness.measure.trials.arms import FLOOR
from harness.measure.trials.scenario import SCENARIOS
from harness.runners.run import PHASES

TIMES = (
    *("seconds", "answered_seconds", "processor_seconds", "harness_seconds"),
    *(f"phase_{kind}" for kind in PHASES),
)
"""Metrics that say more of the machine than of the runner unless they are compared: by ratios, with an interval."""

COUNTERS = (
    "recompiled",
    "mtimes_kept",
    "mtimes_changed",
    "bytes_in",
    "bytes_out",
    "tree_bytes",
    "tree_files",
    "disk_visible",
    "disk_extra",
    "disk_history",
)
"""Metrics that no noise reaches: every single sample must keep to them."""

METRICS = (*TIMES, *COUNTERS, "memory")
"""The memory may be bounded on its own, as counters are, and compared with an interval, as times are."""

_SIZES = ("bytes_", "tree_bytes", "disk_", "memory")
"""What the metrics that are sizes, in bytes, begin with."""

BASELINE = "baseline"

_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}

GRAMMAR = re.compile(
    r"(?P<sense>exactly|at most|at least) (?P<amount>\d+(?:\.\d+)?(?:/\d+)?)(?: ?(?P<unit>%|[a-zA-Z]?B))?"
    r"(?: (?P<how>times|of|above) (?:the )?(?P<than>\S+))?"
)

HELP = (
    "write it as 'exactly 1', 'at most 60 MB', 'at most 1.4 times katas-volume', 'at least 10 times incremental', "
    "'at most 1/10 of full' or 'at most 5 % above the baseline'"
)


class Sense(StrEnum):
    """Which side of the bound is kept to."""

    EXACTLY = "exactly"
    AT_MOST = "at most"
    AT_LEAST = "at least"


@dataclass(frozen=True)
class Budget:
    """One sentence."""

    runner: str
    scenario: str
    metric: str
    sense: Sense
    amount: float  # in the metric's unit, or a factor where there is something to compare with
    than: str | None  # a runner, a scenario or BASELINE; None: the amount stands alone
    text: str  # the sentence as it was written
    place: str  # where, for a message

    @property
    def noisy(self) -> bool:
        """Whether it takes an interval to judge it."""
        return self.than is not None and self.metric not in COUNTERS

    def __str__(self) -> str:
        return f"{self.runner}, {self.scenario}: {self.metric.replace('_', ' ')} {self.text}"


def read_budgets(path: Path) -> tuple[Budget, ...]:
    """The budgets of a file. Raises UsageError, with the line or the key, for one that cannot be kept to."""
    try:
        with path.open("rb") as file:
            return parse_budgets(tomllib.load(file), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: this is no TOML: {error}") from error


def parse_budgets(tables: dict[str, Any], source: str) -> tuple[Budget, ...]:
    """The budgets of the tables of `source`. Raises UsageError, with the key."""
    found = tuple(_budgets(tables, source))
    if not found:
        raise UsageError(f"{source}: there is no budget in it; {HELP}")
    _check_contradictions(found)
    return found


def budget(runner: str, scenario: str, metric: str, text: str, place: str) -> Budget:
    """One sentence. Raises UsageError, with the place, where it is none or makes no sense."""
    if scenario not in SCENARIOS:
        raise UsageError(
            f"{place}: there is no scenario {scenario}; there are: {', '.join(SCENARIOS)}"
        )
    if metric not in METRICS:
        raise UsageError(f"{place}: there is no metric {metric}; there are: {', '.join(METRICS)}")
    words = GRAMMAR.fullmatch(" ".join(text.split()))
    if words is None:
        raise UsageError(f"{place}: {text!r} is no budget; {HELP}")
    sense, unit, how, than = Sense(words["sense"]), words["unit"] or "", words["how"], words["than"]
    try:
        amount = float(Fraction(words["amount"]))
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{place}: {words['amount']} is no number") from None
    if (
        (unit == "%") != (how == "above")
        or (how and unit not in ("", "%"))
        or unit not in (*_UNITS, "%")
    ):
        raise UsageError(f"{place}: {text!r} is no budget; {HELP}")
    if sense is Sense.EXACTLY and how:
        raise UsageError(
            f"{place}: nothing is exactly so many times as much: say at most or at least"
        )
    if how is None and metric in TIMES:
        raise UsageError(
            f"{place}: a time alone says more of the machine than of the runner: "
            f"compare it, as in 'at most 1.4 times {FLOOR}'"
        )
    if how and (amount == 0 and unit != "%"):
        raise UsageError(f"{place}: 0 times as much is never kept to")
    if than in (runner, scenario):
        raise UsageError(f"{place}: this compares {runner}, {scenario} with itself")
    if runner == FLOOR and than == BASELINE and metric in TIMES:
        raise UsageError(
            f"{place}: {FLOOR} is what a baseline is compared by; it has no ratio to itself"
        )
    if unit not in ("", "%") and not metric.startswith(_SIZES):
        raise UsageError(f"{place}: {metric} is a number, not a size: leave {unit} out")
    amount = 1 + amount / 100 if unit == "%" else amount * _UNITS[unit]
    return Budget(runner, scenario, metric, sense, amount, than, " ".join(text.split()), place)


def _budgets(tables: dict[str, Any], source: str) -> Iterator[Budget]:
    for runner, scenarios in tables.items():
        for scenario, metrics in _table(scenarios, f"{source}: {runner}").items():
            for metric, texts in _table(metrics, f"{source}: {runner}.{scenario}").items():
                place = f"{source}: {runner}.{scenario}.{metric}"
                for text in texts if isinstance(texts, list) else [texts]:
                    if not isinstance(text, str):
                        raise UsageError(f"{place}: {text!r} is no sentence; {HELP}")
                    yield budget(runner, scenario, metric, text, place)


def _table(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(
            f"{place}: headings are [RUNNER.SCENARIO], with a metric and its budget on each line"
        )
    return value


def _check_contradictions(found: Sequence[Budget]) -> None:
    """Raise UsageError for budgets of which no result can keep to all, and for one bound that is set twice."""
    bounds: dict[tuple[str, ...], list[tuple[float, float, Budget]]] = {}
    for each in found:
        what, low, high = _bounds(each)
        for other_low, other_high, other in bounds.setdefault(what, []):
            if max(low, other_low) > min(high, other_high) * (1 + 1e-9):
                raise UsageError(
                    f"{each.place}: {each.text!r} contradicts {other.text!r} ({other.place})"
                )
            if (
                each.sense is other.sense
                and each.runner == other.runner
                and each.scenario == other.scenario
            ):
                raise UsageError(
                    f"{each.place}: {each.text!r} and {other.text!r} bound the same; keep one"
                )
        bounds[what].append((low, high, each))


def _bounds(each: Budget) -> tuple[tuple[str, ...], float, float]:
    """What is bounded, and between what: a ratio the one way round and the other is the same thing."""
    infinity = float("inf")
    low = 0.0 if each.sense is Sense.AT_MOST else each.amount
    high = infinity if each.sense is Sense.AT_LEAST else each.amount
    one = (each.runner, each.scenario)
    if each.than is None or each.than == BASELINE:
        return (*one, each.metric, each.than or ""), low, high
    other = (each.runner, each.than) if each.than in SCENARIOS else (each.than, each.scenario)
    if one < other:
        return (*one, *other, each.metric), low, high
    return (*other, *one, each.metric), 1 / high, infinity if low == 0 else 1 / low


def intervals(found: Iterable[Budget]) -> int:
    """How many of them take an interval, which share one confidence."""
    return sum(each.noisy for each in found)
