"""A runner that is closed in the middle, or forked: nothing is left, nobody hangs, and each gets an
answer.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from harness.engines import Engine
from harness.inside.errors import HarnessError, UsageError
from harness.inside.layout import Avatar
from harness.runners.base import BaseRunner
from harness.runners.run import Run
from tests import ROOT
from tests.support import (
    PATIENCE,
    an_avatar,
    eventually,
    make_runner,
    one_line,
    play,
    running,
    script,
)

once = pytest.mark.parametrize("shared_engine", ["local", "docker26"], indirect=True)
everywhere = pytest.mark.parametrize(
    "shared_engine", ["local", "local-plain", "docker26"], indirect=True
)
RUNNERS = (
    "tmp",
    "katas-volume",
    "katas-data-container",
    "katas-data-container:standby=seeded",
    "katas-overlay",
)


def make(name: str, engine: Engine) -> BaseRunner:
    kind, _, options = name.partition(":")
    return make_runner(kind, engine, **dict(each.split("=") for each in options.split(",") if each))


@pytest.fixture
def marker() -> str:
    """A number of seconds that no other test sleeps."""
    return f"1000.0{os.getpid()}"


@everywhere
@pytest.mark.parametrize("name", RUNNERS)
def test_closing_ends_a_test_event_with_an_error_of_one_line(
    shared_engine: Engine, name: str, marker: str, temporary: Path
) -> None:
    """One that runs, and one that waits for it: neither is accepted, and nothing of them is left,
    nor of the katas.
    """
    volumes, traces = set(shared_engine.volumes()), set(shared_engine.traces())
    runner = make(name, shared_engine)
    avatar = an_avatar()
    with ThreadPoolExecutor(2) as players:
        press: Callable[[], Future[Run]] = lambda: players.submit(  # noqa: E731
            runner.run, avatar, script(f"echo begun; sleep {marker}"), max_seconds=PATIENCE
        )
        runs = [press()]
        eventually(lambda: running(f"sleep\0{marker}"), "the run begins")
        runs.append(press())
        runner.close()
        for each in runs:
            error = each.exception(PATIENCE)
            assert isinstance(error, HarnessError), each.result()
            one_line(error)
    eventually(lambda: not running(f"sleep\0{marker}"), "the run ends")
    eventually(lambda: set(shared_engine.traces()) <= traces, "nothing of it is left")
    assert set(shared_engine.volumes()) <= volumes
    assert not list(temporary.rglob("katas-*"))
    with pytest.raises(UsageError, match="is closed"):
        runner.run(avatar, script("true"))
    runner.close()


@once
def test_a_test_event_that_closes_its_own_runner_ends(shared_engine: Engine) -> None:
    """It hands out its output, and whoever gets it has had enough: nobody waits for himself."""
    runner = make_runner("katas-data-container", shared_engine, standby="seeded")
    with pytest.raises(HarnessError) as ended:
        runner.run(
            an_avatar(), script("echo 1"), max_seconds=60, on_output=lambda output: runner.close()
        )
    one_line(ended.value)


@once
def test_closing_the_engine_first_leaves_nothing_either(
    request: pytest.FixtureRequest,
    shared_engine: Engine,
    open_engine: Callable[[str], Engine],
    marker: str,
) -> None:
    """A run goes on to its end, and its folder goes with it; another one is refused in one line."""
    engine = open_engine(request.node.callspec.params["shared_engine"])
    with (
        closing(make_runner("katas-data-container", engine)) as runner,
        ThreadPoolExecutor(1) as player,
    ):
        run = player.submit(runner.run, an_avatar(), script(f"sleep {marker}"), max_seconds=2)
        eventually(lambda: running(f"sleep\0{marker}"), "the run begins")
        engine.close()
        assert run.exception(PATIENCE) is None or isinstance(run.exception(), HarnessError)
    eventually(lambda: not running(f"sleep\0{marker}"), "the run ends")
    if engine.name == "local":  # the other one takes no more questions
        eventually(lambda: not engine.traces(), "nothing is left")


FORKS = """
import atexit, os, sys, threading, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from tests.machine import make_engine
from harness.inside.errors import HarnessError, UsageError
from harness.inside.layout import Avatar
from contextlib import closing
from harness import runners

