"""A revision of the git repository that somebody works in, taken as it is: of whatever owner, shallow, with the project in a
folder of it, and a version that only the history tells.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT_FILES = ("pyproject.toml", "setup.py")
"""What makes a folder one that pip installs."""

_TIED = (
    "DIR",
    "WORK_TREE",
    "INDEX_FILE",
    "OBJECT_DIRECTORY",
    "ALTERNATE_OBJECT_DIRECTORIES",
    "COMMON_DIR",
    "PREFIX",
)
"""Variables that tie git to one repository: in a hook they are set."""


class GitError(Exception):
    """What git says, in one line."""


@dataclass(frozen=True)
class Revision:
    """One commit, and where in it the project is that somebody works on."""

    name: str  # as it was given
    commit: str
    top: Path  # of the working tree
    folder: str  # that it was given in, relative to the top; empty for the top itself
    store: Path  # what git keeps, of all working trees

    @classmethod
    def find(cls, name: str, folder: Path | None) -> Revision:
        """The revision in the repository around `folder` (None: the current one). Raises GitError."""
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
        """A name for a folder."""
        parts = (self.top.name, *filter(None, self.folder.split("/")), self.commit[:12])
        return "-".join(parts)

    def __str__(self) -> str:
        return f"{self.name} of {self.top / self.folder}"

    def check_out(self, target: Path) -> Path | None:
        """Put the whole of it into an empty folder, as a repository with its history and tags; returns the project's folder
        there, None where there is none. Raises GitError, and leaves the repository that it is of alone.

        Not `git archive`, which leaves the history out; not `git clone`, which asks whose the other repository is.
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
        """The folder that it was given in, or the nearest above that is a project; else the only one that there is."""
        here = Path(self.folder)
        for each in (here, *here.parents):
            if _is_project(tree / each):
                return tree / each
        found = list(_projects(tree))
        return found[0] if len(found) == 1 else None


def environment() -> dict[str, str]:
    """This process's, for programs that are to find the repository that they stand in."""
    return {
        name: value for name, value in os.environ.items() if name.removeprefix("GIT_") not in _TIED
    }


def _projects(tree: Path) -> Iterator[Path]:
    for root, folders, _ in os.walk(tree):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        if _is_project(Path(root)):
            folders.clear()  # what is below belongs to it
            yield Path(root)


def _is_project(folder: Path) -> bool:
    return any((folder / name).is_file() for name in PROJECT_FILES)


def _git(folder: Path, *arguments: str, apart: bool = False) -> str:
    """What git answers there; `apart`: whatever repository this process is tied to. Raises GitError."""
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
            f"{folder} is no folder" if not folder.is_dir() else "git is not installed"
        ) from error
    except NotADirectoryError as error:
        raise GitError(f"{folder} is no folder") from error
    if done.returncode:
        raise GitError(_sentence(done.stderr.decode(errors="replace")))
    return os.fsdecode(done.stdout).strip("\n")


def _why_not(folder: Path, name: str) -> str:
    """What git says of what is no revision, and what to do."""
    said = f"fatal: bad revision {name!r}"
    try:
        _git(folder, "rev-parse", name, "--")  # which takes an option for what it is
    except GitError as error:
        said = str(error)
    if _git(folder, "rev-parse", "--is-shallow-repository") == "true":
        return f"{said}; this clone is shallow: git fetch --unshallow (fetch-depth: 0 for actions/checkout)"
    return said


def _whoever_owns_it() -> Mapping[str, str]:
    """Settings by which git reads another user's repository (git-config(1), safe.directory): nothing of it is run by that, and
    who asks for one of its versions runs that anyway.
    """
    count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    return {
        "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": "safe.directory",
        f"GIT_CONFIG_VALUE_{count}": "*",
    }


def _sentence(said: str) -> str:
    lines = [each for each in said.splitlines() if not each.startswith(("hint:", "warning:"))]
    fatal = next(
        (place for place, each in enumerate(lines) if each.startswith(("fatal:", "error:"))), 0
    )
    return " ".join(" ".join(lines[fatal:]).split()) or "it does not say why"
