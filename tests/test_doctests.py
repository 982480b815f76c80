"""The examples in the documentation of what analyses results are run, on the recordings that they name."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

MODULES = (
    "harness.analysis.findings",
    "harness.analysis.palette",
    "harness.analysis.plots",
    "harness.analysis.tradeoffs",
    "harness.export",
    "harness.library",
    "harness.results",
    "harness.stats",
    "harness.units",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gives what it shows; there is at least one."""
    monkeypatch.chdir(Path(__file__).parents[1])
    failed, tried = doctest.testmod(import_module(name))
    assert tried
    assert not failed
