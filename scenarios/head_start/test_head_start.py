"""What is a head start worth? See the README beside this file."""

from __future__ import annotations

import secrets
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from harness import runners
from harness.engines import Engine
from harness.engines.choice import choose
from harness.inside import tarpipe
from harness.inside.layout import Avatar
from harness.katas.visible import VisibleFiles
from harness.measure.trees import TypicalTree
from harness.measure.trials import FLOOR
from harness.runners.katas_data_container import KatasDataContainer
from harness.runners.katas_volume import KatasVolume
from scenarios.measuring import growth, measure, ratios
from scenarios.streaming import LIMIT_SECONDS, pass_on

COLD = KatasDataContainer.name
WARM, SEEDED = f"{COLD}:standby=warm", f"{COLD}:standby=seeded"
VOLUME = KatasVolume.name
LARGE = "size=160MB,files=2000"
ROUNDS = 5
HOST = "tar | tar on the host"


def test_on_docker(docker: Engine, figure: Callable[[str], None]) -> None:
    """Compared with bare make and the volume mount, and on a growing tree."""
    small = measure(docker, TypicalTree(), VOLUME, COLD, WARM, SEEDED)
    facts = docker.describe()
    figure(
        f"{facts['engine']}, storage driver {facts['storage driver']}, typical tree, incremental"
    )
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
    """Compared with bare make, which also waits in a shell."""
    with closing(choose("local").engine) as engine:
        samples = measure(engine, TypicalTree(), SEEDED)
    figure(f"local, {ratios(samples, SEEDED, FLOOR)}; at most 1.2")


def test_the_tar_pipe_alone(docker: Engine, figure: Callable[[str], None], tmp_path: Path) -> None:
    """The phases that pipe a built tree of 160 MB, compared with `tar | tar` on the host.

    They run on Docker and on the local engine, which has everything but Docker's streams. Each
    engine's streams are also timed alone.
    """
    with closing(choose("local").engine) as local:
        for engine in (docker, local):
            seconds = _piped(engine, tmp_path / engine.name)
            on_the_host = seconds.pop(HOST)
            figure(f"{engine.name}: tar | tar of 160 MB on the host: {on_the_host:.2f} s")
            for what, spent in seconds.items():
                figure(
                    f"{engine.name}: {what} of 160 MB to tar | tar on the host: "
                    f"{spent / on_the_host:.2f}, at most 1.5"
                )


def _piped(engine: Engine, folder: Path) -> dict[str, float]:
    """Return the median seconds of each way to carry a tree; every round takes each way once."""
    tree = TypicalTree(LARGE)
    tree.write(folder / "tree")
    files = VisibleFiles.from_folder(folder / "tree")
    seconds: dict[str, list[float]] = {}
    volume = f"floor-{secrets.token_hex(4)}"
    engine.create_volume(volume, temporary=True)
    try:
        with closing(runners.parse_variant(COLD).open(engine)) as runner:
            assert runner.run(Avatar(), files, max_seconds=LIMIT_SECONDS).tag == 1
            built = folder / "built.tar"
            with closing(runner.katas.event(Avatar())) as event, built.open("wb") as archive:
                size = event.pack(archive.write)
            (folder / "built").mkdir()
            with built.open("rb") as archive:
                tarpipe.unpack(str(folder / "built"), tarpipe.read_chunks(archive))
            for number in range(1, ROUNDS + 1):
                edit = tree.edit(number)
                files = files.edited(edit.path, edit.content)
                run = runner.run(Avatar(), files, max_seconds=LIMIT_SECONDS)
                assert run.stdout.strip() == edit.answer
                for phase in run.phases:
                    if phase.kind in ("pipe_in", "pipe_out"):
                        assert phase.bytes_in + phase.bytes_out > 0.95 * size > 150e6
                        seconds.setdefault(phase.kind.replace("_", " "), []).append(
                            phase.nanoseconds / 1e9
                        )
                seconds.setdefault("the streams alone", []).append(
                    pass_on(engine, size, volume=volume)
                )
                seconds.setdefault(HOST, []).append(
                    _tar_to_tar(folder / "built", folder / f"target-{number}")
                )
    finally:
        engine.remove_volume(volume)
    assert {len(rounds) for rounds in seconds.values()} == {ROUNDS}
    return {what: statistics.median(rounds) for what, rounds in seconds.items()}


def _tar_to_tar(tree: Path, target: Path) -> float:
    """Return the seconds that `tar | tar` takes."""
    target.mkdir()
    started = time.monotonic()
    script = 'tar -cf - -C "$1" . | tar -xf - -C "$2"'
    subprocess.run(["sh", "-c", script, "sh", str(tree), str(target)], check=True)
    return time.monotonic() - started
