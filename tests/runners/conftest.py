"""Runners for the tests: every test that takes `runner` runs with each one on each engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from harness import runners
from harness.engines import Engine
from harness.inside.errors import EngineError
from harness.inside.layout import Avatar
from harness.runners.base import BaseRunner
from tests.support import an_avatar, make_runner


@pytest.fixture(scope="module", params=[each.name for each in runners.BUILT_IN])
def runner(request: pytest.FixtureRequest, shared_engine: Engine) -> Iterator[BaseRunner]:
    """Each runner on each engine, with katas that the tests of a module share: each test has
    avatars of its own.
    """
    try:
        opened = make_runner(request.param, shared_engine, observe=True)
    except EngineError as error:
        pytest.skip(str(error))
    with closing(opened):
        yield opened


@pytest.fixture
def avatar() -> Avatar:
    return an_avatar()


@pytest.fixture
def open_runner() -> Iterator[Callable[..., BaseRunner]]:
    """Opens a runner of the test's own, closed with it."""
    with ExitStack() as opened:
        yield lambda *arguments, **options: opened.enter_context(
            closing(make_runner(*arguments, **options))
        )
