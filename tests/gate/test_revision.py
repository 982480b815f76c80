"""A revision is taken from a repository as it is, and where it cannot be, git's own sentence says
why.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.gate.against import find_base
from harness.gate.revision import Revision
from harness.inside.errors import UsageError
from harness.measure.git import GitError, environment
from tests.support import one_line

SOMEBODY = 65533


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One with a project in a folder, changed since the tag v1.0."""
    project = tmp_path / "repository" / "runners" / "one"
    (project / "deep").mkdir(parents=True)
    (project / "pyproject.toml").write_text("[project]\nname = 'one'\n")
    (project / "deep" / "module.py").write_text("x = 1\n")
    git(tmp_path / "repository", "init", "-q")
    commit(tmp_path / "repository")
    git(tmp_path / "repository", "tag", "v1.0")
    (project / "deep" / "module.py").write_text("x = 2\n")
    commit(tmp_path / "repository")
    return tmp_path / "repository"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(folder: Path) -> None:
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "a change")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def test_it_comes_with_its_history_and_tags(repository: Path, target: Path) -> None:
    """So that a version that is told from them is told; the repository itself is as it was."""
    before = (
        git(repository, "status", "--porcelain", "--branch"),
        sorted((repository / ".git").rglob("*")),
    )
    project = Revision.find("HEAD~1", repository / "runners" / "one").check_out(target)
    assert project == target / "runners" / "one"
    assert (project / "deep" / "module.py").read_text() == "x = 1\n"
    assert git(target, "describe", "--tags") == "v1.0"
    assert git(target, "status", "--porcelain") == ""
    assert before == (
        git(repository, "status", "--porcelain", "--branch"),
        sorted((repository / ".git").rglob("*")),
    )


@pytest.mark.parametrize("given", ["", "runners", "runners/one", "runners/one/deep"])
def test_the_project_is_found_from_wherever_in_it(
    repository: Path, target: Path, given: str
) -> None:
    """The folder's own, or the nearest above; from above the only one that there is. Each has an
    environment of its own.
    """
    revision = Revision.find("v1.0", repository / given)
    assert revision.check_out(target) == target / "runners" / "one"
    assert revision.label.startswith("-".join(["repository", *given.split("/")]).rstrip("-"))
    assert "/" not in revision.label


def test_of_several_projects_none_is_guessed(repository: Path, target: Path) -> None:
    (repository / "other").mkdir()
    (repository / "other" / "setup.py").write_text("")
    commit(repository)
    assert Revision.find("HEAD", repository).check_out(target) is None
    assert Revision.find("HEAD", repository / "other").folder == "other"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_user_s_repository_is_taken(repository: Path, target: Path) -> None:
    """As in a container of a CI system; git itself refuses there."""
    for root, _, names in os.walk(repository):
        for name in (".", *names):
            os.lchown(Path(root, name), SOMEBODY, SOMEBODY)
    refused = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, check=False
    )
    assert b"dubious ownership" in refused.stderr
    assert Revision.find("HEAD~1", repository).check_out(target) == target / "runners" / "one"
    assert git(target, "describe", "--tags") == "v1.0"


def test_a_shallow_clone_gives_what_it_has(repository: Path, target: Path, tmp_path: Path) -> None:
    """And says how to get the rest."""
    git(tmp_path, "clone", "-q", "--depth=1", repository.as_uri(), "shallow")
    shallow = tmp_path / "shallow"
    assert Revision.find("HEAD", shallow).check_out(target) == target / "runners" / "one"
    assert git(target, "log", "--oneline").count("\n") == 0
    with pytest.raises(
        GitError,
        match=r"fatal: bad revision 'HEAD~1.*'; this clone is shallow, run git fetch --unsh",
    ):
        Revision.find("HEAD~1", shallow)


def test_a_second_working_tree_has_the_history_of_the_first(
    repository: Path, target: Path, tmp_path: Path
) -> None:
    git(repository, "worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    assert (
        Revision.find("v1.0", tmp_path / "second").check_out(target) == target / "runners" / "one"
    )
    assert git(target, "describe", "--tags") == "v1.0"


def test_hooks_and_what_a_hook_sets_play_no_part(
    repository: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gate may be run in a hook of the repository, and the user may have templates of hooks."""
    hook = tmp_path / "templates" / "hooks" / "post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path / "templates"))
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(repository / ".git" / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(repository))
    assert Revision.find("v1.0", repository).check_out(target) == target / "runners" / "one"
    assert not (tmp_path / "hooked").exists()
    assert not {"GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"} & environment().keys()


def test_the_reason_is_git_s_own(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, behind what else --against takes."""
    for folder, said in (
        (repository, "fatal: bad revision 'nope"),
        (tmp_path, "fatal: not a git repository"),
    ):
        with pytest.raises(UsageError, match="not a git revision here: ") as caught:
            find_base("nope", "tmp", lambda line: None, folder=folder)
        assert said in one_line(caught.value)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="git is not installed"):
        Revision.find("HEAD", repository)
