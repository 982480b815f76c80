"""A revision of the git repository around a folder, whatever state the repository is in.

It may belong to another user, be shallow, have the project in a sub-folder, and derive the
project's version from its history.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT_FILES = ("pyproject.toml", "setup.py")
"""Files that make a folder one that pip can install."""

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


@dataclass(frozen=True)
class Revision:
    """One commit, and where its project is."""

    name: str
    """As the user gave it."""
    commit: str
    """The full object id."""
    top: Path
    """The top of the working tree."""
    folder: str
    """The folder that the user worked in, relative to the top; empty for the top itself."""
    store: Path
    """The git directory that all working trees share."""

    @classmethod
    def find(cls, name: str, folder: Path | None) -> Revision:
        """Find it in the repository around `folder` (None: the current folder). Raises GitError."""
        here = (folder or Path()).absolute()
        top = Path(_git(here, "rev-parse", "--show-toplevel"))
        store = here / _git(here, "rev-parse", "--git-common-dir")
        try:
            commit = _git(here, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        except GitError as error:
            raise GitError(_why_not(here, name)) from error
        return cls(name, commit, top, _git(here, "rev-parse", "--show-prefix").rstrip("/"), store)

    @property
    def label(self) -> str:
        """A name for a folder of the cache."""
        parts = (self.top.name, *filter(None, self.folder.split("/")), self.commit[:12])
        return "-".join(parts)

    def __str__(self) -> str:
        return f"{self.name} of {self.top / self.folder}"

    def check_out(self, target: Path) -> Path | None:
        """Check it out into an empty folder, as a repository with its history and tags.

        Returns the project's folder there, None if there is none. Leaves the original repository
        alone. Raises GitError.

        `git archive` would leave out the history; `git clone` would refuse another user's
        repository.
        """
        kind = _git(self.top, "rev-parse", "--show-object-format")
        _git(target, "init", "--quiet", "--template=", f"--object-format={kind}", apart=True)
        kept = target / ".git"
        (kept / "objects" / "info").mkdir(parents=True, exist_ok=True)
        (kept / "objects" / "info" / "alternates").write_bytes(
            os.fsencode(self.store / "objects") + b"\n"
        )
        if (shallow := self.store / "shallow").exists():
            (kept / "shallow").write_bytes(shallow.read_bytes())
        tags = _git(self.top, "for-each-ref", "--format=%(objectname) %(refname)", "refs/tags")
        (kept / "packed-refs").write_text(tags + "\n" if tags else "", errors="surrogateescape")
        no_hooks = ("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")
        _git(target, *no_hooks, "checkout", "--quiet", "--detach", self.commit, apart=True)
        return self._project(target)

    def _project(self, tree: Path) -> Path | None:
        """Return the nearest project from the user's folder upwards, else the only one."""
        here = Path(self.folder)
        for folder in (here, *here.parents):
            if _is_project(tree / folder):
                return tree / folder
        projects = list(_projects(tree))
        return projects[0] if len(projects) == 1 else None


def environment() -> dict[str, str]:
    """Return this process's environment without the variables that tie git to one repository."""
    return {
        name: value for name, value in os.environ.items() if name.removeprefix("GIT_") not in _TIED
    }


def _projects(tree: Path) -> Iterator[Path]:
    for root, folders, _ in os.walk(tree):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if _is_project(Path(root)):
            folders.clear()  # what is below belongs to this project
            yield Path(root)


def _is_project(folder: Path) -> bool:
    return any((folder / name).is_file() for name in PROJECT_FILES)


def _git(folder: Path, *arguments: str, apart: bool = False) -> str:
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


def _why_not(folder: Path, name: str) -> str:
    """Say why git does not find the revision, and what to do."""
    said = f"fatal: bad revision {name!r}"
    try:
        _git(folder, "rev-parse", name, "--")  # git says what is wrong with an option, too
    except GitError as error:
        said = str(error)
    if _git(folder, "rev-parse", "--is-shallow-repository") == "true":
        return (
            f"{said}; this clone is shallow, run git fetch --unshallow (fetch-depth: 0 for "
            "actions/checkout)"
        )
    return said


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
