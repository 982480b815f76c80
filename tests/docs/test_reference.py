"""The reference has all commands, columns, scenarios and metrics."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import harness
from harness.cli.entry import make_parser
from harness.measure.metrics import METRICS
from harness.measure.trials.scenario import SCENARIOS
from tests import ROOT

REFERENCE = ROOT / "docs" / "reference"
SECTION = re.compile(r"^#{2,4} (harness .*)\n\n```{program-output} (.*)\n```$", re.MULTILINE)
"""A command, under its name; Sphinx puts what it prints there, so that no option can be missing."""


def commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    """What has a help of its own, below the parser's, in the order of the help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield each.prog
                yield from commands(each)


def test_each_command_and_verb_has_a_section_with_its_own_help() -> None:
    """In the order of the help; the page begins with the help of all."""
    page = (REFERENCE / "cli.md").read_text()
    assert "```{program-output} harness --help\n" in page
    assert SECTION.findall(page) == [(name, f"{name} --help") for name in commands(make_parser())]


def named(page: str) -> set[str]:
    """What the first column of the page's tables names."""
    cells = [
        line.split("|")[1]
        for line in (REFERENCE / page).read_text().splitlines()
        if line.startswith("| `")
    ]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_each_column_and_scenario_of_a_result_is_explained() -> None:
    """And nothing that is none."""
    frame = harness.load_results(ROOT / "results" / "recordings" / "typical-docker.jsonl")
    assert named("results.md") == {*frame.columns, *SCENARIOS, "scenario"}


def test_each_metric_of_a_budget_is_explained() -> None:
    """And nothing that is none."""
    assert named("budgets.md") == set(METRICS)
