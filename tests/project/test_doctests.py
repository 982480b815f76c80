"""The examples in the documentation of what analyses results are run, on the recordings that they
name.
"""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

from tests import ROOT

MODULES = (
    "harness.report.analysis.findings",
    "harness.report.analysis.palette",
    "harness.report.analysis.plots.samples",
    "harness.report.analysis.tradeoffs",
    "harness.report.export",
    "harness.runners.library",
    "harness.measure.results",
    "harness.measure.stats",
    "harness.measure.units",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gives what it shows; there is at least one."""
    monkeypatch.chdir(ROOT)
    failed, tried = doctest.testmod(import_module(name))
    assert tried
    assert not failed