kind, home, how = sys.argv[1:]
engine = make_engine(kind, Path(home))
variant = runners.parse_variant("katas-data-container:standby=seeded")
files = {"cyber-dojo.sh": "#!/bin/sh\\necho $$ >>made; wc -l <made"}

def fork(runner):
    for attempt in (lambda: runner.run(Avatar(), files), lambda: runner.prepare(Avatar()), runner.katas.list):
        try:
            attempt()
        except UsageError as error:
            assert "open another one after the fork" in str(error), error
        else:
            raise AssertionError("it must not work")
    with closing(variant.open(make_engine(kind, Path(home)), None)) as own:
        assert own.run(Avatar(), files, max_seconds=60).stdout == "1\\n"

with closing(engine), closing(variant.open(engine, None)) as runner:
    atexit.register(lambda: (runner.close(), engine.close()))
    assert runner.run(Avatar(), files, max_seconds=60).stdout == "1\\n"
    child = os.fork()
    if not child:
        fork(runner)
        if how == "leaves the block":
            sys.exit(0)
        if how == "closes":
            runner.close(), engine.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert runner.run(Avatar(), files, max_seconds=60).stdout == "2\\n"
    runner.prepare(Avatar())
    assert runner.run(Avatar(), files, max_seconds=60).stdout == "3\\n"
    left = set(engine.traces())
    assert left
assert not set(engine.traces()) or kind != "local"
print("played on")
"""


@once
@pytest.mark.parametrize("how", ["leaves the block", "closes", "ends"])
def test_a_fork_is_told_and_the_parent_plays_on(
    request: pytest.FixtureRequest, shared_engine: Engine, tmp_path: Path, how: str
) -> None:
    """Whatever the fork does with what it has a copy of, and though it opens a runner of its
    own.
    """
    kind = request.node.callspec.params["shared_engine"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FORKS, kind, str(tmp_path), how]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "played on\n"), done.stderr


_forked: list[BaseRunner] = []


def _press(number: int) -> str:
    return _forked[0].run(Avatar(), script(f"echo {number}")).stdout


@pytest.mark.parametrize("shared_engine", ["local"], indirect=True)
def test_a_pool_of_forked_processes_tells_its_parent(shared_engine: Engine) -> None:
    """The error crosses to whoever waits for the answer."""
    with closing(make_runner("katas-data-container", shared_engine)) as runner:
        _forked[:] = [runner]
        with multiprocessing.get_context("fork").Pool(2) as pool:
            for answer in [pool.apply_async(_press, (number,)) for number in range(4)]:
                with pytest.raises(UsageError, match="open another one after the fork"):
                    answer.get(PATIENCE)
        assert play(runner, Avatar(), "echo parent").stdout == "parent\n"


@pytest.fixture
def worker() -> Iterator[Callable[[], None]]:
    """Forks a process that lives on, as a worker does, and holds copies of all that was open
    then.
    """
    children: list[int] = []
    ours, theirs = os.pipe()

    def fork() -> None:
        child = os.fork()
        if not child:
            os.close(theirs)
            os.read(ours, 1)
            os._exit(0)
        children.append(child)

    yield fork
    os.close(theirs)
    os.close(ours)
    for each in children:
        os.waitpid(each, 0)


@once
def test_a_fork_that_lives_on_keeps_nothing_alive(
    shared_engine: Engine, worker: Callable[[], None]
) -> None:
    """Forked while a run was under way: its parent's containers, keepers and locks go all the
    same.
    """
    traces = set(shared_engine.traces())
    with closing(make_runner("katas-data-container", shared_engine, standby="seeded")) as runner:
        avatar = an_avatar()
        forked = threading.Event()

        def fork(output: object) -> None:
            worker()
            forked.set()

        runner.run(avatar, script("echo 1"), max_seconds=60, on_output=fork)
        assert forked.is_set()
        assert play(runner, avatar, "echo 2").stdout == "2\n"
        runner.prepare(avatar)
    eventually(lambda: set(shared_engine.traces()) <= traces, "all of it goes")
