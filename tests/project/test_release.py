"""What a release would be made of: the archives, the version, the changelog."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass

import pytest

import harness
from tests import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@dataclass(frozen=True)
class Archives:
    """The names of what is in them, each below the archive's own top folder."""

    wheel: set[str]
    source: set[str]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    """As `.ci/release` builds them."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as zipped, tarfile.open(source) as tar:
        names = {each.name.partition("/")[2] for each in tar.getmembers() if not each.isdir()}
        return Archives(set(zipped.namelist()), names)


def tracked(*options: str) -> set[str]:
    """Files of the checkout; the test is skipped where it is none."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    done = subprocess.run(
        ["git", "ls-files", "-z", *options], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: set[str] = set()
    for name in filter(None, done.stdout.split("\0")):
        if (ROOT / name).is_dir():  # a link to a folder, which is in the archive as the folder
            found |= {f"{name}/{each}" for each in os.listdir(ROOT / name)}
        elif (ROOT / name).exists():
            found.add(name)
    return {name for name in found if "__pycache__" not in name}


def test_the_wheel_has_the_package_and_its_fixtures(archives: Archives) -> None:
    """All of both, and nothing else but what pip needs."""
    described = {name for name in archives.wheel if ".dist-info/" in name}
    assert archives.wheel - described >= {
        name.replace("fixtures/", "harness/_fixtures/", 1) if name.startswith("fixtures") else name
        for name in tracked("harness", "fixtures")
    }
    assert {name.partition("/")[0] for name in archives.wheel - described} == {"harness"}


def test_the_source_archive_has_what_is_tracked(archives: Archives) -> None:
    """The notebooks and what they read too: the tests and the documentation can be made of it."""
    assert tracked() <= archives.source
    assert archives.source <= tracked() | tracked("--others", "--exclude-standard") | {"PKG-INFO"}
    assert "notebooks/mtimes.py" in archives.source


def test_the_version_is_told_in_one_place() -> None:
    """In pyproject.toml; whoever else needs it asks for that of what is installed."""
    assert harness.__version__ == VERSION
    for path in (ROOT / "harness").rglob("*.py"):
        assert VERSION not in path.read_text(), path


def test_each_section_of_the_changelog_is_a_version_with_its_date() -> None:
    """But for the first, which has what will be in the next one."""
    first, *others = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", each) for each in others)
