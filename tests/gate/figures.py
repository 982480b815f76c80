"""Results that were never measured, with ratios that are known, for the tests of the gate."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

import numpy as np

from harness.gate.budgets import Budget, parse_budgets
from harness.measure.trials.sample import Sample
from tests.measure.samples import sample

PIPE = "katas-data-container"


def budgets(text: str, heading: str = f"{PIPE}.incremental") -> tuple[Budget, ...]:
    """The lines under one heading."""
    return parse_budgets(tomllib.loads(f"[{heading}]\n{text}\n"), "budgets.toml")


def blocks(
    ratios: Mapping[str, float],
    count: int = 40,
    *,
    noise: float = 0.05,
    seed: int = 1,
    scenario: str = "incremental",
    first: int = 0,
    **changes: object,
) -> list[Sample]:
    """So many blocks in which bare-make takes about a second, and each arm its ratio of that.

    The machine is now busy and then not, for whole blocks; what differs within a block scatters by `noise`.
    """
    random = np.random.default_rng(seed)
    found = []
    for block in range(first, first + count):
        busy = float(np.exp(random.normal(0, 0.3)))
        for name, ratio in {"bare-make": 1.0, **ratios}.items():
            seconds = busy * ratio * float(np.exp(random.normal(0, noise)))
            found.append(sample(name, scenario=scenario, block=block, seconds=seconds, **changes))
    return found
