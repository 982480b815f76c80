"""What a newcomer reads leads somewhere: links, and the files that CONTRIBUTING names."""

from __future__ import annotations

import re
import tomllib
from pydoc import locate

import pytest

from tests import ROOT

LINK = re.compile(r"(?<!!)\[[^]]*\]\(([^)#\s]+)(?:#[^)]*)?\)|(?:src|srcset)=\"([^\"]+)\"")
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "scenarios/*/README.md", "results/**/README.md")
    for path in ROOT.glob(pattern)
)
FRONT_LINES = 90
"""Two screens."""


@pytest.mark.parametrize("page", [str(each.relative_to(ROOT)) for each in PAGES])
def test_each_link_within_the_project_leads_to_a_file(page: str) -> None:
    """With its suffix, or without that of a page or a notebook, as the documentation links."""
    folder = (ROOT / page).parent
    for found in LINK.finditer((ROOT / page).read_text()):
        target = found[1] or found[2]
        if "://" not in target:
            assert any((folder / f"{target}{end}").exists() for end in ("", ".md", ".py")), target


def test_the_readme_is_two_screens() -> None:
    """All else is in the documentation."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= FRONT_LINES


def test_the_wings_of_contributing_are_those_of_the_contract() -> None:
    """In its order, from the top down."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    page = (ROOT / "CONTRIBUTING.md").read_text()
    wings = re.findall(r"^\| `harness/(\w+)/` \|", page, re.MULTILINE)
    assert wings == contract["contracts"][0]["layers"]


def test_each_file_that_contributing_names_is_there() -> None:
    """But for those that are to be made: they have NAME in theirs."""
    named = re.findall(
        r"`((?:harness|tests|docs|results|fixtures)/[\w./-]+)`",
        (ROOT / "CONTRIBUTING.md").read_text(),
    )
    assert named
    assert [each for each in named if "NAME" not in each and not (ROOT / each).exists()] == []


@pytest.mark.parametrize("page", [str(each.relative_to(ROOT)) for each in PAGES])
def test_each_module_that_a_page_names_is_there(page: str) -> None:
    """The name is a module's, or that of something in one."""
    if page == "CHANGELOG.md":
        return  # it also has names of the past
    named = re.findall(r"\bharness\.\w+\.\w+(?:\.\w+)*", (ROOT / page).read_text())
    assert [each for each in named if locate(each) is None] == []
