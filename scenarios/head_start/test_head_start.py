"""What is a head start worth? See the README beside this file."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from harness import runners
from harness.engines import Engine
from harness.engines.choose import choose
from harness.katas.layout import Avatar
from harness.katas.visible import VisibleFiles
from harness.runners.katas_volume import KatasVolume
from harness.trees import TypicalTree
from harness.trials import FLOOR
from scenarios.measuring import growth, measure, ratios

COLD = "katas-data-container"
WARM, SEEDED = f"{COLD}:standby=warm", f"{COLD}:standby=seeded"
VOLUME = KatasVolume.name
LARGE = "size=160MB,files=2000"
ROUNDS = 5


def test_on_docker(docker: Engine, figure: Callable[[str], None]) -> None:
    """Against bare make and the volume mount; and as the tree grows."""
    small = measure(docker, TypicalTree(), VOLUME, COLD, WARM, SEEDED)
    facts = docker.describe()
    figure(f"{facts['engine']}, storage driver {facts['storage driver']}, typical tree, incremental")
    for one, other, most in (
        (SEEDED, FLOOR, "at most 1.5"),
        (SEEDED, VOLUME, "at most 0.35"),
        (WARM, VOLUME, "at most 0.6"),
        (COLD, VOLUME, "at most 1.4"),
    ):
        figure(f"{ratios(small, one, other)}; {most}")
    large = measure(docker, TypicalTree(LARGE), SEEDED)
    figure(f"{growth(large, small, SEEDED)}; at most 2")


def test_on_the_local_engine(figure: Callable[[str], None]) -> None:
    """Against bare make, which waits in a shell as the head start does."""
    with closing(choose("local").engine) as engine:
        samples = measure(engine, TypicalTree(), SEEDED)
    figure(f"local, {ratios(samples, SEEDED, FLOOR)}; at most 1.2")


def test_the_tar_pipe_alone(docker: Engine, figure: Callable[[str], None], tmp_path: Path) -> None:
    """A tree of 160 MB through the phases that pipe it in and out, each against `tar | tar` of the same bytes on the host."""
    tree = TypicalTree(LARGE)
    tree.write(tmp_path / "tree")
    files = VisibleFiles.from_folder(tmp_path / "tree")
    piped: dict[str, list[float]] = {"pipe_in": [], "pipe_out": []}
    on_the_host = []
    with closing(runners.parse(COLD).open(docker, command="true")) as runner:
        for number in range(ROUNDS):
            run = runner.run(Avatar(name=f"avatar-{number}"), files, max_seconds=60)
            assert run.tag == 1, run.reason
            for phase in run.phases:
                if phase.kind in piped:
                    piped[phase.kind].append(phase.nanoseconds / 1e9)
            target = tmp_path / f"target-{number}"
            target.mkdir()
            started = time.monotonic()
            subprocess.run(
                [
                    "sh",
                    "-c",
                    'tar -cf - -C "$1" . | tar -xf - -C "$2"',
                    "sh",
                    str(tmp_path / "tree"),
                    str(target),
                ],
                check=True,
            )
            on_the_host.append(time.monotonic() - started)
    for kind, times in piped.items():
        assert len(times) == ROUNDS
        figure(
            f"{kind.replace('_', ' ')} of 160 MB to tar | tar on the host: "
            f"{statistics.median(times) / statistics.median(on_the_host):.2f}, at most 1.5"
        )
