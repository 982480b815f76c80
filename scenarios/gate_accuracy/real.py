"""Plays real gates, on versions that differ by a delay in the tar-pipe."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from harness.engines.choice import choose
from harness.gate import Evidence, states
from harness.inside.layout import Avatar
from harness.measure import looks, stats
from harness.measure.compare import Comparison, compare, open_arm
from harness.measure.stats import VerdictState
from harness.measure.trees import TypicalTree
from harness.measure.trials import INCREMENTAL, BlockPlan, Sample
from harness.measure.trials.arms import Arm, RunnerArm
from harness.runners.base import COMMAND
from harness.runners.event import TestEvent
from harness.runners.katas_data_container import KatasDataContainer
from harness.runners.run import Run
from harness.runners.variant import Variant
from scenarios.gate_accuracy.recording import RUNNER, TREE
from scenarios.gate_accuracy.rules import BASE, BUDGETS

KINDS = {"equal": 0.0, "10 % slower": 0.1, "20 % slower": 0.2}
"""The delay of the new version, as a share of its test event."""

COLUMNS = ("played", "looks", "kind", "state", "blocks", "low", "estimate", "high")


class Delayed(KatasDataContainer):
    """A runner whose tar-pipe sleeps before the way back, in proportion to the whole test event."""

    share = 0.0
    started = rest = 0.0
    """When the test event began, and what is to come after the delay; in seconds."""

    _slept = 0.0

    def run(self, avatar: Avatar, files: Any, *, max_seconds: float = 10.0) -> Run:
        self.started, self._slept = time.monotonic(), 0.0
        run = super().run(avatar, files, max_seconds=max_seconds)
        to_come = sum(
            phase.nanoseconds for phase in run.phases if phase.kind in {"pipe_out", "commit"}
        )
        self.rest = to_come / 1e9 - self._slept
        return run

    def play(self, event: TestEvent) -> None:
        slow: Any = SlowPipe(event.sandbox, partial(self.delay, event))
        event.sandbox = slow
        super().play(event)

    def delay(self, event: TestEvent) -> None:
        so_far = time.monotonic() - self.started - event.watch.unseen / 1e9
        # The rest is taken from the test event before.
        self._slept = self.share * (so_far + self.rest)
        time.sleep(self._slept)


class SlowPipe:
    """A sandbox whose outgoing stream begins late.

    If it ended late instead, the keeper would meanwhile work on what it has, and hide a third of
    the delay.
    """

    def __init__(self, sandbox: Any, sleep: Callable[[], None]) -> None:
        self._sandbox, self._sleep = sandbox, sleep

    def pack(self) -> Iterator[bytes]:
        self._sleep()
        chunks: Iterator[bytes] = self._sandbox.pack()
        return chunks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sandbox, name)


def play(path: Path, *, seconds: float) -> None:
    """Play one gate of each kind in the same blocks, judge each, and append them to a CSV.

    Blocks are played until all three gates are settled, there are as many as there may be, or the
    time is up.
    """
    with closing(choose("local").engine) as engine:
        plan = BlockPlan(seconds, scenarios=(INCREMENTAL,))
        tree = TypicalTree(TREE.partition(":")[2])
        comparison = Comparison(
            tree, (), engine, None, COMMAND, 120, plan, seed=time.time_ns() % 2**32
        )
        arms: list[Callable[[], Arm]] = [
            partial(RunnerArm, BASE, partial(open_arm, comparison, Variant.of(KatasDataContainer)))
        ]
        for kind, share in KINDS.items():
            delayed = type("Delayed", (Delayed,), {"share": share})
            arms.append(
                partial(RunnerArm, kind, partial(open_arm, comparison, Variant.of(delayed)))
            )
        verdicts: dict[str, tuple[VerdictState, int]] = {}

        def settled(played: Any) -> bool:
            blocks = len({sample.block for sample in played if sample.scenario == INCREMENTAL})
            if looks.is_look(blocks):
                for kind in KINDS.keys() - verdicts.keys():
                    if (state := _state(played, kind)) is not VerdictState.INCONCLUSIVE:
                        verdicts[kind] = (state, blocks)
            return len(verdicts) == len(KINDS) or blocks >= looks.LOOKS[-1]

        samples = list(compare(comparison, settled=settled, beside=arms))
    assert all(sample.outcome == "completed" and sample.right for sample in samples)
    _write(path, samples, verdicts)


def _state(samples: Any, kind: str) -> VerdictState:
    return states(_evidence(samples, kind), BUDGETS)[0]


def _evidence(samples: Any, kind: str) -> Evidence:
    """Return the evidence that a gate of this kind alone would have."""
    renamed = [replace(sample, runner=RUNNER) for sample in samples if sample.runner == kind]
    base = [sample for sample in samples if sample.runner == BASE]
    return Evidence([[*renamed, *base]], against=BASE)


def _write(
    path: Path, samples: list[Sample], verdicts: dict[str, tuple[VerdictState, int]]
) -> None:
    new = not path.exists()
    times = {
        (sample.runner, sample.block): sample.seconds
        for sample in samples
        if sample.scenario == INCREMENTAL
    }
    blocks = sorted({block for _, block in times})
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with path.open("a", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        if new:
            table.writerow(COLUMNS)
        for kind in KINDS:
            state, count = verdicts.get(kind, (VerdictState.INCONCLUSIVE, len(blocks)))
            one, other = ([times[arm, block] for block in blocks[:count]] for arm in (kind, BASE))
            interval = stats.paired(one, other, looks.share(1))
            row = (
                now,
                len(looks.LOOKS),
                kind,
                state,
                count,
                *(f"{ratio:.3f}" for ratio in (interval.low, interval.estimate, interval.high)),
            )
            table.writerow(row)
