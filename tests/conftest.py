"""Engines for the tests: every test that takes `engine` runs on each one that this machine has."""

from __future__ import annotations

import signal
import tempfile
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.engines import Engine
from harness.engines.docker.engine import DockerEngine
from harness.inside.disk import remove_tree
from tests.machine import ENGINES, make_engine, missing

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in the background of a script: whatever a test starts would ignore ctrl-C, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def open_engine(tmp_path: Path) -> Callable[[str], Engine]:
    """Opens an engine by its name in ENGINES, or skips the test and says why; the caller closes
    it.
    """

    def open_it(name: str) -> Engine:
        if reason := missing(name):
            pytest.skip(f"no engine {name} here: {reason}")
        return make_engine(name, tmp_path / "home")

    return open_it


@pytest.fixture(params=ENGINES)
def engine(
    request: pytest.FixtureRequest, open_engine: Callable[[str], Engine]
) -> Iterator[Engine]:
    """Each engine in turn."""
    with closing(open_engine(request.param)) as opened:
        yield opened


@pytest.fixture(params=["docker", "docker26"])
def docker_engine(
    request: pytest.FixtureRequest, open_engine: Callable[[str], Engine]
) -> Iterator[DockerEngine]:
    """Each Docker engine in turn."""
    with closing(open_engine(request.param)) as opened:
        assert isinstance(opened, DockerEngine)
        yield opened


@pytest.fixture(scope="module", params=ENGINES)
def shared_engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """Each engine in turn, for a whole module: an engine holds nothing of a test event that has
    ended.
    """
    if reason := missing(request.param):
        pytest.skip(f"no engine {request.param} here: {reason}")
    with closing(make_engine(request.param, tmp_path_factory.mktemp("home"))) as opened:
        yield opened


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, of the test's own; everybody may enter it, unlike
    `tmp_path`.
    """
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    remove_tree(folder)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one short table what was skipped, how often, and what would let it run."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
    )
    if not reasons:
        return
    terminalreporter.section(f"skipped: {reasons.total()}")
    for reason, count in reasons.most_common():
        lines = textwrap.wrap(reason, 72) or ["no reason was given"]
        terminalreporter.line(f"{count:>6}  {lines[0]}")
        for line in lines[1:]:
            terminalreporter.line(f"        {line}")
