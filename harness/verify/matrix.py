"""The matrix: which property holds of which runner on which engine. One proving path for every front."""

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
from harness.runners.claims import Property
from harness.runners.variant import Variant
from harness.verify.proofs import PROOFS, ProofResult, Status
from harness.verify.workers import Task, can_travel, spread


class MatrixVerdict(StrEnum):
    """What a whole matrix says."""

    AS_CLAIMED = "as claimed"  # every claim was proved, and all else was shown not to hold
    REFUTED = "refuted"  # a claim was
    UNKNOWN = (
        "unknown"  # something could not be tried, or what is not claimed was not shown not to hold
    )


def properties() -> list[Property]:
    """Those that have a proof, in the order of their definition."""
    return [each for each in Property if each in PROOFS]


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix, about to be examined."""

    runner: str  # as its variant is labelled
    engine: str  # as it was asked for
    name: Property
    number: int  # from 1
    of: int


@dataclass(frozen=True)
class Verification:
    """What is to be proved, and how."""

    runners: Sequence[Variant]
    engines: Mapping[str, Engine]  # by the name that was asked for
    properties: Sequence[Property]
    profile: str = "dev"  # a key of harness.verify.proofs.PROFILES
    image: str | None = None
    replay: str | None = None  # the token of a counterexample: nothing but that is tried
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def size(self) -> int:
        """Cells of the matrix."""
        return len(self.runners) * len(self.engines) * len(self.properties)

    def facts(self, engines: Mapping[str, Mapping[str, str]] | None = None) -> dict[str, Any]:
        """Where, what and how; `engines` describes those of other machines."""
        return {
            "harness": version("tarpipe-harness"),
            "created": self.created,
            "machine": platform.node(),
            "processors": os.cpu_count(),
            "engines": engines
            or {name: dict(engine.describe()) for name, engine in self.engines.items()},
            "runners": [each.label for each in self.runners],
            "properties": [str(each) for each in self.properties],
            "profile": self.profile,
            "image": self.image,
        }


def verify(
    verification: Verification,
    about_to: Callable[[Cell], None] = lambda cell: None,
    *,
    jobs: int = 1,
) -> Iterator[ProofResult]:
    """A finding for each cell: one engine and one runner after the other, or so many at once in processes of their own, as they
    come. Raises UsageError for a replay that is none.
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
        tasks.sort(
            key=lambda task: task.name is not Property.ATOMIC
        )  # it takes longest, and would be alone at the end
        yield from (finding for _, finding in spread(tasks, jobs, begin))
        return
    for number, task in enumerate(tasks):
        begin(number)
        yield task.examine()


def judge_matrix(findings: Sequence[ProofResult]) -> MatrixVerdict:
    """The verdict on all of them; nothing is known where there is none."""
    if any(each.claimed and each.status is Status.REFUTED for each in findings):
        return MatrixVerdict.REFUTED
    if findings and all(each.as_claimed for each in findings):
        return MatrixVerdict.AS_CLAIMED
    return MatrixVerdict.UNKNOWN


def replay_command(finding: ProofResult, *, image: str | None = None) -> str:
    """What a user types to see this finding again: its counterexample, where it has one."""
    words = ["harness", "verify", "--runner", finding.runner, "--engine", finding.engine]
    words += ["--property", finding.name]
    if image is not None:
        words += ["--image", image]
    if finding.counterexample is not None:
        words += ["--replay", finding.counterexample.token]
    return shlex.join(words)
