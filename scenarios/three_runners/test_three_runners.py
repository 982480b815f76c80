"""What do the three runners cost? See the README beside this file."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from harness import runners
from harness.engines import Engine
from harness.inside.layout import Avatar
from harness.katas.visible import VisibleFiles
from harness.measure.compare import Comparison, compare
from harness.measure.trees import TypicalTree
from harness.measure.trials import FLOOR, INCREMENTAL, BlockPlan
from harness.runners.base import COMMAND
from harness.runners.katas_data_container import KatasDataContainer
from harness.runners.katas_volume import KatasVolume
from harness.runners.variant import Variant
from scenarios.measuring import paired

BLOCKS = 15
MEMORY_MB = 150


def test_the_tar_pipe_against_the_volume_mount(
    docker: Engine, figure: Callable[[str], None]
) -> None:
    """Both are incremental and exact; the ratio of their times is printed."""
    plan = BlockPlan(budget_seconds=0, blocks=BLOCKS)
    comparison = Comparison(
        TypicalTree(),
        (Variant.of(KatasVolume), Variant.of(KatasDataContainer)),
        docker,
        None,
        COMMAND,
        120,
        plan,
        seed=1,
    )
    samples = list(compare(comparison))
    incremental = [sample for sample in samples if sample.build == INCREMENTAL]
    assert all(sample.outcome == "completed" and sample.right for sample in samples)
    assert {sample.recompiled for sample in incremental} == {1}
    assert {sample.mtimes_changed for sample in incremental} <= {0, None}

    facts = comparison.facts()["engine"]
    figure(
        f"{facts['engine']}, storage driver {facts['storage driver']}, "
        f"typical tree, {BLOCKS} blocks"
    )
    for one, other, most in (
        (KatasDataContainer.name, KatasVolume.name, "at most 1.4"),
        (KatasVolume.name, FLOOR, ""),
        (KatasDataContainer.name, FLOOR, ""),
    ):
        ratios = [mine / theirs for mine, theirs in paired(incremental, one, other)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        middle = statistics.median(ratios)
        figure(f"incremental, {one} to {other}: {middle:.2f} ({spread}) {most}".rstrip())


@pytest.mark.parametrize("name", runners.NOTES_NAMES)
def test_the_harness_s_own_processor_time(
    name: str, docker: Engine, figure: Callable[[str], None], tmp_path: Path
) -> None:
    """All threads of the harness, in an incremental test event, without containers and keeper."""
    tree, kind = TypicalTree(), runners.find(name)
    tree.write(tmp_path / "tree")
    files = VisibleFiles(
        {name: file.read() for name, file in VisibleFiles.from_folder(tmp_path / "tree").items()}
    )
    spent = []
    with closing(kind.open_katas(docker, None)) as katas:
        runner = kind(docker, katas)
        assert runner.run(Avatar(), files, max_seconds=120).tag == 1
        for number in range(1, BLOCKS + 1):
            edit = tree.edit(number)
            files = files.edited(edit.path, edit.content)
            before = time.process_time_ns()
            run = runner.run(Avatar(), files, max_seconds=120)
            spent.append((time.process_time_ns() - before) / 1e6)
            assert run.stdout.strip() == edit.answer
    figure(f"processor time of a test event, {name}: {statistics.median(spent):.0f} ms, at most 20")


PLAY_LARGE = """
import json, resource, sys
import harness
from harness.runners.variant import Variant
from harness.measure.trees import TypicalTree
from pathlib import Path

tree = TypicalTree("size=160MB,files=2000")
tree.write(Path(sys.argv[2]))
files = harness.VisibleFiles.from_folder(Path(sys.argv[2]))
with harness.open_runner("katas-data-container", engine=sys.argv[1]) as runner:
    run = runner.run(harness.Avatar(), files, max_seconds=120)
    edit = tree.edit(1)
    again = runner.run(harness.Avatar(), files.edited(edit.path, edit.content), max_seconds=120)
assert again.stdout.strip() == edit.answer, again
piped = sum(phase.bytes_in + phase.bytes_out for phase in again.phases)
print(json.dumps([piped, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


@pytest.mark.parametrize("engine", ["docker", "local"])
def test_memory_does_not_grow_with_the_tree(
    engine: str, request: pytest.FixtureRequest, figure: Callable[[str], None], tmp_path: Path
) -> None:
    """A tree of 160 MB passes both ways through a process that stays below 150 MB."""
    if engine == "docker":
        request.getfixturevalue("docker")
    command = [sys.executable, "-c", PLAY_LARGE, engine, str(tmp_path / "tree")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    piped, kilobytes = json.loads(done.stdout)
    assert piped > 300e6
    assert kilobytes * 1024 < MEMORY_MB * 1e6
    peak = kilobytes * 1024 / 1e6
    figure(f"peak memory with {piped / 2e6:.0f} MB piped each way, {engine}: {peak:.0f} MB")
