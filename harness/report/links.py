"""Addresses of commits, from where a repository comes from or from a template."""

from __future__ import annotations

import re

from harness.inside.errors import UsageError

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_WEB = re.compile(r"https?://[^\s/]+(?:/[^\s]*)?")
_SSH = re.compile(
    r"(?:(?:ssh|git)://)?(?:[^@/\s]+@)?(?P<host>\w[\w.-]*)(?::(?:\d+/)?|/)(?P<path>[^\s:]+)"
)
"""As git takes it: ssh://git@HOST/PATH, or git@HOST:PATH."""


def check_template(template: str) -> str:
    """Return the template. Raises UsageError unless it is an address of the web with {commit}."""
    if not _WEB.fullmatch(template) or "{commit}" not in template:
        raise UsageError(
            f"--commit-url {template} is not an address with {{commit}} in it; write it as "
            "https://HOST/PROJECT/commit/{commit}"
        )
    return template


def commit_url(commit: str, remote: str = "", template: str | None = None) -> str:
    """Return the address of a commit, by the template if there is one; empty: it has none.

    A remote of the web and one of SSH have a page for each commit under the same name.

    >>> commit_url("0123abc", "git@git.example.org:a/b.git")
    'https://git.example.org/a/b/commit/0123abc'
    >>> commit_url("0123abc", "/srv/b.git"), commit_url("HEAD", "https://git.example.org/b")
    ('', '')
    """
    if not _COMMIT.fullmatch(commit):
        return ""
    if template is not None:
        return template.replace("{commit}", commit)
    page = _page(remote)
    if not page:
        return ""
    # Of the hosts that many projects use, one names the pages of commits otherwise.
    word = "commits" if "://bitbucket." in page else "commit"
    return f"{page}/{word}/{commit}"


def _page(remote: str) -> str:
    """Return the address of a remote's page; empty for a remote that has none."""
    remote = remote.rstrip("/").removesuffix(".git")
    if _WEB.fullmatch(remote):
        return remote
    over_ssh = remote.startswith("ssh://") or ("@" in remote and "://" not in remote)
    found = _SSH.fullmatch(remote) if over_ssh else None
    return f"https://{found['host']}/{found['path']}" if found else ""
