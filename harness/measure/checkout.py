"""The commit that is checked out where something is measured, so that a result can name it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from harness.measure.git import GitError, git


def describe_checkout(folder: Path | None = None) -> dict[str, str]:
    """Return the commit of the repository around `folder` (None: the current folder), and where
    the repository comes from; empty if there is none.

    It reads references and settings only: a repository that somebody prepared runs nothing.
    """
    here = (folder or Path()).absolute()
    try:
        facts = {"commit": git(here, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")}
    except GitError:
        return {}
    with contextlib.suppress(GitError):
        facts["remote"] = without_credentials(git(here, "config", "--get", "remote.origin.url"))
    return facts


def without_credentials(remote: str) -> str:
    """Return the address of a remote without a password or token, which some CI systems put there.

    >>> without_credentials("https://ci-token:secret@git.example.org/a/b.git")
    'https://git.example.org/a/b.git'
    >>> without_credentials("git@git.example.org:a/b.git")
    'git@git.example.org:a/b.git'
    """
    try:
        parts = urlsplit(remote)
    except ValueError:  # as of a bracket that opens no address
        return ""
    if not parts.netloc:
        return remote
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
