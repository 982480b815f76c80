"""harness bisect as a user types it, on a small repository with a harness whose speed is known."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.cli import main
from harness.measure.results import read_result
from tests.gate.projects import write_project

HARNESS = '''
"""A harness that says how long a test event took, and plays none."""
import random
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.speed import SPEED

@dataclass(frozen=True)
class Run:
    outcome: str
    status: int
    stdout: str
    stderr: str
    truncated: bool
    tag: int
    phases: tuple
    nanoseconds: int

@dataclass(frozen=True)
class Avatar:
    name: str

@dataclass(frozen=True)
class Limits:
    event_seconds: float

class VisibleFiles(dict):
    @classmethod
    def from_folder(cls, folder):
        return cls({each.name: each.read_text() for each in Path(folder).iterdir()})

class Runner:
    def run(self, avatar, files, max_seconds):
        if not SPEED:
            raise RuntimeError("no speed at all")
        took = SPEED * random.uniform(0.98, 1.02)
        return Run("completed", 0, files["built.c"], "", False, 1, (), int(took * 1e8))

    def prepare(self, avatar):
        pass

@contextmanager
def open_runner(name, *, engine, image, command, limits):
    yield Runner()
'''

SPEEDS = (1.0, 1.0, None, 0, 1.3, 1.3, 1.7)
"""How long each commit takes. None cannot be installed, and of 0 each test event fails."""


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a commit for each of SPEEDS, tagged c0, c1, ..., beside a cache."""
    folder = tmp_path_factory.mktemp("bisect") / "repository"
    (folder / "harness").mkdir(parents=True)
    (folder / "harness" / "__init__.py").write_text(HARNESS)
    write_project(folder)
    git(folder, "init", "-q")
    for number, speed in enumerate(SPEEDS):
        (folder / "harness" / "speed.py").write_text(f"SPEED = {speed}\n# {number}\n")
        (folder / "broken").unlink(missing_ok=True)
        if speed is None:
            (folder / "broken").touch()
        git(folder, "add", "--all")
        git(folder, "commit", "-q", "-m", f"change {number}")
        git(folder, "tag", f"c{number}")
    return folder


@pytest.fixture
def repository(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """It is the current folder, and pip looks nothing up."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(made.parent / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def tree(tmp_path: Path) -> tuple[str, ...]:
    """The options for a tree that bare make builds at once."""
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "cyber-dojo.sh").write_text("#!/bin/sh\ncp built.c built.o && cat built.o\n")
    (folder / "cyber-dojo.sh").chmod(0o755)
    (folder / "built.c").write_text("one\n")
    return ("--tree", str(folder), "--edit", "built.c", "--engine", "local")


def commits(repository: Path, *tags: str) -> list[str]:
    """As they are shown."""
    return [git(repository, "rev-parse", tag)[:12] for tag in tags]


def test_the_commit_is_found_and_named(
    repository: Path,
    tree: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the ratio to the commit before it; each gate is a result file."""
    out = tmp_path / "gates"
    assert main(("bisect", "c4", "c6", "--runner", "tmp", "--out", str(out), *tree)) == 0
    said = capsys.readouterr()
    good, before, culprit = commits(repository, "c4", "c5", "c6")
    assert f"{culprit} (change 6) made it slower: 1." in said.out
    assert f"times {before} (change 5)" in said.out
    assert f"To see it again: harness bisect {before} {culprit} --runner tmp --tree" in said.out
    assert "2 commits after" in said.err
    results = [read_result(path) for path in sorted(out.iterdir())]
    played = [(culprit, good), (before, good), (culprit, before)]
    assert [each.facts["runners"] for each in results] == [
        [f"tmp@{one}", f"tmp@{other}"] for one, other in played
    ]
    assert [each.facts["against"] for each in results] == [f"tmp@{each}" for _, each in played]
    assert all(each.complete for each in results)
    assert results[-1].facts["project"] == {"commit": git(repository, "rev-parse", "c6")}


def test_a_range_is_left_where_commits_cannot_be_timed(
    repository: Path, tree: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reason of each stands beside it: pip's, or that of the test event. No environment is
    left but those of commits that the answer names.
    """
    assert main(("bisect", "c0", "c5", "--out", str(tmp_path / "gates"), *tree)) == 3
    out = capsys.readouterr().out
    assert "One of these 3 commits made it slower:" in out
    assert "(change 2), left out: " in out
    assert "RuntimeError: this commit cannot be built" in out
    assert "(change 3), left out: a test event failed: " in out
    assert "no speed at all" in out
    assert "notice" not in out
    cache = repository.parent / "cache" / "harness" / "revisions"
    kept = {path.name.split("-")[1] for path in cache.glob("*/")}
    assert kept >= set(commits(repository, "c0", "c1", "c4", "c5"))
    assert not kept & set(commits(repository, "c2", "c3"))


def test_two_equal_versions_end_it(
    repository: Path, tree: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """After one gate, whose result is kept where results are."""
    assert main(("bisect", "c4", "c5", *tree)) == 1
    assert "is not slower than" in capsys.readouterr().out
    assert [path.name for path in repository.glob("results/bisect-local-*/*")] == ["1.jsonl"]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of exit status 2."""
    capsys.readouterr()
    assert main(("bisect", *arguments)) == 2
    (line,) = [
        each for each in capsys.readouterr().err.splitlines() if each.startswith("harness: ")
    ]
    return line


def test_what_cannot_be_bisected_is_refused(
    repository: Path,
    tree: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In one line, with what to do, and before anything is measured."""
    git(tmp_path, "clone", "-q", str(repository), "own")
    folder = tmp_path / "own"
    monkeypatch.chdir(folder)
    git(folder, "checkout", "-q", "-b", "aside", "c0")
    git(folder, "commit", "-q", "--allow-empty", "-m", "aside")
    for given, words in (
        (("c0", "nope"), "fatal: bad revision 'nope'"),
        (("c0", "c0"), "c0 and c0 are the same commit"),
        (("c1", "c0"), "c1 is not an ancestor of c0; give the older one first"),
        (("aside", "c1"), "aside is not an ancestor of c1"),
        (("c0", "c1", "--runner", "nope"), "there is no runner nope"),
        (("c0", "c2"), "RuntimeError: this commit cannot be built"),
        (("c0", "c1", "--out", str(tmp_path)), "already exists"),
    ):
        assert words in refused(capsys, *given, *tree)
    git(tmp_path, "clone", "-q", "--depth=1", folder.as_uri(), "shallow")
    monkeypatch.chdir(tmp_path / "shallow")
    assert "this clone is shallow" in refused(capsys, "HEAD~1", "HEAD", *tree)
    monkeypatch.chdir(tmp_path)
    assert "not a git repository" in refused(capsys, "a", "b", *tree)
    assert not (tmp_path / "results").exists()
