"""A comparison over the workers of a real cluster, one of which is killed, and what a user sees
when there is none.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import harness
from harness.cli import main
from harness.measure.results import read_result
from tests.machine import DOCKER26, missing
from tests.support import eventually

NOWHERE = "unix:///nonexistent/docker.sock"
BLOCKS = 45

Starter = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(temporary: Path) -> Iterator[Starter]:
    """Starts a program of this environment in a folder of its own; all of them end with the
    test.
    """
    with ExitStack() as stack:

        def start_it(name: str, *words: str, **environment: str) -> subprocess.Popen[str]:
            folder = temporary / name
            folder.mkdir()
            folder.chmod(0o755)
            with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
                child = subprocess.Popen(
                    [str(Path(sys.executable).parent / words[0]), *words[1:]],
                    env={
                        **os.environ,
                        "HARNESS_HOME": str(folder),
                        "TMPDIR": str(folder),
                        **environment,
                    },
                    stdout=out,
                    stderr=err,
                    text=True,
                    cwd=folder,
                )
            stack.callback(child.wait)
            stack.callback(child.kill)
            return child

        yield start_it


@pytest.fixture
def scheduler(start: Starter, temporary: Path) -> str:
    """The address of a scheduler without workers."""
    file = temporary / "scheduler.json"
    start(
        "scheduler",
        *("dask", "scheduler", "--host", "127.0.0.1", "--port", "0"),
        *("--no-dashboard", "--scheduler-file", str(file)),
    )
    eventually(
        lambda: file.exists() and file.read_text().endswith("}"), "the scheduler has started"
    )
    return str(json.loads(file.read_text())["address"])


def worker(start: Starter, name: str, scheduler: str, **environment: str) -> subprocess.Popen[str]:
    """A worker in a process of its own, which nobody starts again."""
    return start(
        name,
        *("dask", "worker", scheduler, "--no-nanny", "--nthreads", "1", "--no-dashboard"),
        **environment,
    )


@pytest.fixture
def docker() -> str:
    """The socket of a Docker engine."""
    if not missing("docker26"):
        return os.environ[DOCKER26]
    if reason := missing("docker"):
        pytest.skip(f"no second engine here: {reason}")
    return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of the user's own, which is not on the workers until it is sent there."""
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "cyber-dojo.sh").write_text("#!/bin/sh\nmake -s && wc -c <built\n")
    (folder / "cyber-dojo.sh").chmod(0o755)
    (folder / "Makefile").write_text("built: source\n\tcp source built\n")
    (folder / "source").write_text("one\n")
    return folder


def test_blocks_are_spread_and_outlive_a_machine_that_is_killed(
    start: Starter, scheduler: str, docker: str, tree: Path, temporary: Path
) -> None:
    """Each block is one machine's, whole; all blocks that were asked for are played, those included
    that the dead machine had begun; the result says who played what.
    """
    doomed = worker(start, "docker", scheduler, DOCKER_HOST=docker)
    worker(start, "local", scheduler, DOCKER_HOST=NOWHERE)
    eventually(
        lambda: all(
            "Registered to" in (temporary / name / "stderr").read_text()
            for name in ("docker", "local")
        ),
        "both workers are there",
    )
    out = temporary / "r.jsonl"
    front = start(
        "front",
        *("harness", "compare", "--dask", scheduler, "--tree", str(tree), "--edit", "source"),
        *("--runner", "katas-volume", "--blocks", str(BLOCKS), "--out", str(out)),
        COLUMNS="250",
        DOCKER_HOST=NOWHERE,
    )

    def told() -> list[str]:
        return (temporary / "front" / "stderr").read_text().splitlines()

    eventually(
        lambda: (
            any(line.startswith("blocks") and "(docker" in line for line in told())
            or front.poll() is not None
        ),
        "the doomed machine has played some blocks",
    )
    assert front.poll() is None, "\n".join(told())
    doomed.send_signal(signal.SIGKILL)
    assert front.wait(200) == 0, "\n".join(told())

    said = "\n".join(told())
    assert "its unfinished job goes to another machine" in said
    assert "the machines differ in their storage driver" in said
    assert "engines of one computer" in said
    recording = read_result(out)
    assert recording.complete
    engines = {
        name: facts["engine"]["engine"] for name, facts in recording.facts["machines"].items()
    }
    assert sorted(each.partition(" ")[0].rstrip(",") for each in engines.values()) == [
        "docker",
        "local",
    ]
    blocks: dict[int, set[str]] = {}
    for each in recording.samples:
        blocks.setdefault(each.block, set()).add(each.machine)
        assert each.right
    assert all(len(machines) == 1 for machines in blocks.values())
    assert set.union(*blocks.values()) == set(engines)
    rounds = [each for each in recording.samples if each.scenario == "incremental"]
    assert len(rounds) == 2 * BLOCKS
    frame = harness.load_results(out)
    assert frame.groupby("machine")["engine"].nunique().tolist() == [1, 1]
    table = (temporary / "front" / "stdout").read_text()
    assert all(name in table for name in engines)


