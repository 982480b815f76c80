"""Prints the figures that scenarios measure at the end; they are for people, and never asserted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from harness.engines import Engine
from harness.engines.choice import choose
from harness.inside.errors import EngineError

FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that adds a line to the figures."""
    return request.config.stash.setdefault(FIGURES, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = terminalreporter.config.stash.get(FIGURES, [])
    if figures:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def docker() -> Iterator[Engine]:
    """Open the engine of DOCKER_HOST, with its images."""
    try:
        engine = choose("docker").engine
    except EngineError as error:
        pytest.skip(f"no Docker here: {error}")
    with closing(engine):
        yield engine
