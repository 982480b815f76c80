"""The reference of the command line has all of it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from harness.cli import make_parser

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
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
    page = PAGE.read_text()
    assert "```{program-output} harness --help\n" in page
    assert SECTION.findall(page) == [(name, f"{name} --help") for name in commands(make_parser())]