def test_proofs_are_spread_over_workers_by_their_engine(
    start: Starter, scheduler: str, temporary: Path
) -> None:
    """The matrix is the same as on one machine, in the same order, whoever finished first."""
    worker(start, "local", scheduler, DOCKER_HOST=NOWHERE)
    eventually(
        lambda: "Registered to" in (temporary / "local" / "stderr").read_text(),
        "the worker is there",
    )
    out = temporary / "r.json"
    names = ("timed-out", "no-missed-edit")
    status, said = run(
        *("verify", "--dask", scheduler, "--runner", "katas-volume", "--json", str(out)),
        *(word for name in names for word in ("--property", name)),
    )
    found = json.loads(out.read_text())
    assert [each["property"] for each in found["findings"]] == list(names)
    assert {each["engine"] for each in found["findings"]} == {"local"}
    assert all(each["as_claimed"] for each in found["findings"]), said
    assert found["complete"]
    assert set(found["engines"]) == {"local"}
    assert status == 0


def run(*arguments: str) -> tuple[int, str]:
    """The exit status of a command in a process of its own, and what it said on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip()


@pytest.mark.parametrize("command", [("compare", "--tree", "typical"), ("doctor",)])
def test_a_scheduler_that_is_not_there_is_one_line(command: tuple[str, ...]) -> None:
    """Whether nobody listens, or it is no address at all; nobody waits for long."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for address in (
        f"tcp://127.0.0.1:{port}",
        "nowhere",
        "tcp://127.0.0.1:port",
        "http://127.0.0.1:1",
    ):
        status, said = run(*command, "--dask", address)
        assert status == 2
        assert said.startswith(f"harness: no Dask scheduler answers at {address} (")
        assert "\n" not in said


def test_a_scheduler_without_workers_and_workers_without_an_engine(
    start: Starter, scheduler: str, temporary: Path
) -> None:
    """One line that says what to do, and what the worker lacks."""
    status, said = run("compare", "--dask", scheduler)
    assert status == 2
    assert "has no workers" in said
    worker(start, "bare", scheduler, DOCKER_HOST=NOWHERE)
    eventually(
        lambda: "Registered to" in (temporary / "bare" / "stderr").read_text(),
        "the worker is there",
    )
    status, said = run("compare", "--dask", scheduler, "--engine", "docker")
    assert status == 2
    assert "cannot be used: no Docker engine answers" in " ".join(said.split())
    assert said.splitlines()[-1].startswith("harness: no worker at")
    done = subprocess.run(
        [sys.executable, "-m", "harness", "doctor", "--dask", scheduler, "--json", "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    (found,) = json.loads(done.stdout).values()
    assert found["machine"]["engine"]["engine"].startswith("local")
    assert found["verdict"].startswith("Ready")


def test_without_the_extra_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(("doctor", "--dask", "tcp://127.0.0.1:8786")) == 2
    assert "pip install 'tarpipe-harness[dask]'" in capsys.readouterr().err
