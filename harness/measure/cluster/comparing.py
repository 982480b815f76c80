"""A comparison spread over the machines of a cluster; each block is played by one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from harness.measure.cluster import Cluster, Machine
from harness.measure.cluster.worker import Stint, play_stint
from harness.measure.compare import arm_names, measured_on
from harness.measure.trials import BlockPlan, Sample
from harness.measure.trials.plan import ROUNDS_TO_A_FULL


def stints(plan: BlockPlan, model: Stint, machines: int) -> Iterator[Stint]:
    """Yield stints of a full build and five rounds each, at least one for each machine.

    They end when the plan's rounds have been handed out, or when another stint, judged by the
    longest so far, would exceed the budget.
    """
    started = time.monotonic()
    handed = 0
    begun: list[float] = []
    while True:
        if plan.blocks is not None:
            rounds = min(ROUNDS_TO_A_FULL, plan.blocks - handed * ROUNDS_TO_A_FULL)
            if rounds <= 0:
                return
        else:
            rounds = ROUNDS_TO_A_FULL
            spent = time.monotonic() - started
            # A machine asks for a stint when its last one, `machines` requests ago, has ended.
            longest = max(
                (later - begin for begin, later in zip(begun, begun[machines:], strict=False)),
                default=0.0,
            )
            if handed >= machines and spent + longest > plan.budget_seconds:
                return
        begun.append(time.monotonic())
        yield replace(model, rounds=rounds, seed=model.seed + handed)
        handed += 1


def cluster_facts(machines: Sequence[Machine], plan: BlockPlan, model: Stint) -> dict[str, Any]:
    """Return the facts for the first line of the result file."""
    return {
        **measured_on([machine.facts for machine in machines]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "tree": model.tree.name,
        "command": model.command,
        "runners": arm_names(model.runners, model.again),
        "again": model.again,
        "max_seconds": model.max_seconds,
        "seed": model.seed,
        **plan.facts(),
    }


def compare_on_workers(
    cluster: Cluster,
    machines: Sequence[Machine],
    plan: BlockPlan,
    model: Stint,
    tell: Callable[[str], None] = lambda line: None,
) -> Iterator[Sample]:
    """Yield samples as stints come in, with blocks numbered over all stints, and their machine."""
    blocks = 0
    started = time.monotonic()
    for done in cluster.spread(machines, play_stint, stints(plan, model, len(machines))):
        begun = blocks
        for sample in done.result:
            blocks = max(blocks, begun + sample.block + 1)
            yield replace(sample, block=begun + sample.block, machine=done.machine.id)
        tell(
            f"blocks {begun + 1} to {blocks} from {done.machine.words}, "
            f"after {time.monotonic() - started:.0f} s"
        )
