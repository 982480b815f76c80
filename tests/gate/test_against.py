"""What a runner is compared with: how a base is found, and that a version from before the gate can
be one.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.engines import Limits
from harness.gate.against import find_base
from harness.inside.errors import EngineError, UsageError
from harness.katas.visible import VisibleFiles
from harness.measure.trials.remote import Opening, RemoteArm
from harness.runners.run import Outcome, Phase
from tests.gate.projects import write_project
from tests.support import one_line

HEAD = "katas-data-container"
SOMEBODY = 65533

OLD = '''
"""A harness of long ago: nothing but the front door, and runs that lack what came later."""
import os, sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

@dataclass(frozen=True)
class Phase:
    kind: str
    step: str
    nanoseconds: int
    gone: str = "a field that later versions have no more"

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
        print("a stray word on stdout")
        if files["source"] == "fall over":
            raise ValueError("cannot\\nbuild that")
        if files["source"] == "die":
            os._exit(9)
        said = f"{avatar.name} {files['source']} {max_seconds:g}"
        return Run("completed", 0, said, "", False, 1, (Phase("run", "<<RUN>>", 5),), 7)

    def prepare(self, avatar):
        Path(f"prepared-{avatar.name}").touch()

@contextmanager
def open_runner(name, *, engine, image, command, limits):
    if name != "katas-data-container":
        raise KeyError(name)
    yield Runner()
    Path("closed").touch()
'''

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.0.1"

[tool.hatch.build.targets.wheel]
packages = ["harness"]
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One in which the tag `old` is a harness of long ago, and `none` no project at all; with a
    cache of its own.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "repository"
    (folder / "harness").mkdir(parents=True)
    (folder / "README").write_text("nothing yet\n")
    git(folder, "init", "-q")
    commit(folder, "none")
    (folder / "pyproject.toml").write_text(PROJECT.format(name="tarpipe-harness"))
    (folder / "harness" / "__init__.py").write_text(OLD)
    commit(folder, "old")
    return folder


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


def commit(folder: Path, tag: str) -> None:
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", tag)
    git(folder, "tag", tag)


def opening(runner: str = HEAD) -> Opening:
    return Opening(runner, "local", None, "./cyber-dojo.sh", Limits())


def files(source: str) -> VisibleFiles:
    return VisibleFiles({"cyber-dojo.sh": "#!/bin/sh\n", "source": source})


def test_a_revision_from_before_the_gate_can_be_a_base(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is installed once; it needs nothing but the front door; what it prints and does not know
    does no harm.
    """
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    base = find_base("old", HEAD, said.append, folder=repository)
    assert (base.arm, len(said)) == (f"{HEAD}@old", 1)
    again = find_base("old", HEAD, said.append, folder=repository)
    assert (again, len(said)) == (base, 1)
    assert base.python is not None
    arm = RemoteArm(base.arm, base.python, opening())
    try:
        assert arm.version == "0.0.1"
        run = arm.full(files("one"), 9)
        assert run.stdout == "avatar-1 one 9"
        assert (run.outcome, run.nanoseconds, run.observed) == (Outcome.COMPLETED, 7, None)
        assert run.phases == (Phase("run", "<<RUN>>", 5),)
        assert arm.incremental(files("two"), 9).stdout == "avatar-1 two 9"
        assert arm.full(files("two"), 9).stdout == "avatar-2 two 9"
        arm.rest()
        assert [each.name for each in tmp_path.glob("prepared-*")] == ["prepared-avatar-2"]
        with pytest.raises(EngineError) as caught:
            arm.incremental(files("fall over"), 9)
        assert one_line(caught.value) == "ValueError: cannot build that"
        assert arm.incremental(files("three"), 9).stdout == "avatar-2 three 9"
        assert arm.first(files("three"), 9).stdout == "avatar-3 three 9"
        with pytest.raises(EngineError, match="its process ended"):
            arm.incremental(files("die"), 9)
    finally:
        arm.close()
    with pytest.raises(UsageError, match=r"cannot be played by .*: KeyError: 'tmp'"):
        RemoteArm("tmp@old", base.python, opening("tmp"))
    closing = RemoteArm(base.arm, base.python, opening())
    (tmp_path / "closed").unlink(missing_ok=True)
    closing.close()
    assert (tmp_path / "closed").exists()


def test_a_revision_that_cannot_be_installed_is_refused(repository: Path, tmp_path: Path) -> None:
    """In one line, and nothing of it is left that the next gate would take for an environment."""
    with pytest.raises(UsageError) as caught:
        find_base("none", HEAD, lambda line: None, folder=repository)
    assert "is not a Python project" in one_line(caught.value)
    assert not [
        each for each in (tmp_path / "cache" / "harness" / "revisions").iterdir() if each.is_dir()
    ]


@pytest.mark.parametrize("shallow", [False, True], ids=["whole", "shallow"])
def test_a_project_in_a_folder_of_another_user_s_repository_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shallow: bool
) -> None:
    """With the version that its tags tell; a shallow clone tells it from what it has."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    top = tmp_path / "whole"
    project = top / "runners" / "one"
    (project / "harness").mkdir(parents=True)
    write_project(project)
    (project / "harness" / "__init__.py").write_text(OLD)
    git(top, "init", "-q")
    commit(top, "v1.2.3")
    (project / "harness" / "more.py").write_text("")
    commit(top, "later")
    if shallow:
        git(tmp_path, "clone", "-q", "--depth=1", top.as_uri(), "shallow")
        top = tmp_path / "shallow"
    if os.geteuid() == 0:
        for root, _, names in os.walk(top):
            for name in (".", *names):
                os.lchown(Path(root, name), SOMEBODY, SOMEBODY)
    python = find_base("HEAD", HEAD, lambda line: None, folder=top / "runners" / "one").python
    assert python is not None
    (info,) = python.parents[1].glob("lib/*/site-packages/*.dist-info")
    commits = "+1.g" in info.name
    assert info.name.startswith("tarpipe_harness-0.0.1" if shallow else "tarpipe_harness-1.2.3")
    assert commits is not shallow


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"broken": ""}, "RuntimeError: this commit cannot be built"),
        ({"pyproject.toml": "[project\n"}, "TOMLDecodeError: "),
        ({"pyproject.toml": "[project]\nname = 'one'\n"}, "requirement setuptools"),
    ],
)
def test_the_reason_is_pip_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: dict[str, str], said: str
) -> None:
    """Or that of what builds the project; pip's advertisement of itself is none."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    folder = tmp_path / "repository"
    (folder / "harness").mkdir(parents=True)
    write_project(folder)
    for name, content in spoil.items():
        (folder / name).write_text(content)
    git(folder, "init", "-q")
    commit(folder, "spoilt")
    with pytest.raises(UsageError, match=r"spoilt of .* cannot be installed: ") as caught:
        find_base("spoilt", HEAD, lambda line: None, folder=folder)
    line = one_line(caught.value)
    assert said in line
    assert "notice" not in line


def test_what_is_no_base_is_refused(repository: Path) -> None:
    for text in ("no-such-tag", "", "--help"):
        with pytest.raises(UsageError, match="not a git revision here"):
            find_base(text, HEAD, lambda line: None, folder=repository)


def test_a_runner_is_a_base_of_this_environment(repository: Path) -> None:
    """Its name in results is the variant's own; a folder without a Python is no environment."""
    base = find_base("katas-volume", HEAD, lambda line: None, folder=repository)
    assert (base.arm, base.python) == ("katas-volume", None)
