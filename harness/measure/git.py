"""Asks git about a repository, whoever owns it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

_TIED = (
    "DIR",
    "WORK_TREE",
    "INDEX_FILE",
    "OBJECT_DIRECTORY",
    "ALTERNATE_OBJECT_DIRECTORIES",
    "COMMON_DIR",
    "PREFIX",
)
"""GIT_ variables that tie git to one repository; git sets them in a hook."""


class GitError(Exception):
    """Git failed; the message is what git says, in one line."""


def git(folder: Path, *arguments: str, apart: bool = False) -> str:
    """Run git in the folder; `apart` drops this process's ties to a repository. Raises GitError."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**(environment() if apart else os.environ), **_whoever_owns_it()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise GitError(
            f"{folder} is not a folder" if not folder.is_dir() else "git is not installed"
        ) from error
    except NotADirectoryError as error:
        raise GitError(f"{folder} is not a folder") from error
    if done.returncode:
        raise GitError(_sentence(done.stderr.decode(errors="replace")))
    return os.fsdecode(done.stdout).strip("\n")


def environment() -> dict[str, str]:
    """Return this process's environment without the variables that tie git to one repository."""
    return {
        name: value for name, value in os.environ.items() if name.removeprefix("GIT_") not in _TIED
    }


def _whoever_owns_it() -> Mapping[str, str]:
    """Return variables that let git read another user's repository (git-config(1), safe.directory).

    Reading runs nothing from it, and the user has asked to install it anyway.
    """
    count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    return {
        "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": "safe.directory",
        f"GIT_CONFIG_VALUE_{count}": "*",
    }


def _sentence(said: str) -> str:
    lines = [line for line in said.splitlines() if not line.startswith(("hint:", "warning:"))]
    fatal = next(
        (place for place, line in enumerate(lines) if line.startswith(("fatal:", "error:"))), 0
    )
    return " ".join(" ".join(lines[fatal:]).split()) or "it does not say why"
