"""What is under proof: a runner on an engine."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from harness.engines import Engine
from harness.inside.layout import Avatar
from harness.inside.tree import Snapshot
from harness.katas.visible import VisibleFiles
from harness.runners.base import BaseRunner
from harness.runners.claims import Property
from harness.runners.run import Observation, Outcome, Run
from harness.runners.variant import Variant
from harness.verify.proofs.shared.counts import Tally
from harness.verify.proofs.shared.verdict import Refuted, Untried

SECONDS = 60.0
"""Limit of a test event that should be fast; on a slow engine a build of three files takes five."""


@dataclass
class Subject:
    """A runner on an engine. All proofs share the engine; the examples of one share a runner."""

    variant: Variant
    engine: Engine
    engine_name: str
    image: str | None = None
    tally: Tally = field(default_factory=Tally)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @contextmanager
    def runner(self, **options: Any) -> Iterator[BaseRunner]:
        """Open a fresh runner with temporary katas; `options` are those of BaseRunner."""
        with closing(
            self.variant.open(self.engine, **{"image": self.image, "observe": True, **options})
        ) as opened:
            run = opened.run

            def counted(*arguments: Any, **options: Any) -> Run:
                self.tally.events += 1
                return run(*arguments, **options)

            opened.run = counted  # type: ignore[method-assign]
            yield opened

    def most(self, cheap: int, dear: int) -> int:
        """Return how many examples to ask for, by the cost of a test event."""
        return cheap if self.engine.quick else dear

    def claims(self, name: Property) -> bool:
        """Whether the runner claims the property on this engine."""
        return name in self.variant.claims(self.engine)

    def avatar(self) -> Avatar:
        """Return an avatar that no other example plays, so that examples can share a runner."""
        return Avatar(f"{next(self._numbers):010d}")


def complete(
    runner: BaseRunner,
    avatar: Avatar,
    files: VisibleFiles | dict[str, str | bytes],
    *,
    seconds: float = SECONDS,
    story: str = "",
) -> Run:
    """Play a test event that must complete. Raises Refuted if not, with the `story` before it."""
    run = runner.run(avatar, files, max_seconds=seconds)
    if run.outcome is not Outcome.COMPLETED:
        why = run.reason or run.stderr.strip() or "no reason was given"
        raise Refuted(f"{story}{': ' if story else ''}a test event was {run.outcome}: {why}")
    return run


def seen(run: Run) -> Observation:
    """Return what was seen in the run-container around the command. Raises Untried if nothing."""
    if run.observed is None or not run.observed.after:
        raise Untried(
            "the runner does not observe the sandbox (TestEvent.run does), "
            "or the image's find is not GNU find"
        )
    return run.observed


def kept(runner: BaseRunner, avatar: Avatar) -> Snapshot:
    """Return what the katas hold of the avatar's sandbox, with contents."""
    with closing(runner.katas.event(avatar)) as event:
        return event.snapshot(contents=True)
