"""A result names the commit that was checked out, and tells no password."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.measure.checkout import describe_checkout, without_credentials


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_commit_and_where_it_comes_from(tmp_path: Path) -> None:
    """From a folder of the repository too; nothing outside one, and nothing before a commit."""
    assert describe_checkout(tmp_path) == {}
    assert describe_checkout(tmp_path / "none") == {}
    (tmp_path / "deep").mkdir()
    git(tmp_path, "init", "-q")
    assert describe_checkout(tmp_path) == {}
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert describe_checkout(tmp_path / "deep") == {"commit": commit}
    git(tmp_path, "remote", "add", "origin", "https://me:secret@example.org/a.git?token=secret")
    remote = "https://example.org/a.git"
    assert describe_checkout(tmp_path) == {"commit": commit, "remote": remote}


def test_a_prepared_repository_runs_nothing(tmp_path: Path) -> None:
    """Its settings name programs that git starts for some commands."""
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "one")
    for name in ("core.fsmonitor", "core.sshCommand", "filter.x.clean", "core.pager"):
        git(tmp_path, "config", name, f"touch {tmp_path}/ran")
    git(tmp_path, "config", "remote.origin.url", f"ext::touch {tmp_path}/ran")
    assert "commit" in describe_checkout(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("remote", "shown"),
    [
        ("https://token@example.org:8443/a", "https://example.org:8443/a"),
        ("ssh://git:secret@example.org/a", "ssh://example.org/a"),
        ("https://me:a@b@example.org/a", "https://example.org/a"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("/srv/git/a.git", "/srv/git/a.git"),
        ("https://[/a", ""),
    ],
)
def test_a_remote_tells_no_password(remote: str, shown: str) -> None:
    assert without_credentials(remote) == shown
