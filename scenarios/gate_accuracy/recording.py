"""Records real runs under noise: the same runner twice and the floor, block by block."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from harness import runners
from harness.engines.choice import choose
from harness.measure.compare import AGAIN, Comparison, compare
from harness.measure.trees import TypicalTree
from harness.measure.trials import FLOOR, INCREMENTAL, BlockPlan, Sample
from harness.runners.base import COMMAND
from harness.runners.katas_data_container import KatasDataContainer

RUNNER = KatasDataContainer.name
TREE = "typical:cost=0.1"
COLUMNS = ("block", "place", "runner", "seconds")


def compute(core: int) -> None:
    """Keep one core busy."""
    os.sched_setaffinity(0, {core})
    while True:
        sum(range(100_000))


def write(_: int) -> None:
    """Keep the disk of the katas busy."""
    content = os.urandom(16 << 20)
    while True:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


NOISES: dict[str, Callable[[int], None] | None] = {
    "nothing-added": None,
    "core-busy": compute,
    "disk-busy": write,
}
"""What else the machine does, by the name of the recording."""


def record(noise: str, path: Path, *, seconds: float, engine: str = "local") -> None:
    """Measure blocks for `seconds`, and write them to a CSV, below a line with the facts."""
    with closing(choose(engine).engine) as opened, _disturbed(NOISES[noise]):
        plan = BlockPlan(seconds, scenarios=(INCREMENTAL,))
        comparison = Comparison(
            TypicalTree(TREE.partition(":")[2]),
            [runners.parse_variant(RUNNER)],
            opened,
            None,
            COMMAND,
            120,
            plan,
            seed=1,
            again=RUNNER,
        )
        facts = {"noise": noise, **comparison.facts()}
        samples = [sample for sample in compare(comparison) if sample.scenario == INCREMENTAL]
    assert all(sample.outcome == "completed" and sample.right for sample in samples)
    with path.open("w", newline="") as file:
        file.write(f"# {json.dumps(facts)}\n")
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(
            (sample.block, sample.place, sample.runner, f"{sample.seconds:.6f}")
            for sample in samples
        )


@contextmanager
def _disturbed(noise: Callable[[int], None] | None) -> Iterator[None]:
    if noise is None:
        yield
        return
    core = max(os.sched_getaffinity(0))
    process = multiprocessing.get_context("fork").Process(target=noise, args=(core,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def load(path: Path) -> dict[str, list[Sample]]:
    """Return the samples of a recording by arm, in the order of its blocks."""
    samples: dict[str, list[Sample]] = {FLOOR: [], RUNNER: [], RUNNER + AGAIN: []}
    with path.open(newline="") as file:
        facts = json.loads(file.readline().removeprefix("# "))
        for row in csv.DictReader(file):
            samples[row["runner"]].append(_sample(row, facts["tree"]))
    return samples


def _sample(row: dict[str, str], tree: str) -> Sample:
    return Sample(
        runner=row["runner"],
        scenario=INCREMENTAL,
        block=int(row["block"]),
        place=int(row["place"]),
        outcome="completed",
        status=0,
        seconds=float(row["seconds"]),
        recompiled=1,
        mtimes_kept=None,
        mtimes_changed=0,
        answer="",
        right=True,
        bytes_in=0,
        bytes_out=0,
        phases={},
        tree=tree,
    )
