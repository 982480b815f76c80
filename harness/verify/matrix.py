"""The matrix: which property each runner has on each engine. All fronts prove through it."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from typing import Any

from harness.engines import Engine
from harness.engines.extras import DISTRIBUTION
from harness.runners.claims import Property
from harness.runners.variant import Variant
from harness.verify.proofs import PROOFS, ProofResult, Status
from harness.verify.workers import Task, can_travel, spread


class MatrixVerdict(StrEnum):
    """The verdict on a whole matrix."""

    AS_CLAIMED = "as claimed"
    """Every claim was proved, and everything else was refuted."""
    REFUTED = "refuted"
    """A claim was refuted."""
    UNKNOWN = "unknown"
    """Something could not be tried, or something that is not claimed was not refuted."""


def properties() -> list[Property]:
    """Return the properties that have a proof, in the order of their definition."""
    return [name for name in Property if name in PROOFS]


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix, about to be examined."""

    runner: str
    """The label of the runner's variant."""
    engine: str
    """The name by which the engine was asked for."""
    name: Property
    """The property."""
    number: int
    """The number of this cell, from 1."""
    of: int
    """How many cells there are."""


@dataclass(frozen=True)
class Verification:
    """What to prove, and how."""

    runners: Sequence[Variant]
    """The runners."""
    engines: Mapping[str, Engine]
    """The engines, by the name that was asked for."""
    properties: Sequence[Property]
    """The properties."""
    profile: str = "dev"
    """A key of harness.verify.proofs.PROFILES."""
    image: str | None = None
    """The image to run; None: the runner's default."""
    replay: str | None = None
    """The token of a counterexample: only that is tried."""
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """When it was asked for: UTC, in the format of ISO 8601."""

    @property
    def size(self) -> int:
        """The number of cells."""
        return len(self.runners) * len(self.engines) * len(self.properties)

    def facts(self, engines: Mapping[str, Mapping[str, str]] | None = None) -> dict[str, Any]:
        """Return where, what and how, for a file; `engines` describes those of other machines."""
        return {
            "harness": version(DISTRIBUTION),
            "created": self.created,
            "machine": platform.node(),
            "processors": os.cpu_count(),
            "engines": engines
            or {name: dict(engine.describe()) for name, engine in self.engines.items()},
            "runners": [variant.label for variant in self.runners],
            "properties": [str(name) for name in self.properties],
            "profile": self.profile,
            "image": self.image,
        }


def verify(
    verification: Verification,
    about_to: Callable[[Cell], None] = lambda cell: None,
    *,
    jobs: int = 1,
) -> Iterator[ProofResult]:
    """Yield a result for each cell: one after the other, or `jobs` at once in processes.

    With several jobs, results come in the order in which they are ready. Raises UsageError if
    `replay` is not the token of a counterexample.
    """
    asked = verification
    tasks = [
        Task(variant, engine, engine_name, asked.image, name, asked.profile, asked.replay)
        for engine_name, engine in asked.engines.items()
        for variant in asked.runners
        for name in asked.properties
    ]

    def begin(number: int) -> None:
        task = tasks[number]
        about_to(Cell(task.variant.label, task.engine_name, task.name, number + 1, len(tasks)))

    if jobs > 1 and len(tasks) > 1 and can_travel(tasks):
        # *Atomic* takes longest, and at the end it would run alone.
        tasks.sort(key=lambda task: task.name is not Property.ATOMIC)
        yield from (finding for _, finding in spread(tasks, jobs, begin))
        return
    for number, task in enumerate(tasks):
        begin(number)
        yield task.examine()


def judge_matrix(findings: Sequence[ProofResult]) -> MatrixVerdict:
    """Return the verdict on all results; unknown if there are none."""
    if any(finding.claimed and finding.status is Status.REFUTED for finding in findings):
        return MatrixVerdict.REFUTED
    if findings and all(finding.as_claimed for finding in findings):
        return MatrixVerdict.AS_CLAIMED
    return MatrixVerdict.UNKNOWN


def replay_command(finding: ProofResult, *, image: str | None = None) -> str:
    """Return the command that shows a result again: its counterexample, if it has one."""
    words = ["harness", "verify", "--runner", finding.runner, "--engine", finding.engine]
    words += ["--property", finding.name]
    if image is not None:
        words += ["--image", image]
    if finding.counterexample is not None:
        words += ["--replay", finding.counterexample.token]
    return shlex.join(words)
