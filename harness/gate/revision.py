"""A revision of the git repository around a folder, whatever state the repository is in.

It may belong to another user, be shallow, have the project in a sub-folder, and derive the
project's version from its history.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.measure.git import GitError, git

PROJECT_FILES = ("pyproject.toml", "setup.py")
"""Files that make a folder one that pip can install."""


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
        top = Path(git(here, "rev-parse", "--show-toplevel"))
        store = here / git(here, "rev-parse", "--git-common-dir")
        try:
            commit = git(here, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        except GitError as error:
            raise GitError(_why_not(here, name)) from error
        return cls(name, commit, top, git(here, "rev-parse", "--show-prefix").rstrip("/"), store)

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
        kind = git(self.top, "rev-parse", "--show-object-format")
        git(target, "init", "--quiet", "--template=", f"--object-format={kind}", apart=True)
        kept = target / ".git"
        (kept / "objects" / "info").mkdir(parents=True, exist_ok=True)
        (kept / "objects" / "info" / "alternates").write_bytes(
            os.fsencode(self.store / "objects") + b"\n"
        )
        if (shallow := self.store / "shallow").exists():
            (kept / "shallow").write_bytes(shallow.read_bytes())
        tags = git(self.top, "for-each-ref", "--format=%(objectname) %(refname)", "refs/tags")
        (kept / "packed-refs").write_text(tags + "\n" if tags else "", errors="surrogateescape")
        no_hooks = ("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")
        git(target, *no_hooks, "checkout", "--quiet", "--detach", self.commit, apart=True)
        return self._project(target)

    def _project(self, tree: Path) -> Path | None:
        """Return the nearest project from the user's folder upwards, else the only one."""
        here = Path(self.folder)
        for folder in (here, *here.parents):
            if _is_project(tree / folder):
                return tree / folder
        projects = list(_projects(tree))
        return projects[0] if len(projects) == 1 else None


@dataclass(frozen=True)
class Commit:
    """A commit of a history."""

    id: str
    """The full object id."""
    subject: str
    """The first line of its message."""

    def __str__(self) -> str:
        return f"{self.short} ({self.subject})" if self.subject else self.short

    @property
    def short(self) -> str:
        """Enough of the id to name it."""
        return self.id[:12]


def first_parents(good: Revision, bad: Revision) -> tuple[Commit, tuple[Commit, ...]]:
    """Return `good` and the commits after it up to `bad`, the oldest first.

    Of a merge it follows the first parent: what a merge brought in counts as one commit. Raises
    GitError unless `good` is an ancestor of `bad`.
    """
    if good.commit == bad.commit:
        raise GitError(f"{good.name} and {bad.name} are the same commit, {good.commit[:12]}")
    if git(bad.top, "rev-list", "--max-count=1", good.commit, f"^{bad.commit}"):
        swapped = not git(bad.top, "rev-list", "--max-count=1", bad.commit, f"^{good.commit}")
        hint = "; give the older one first" if swapped else _shallow(bad.top)
        raise GitError(f"{good.name} is not an ancestor of {bad.name}{hint}")
    found = _commits(bad.top, "--first-parent", "--reverse", bad.commit, f"^{good.commit}")
    return _commits(bad.top, "--max-count=1", good.commit)[0], found


def _commits(folder: Path, *arguments: str) -> tuple[Commit, ...]:
    lines = git(folder, "rev-list", "--format=%H %s", *arguments).split("\n")[1::2]
    return tuple(Commit(*line.split(" ", 1)) for line in lines)


def _projects(tree: Path) -> Iterator[Path]:
    for root, folders, _ in os.walk(tree):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if _is_project(Path(root)):
            folders.clear()  # what is below belongs to this project
            yield Path(root)


def _is_project(folder: Path) -> bool:
    return any((folder / name).is_file() for name in PROJECT_FILES)


def _why_not(folder: Path, name: str) -> str:
    """Say why git does not find the revision, and what to do."""
    said = f"fatal: bad revision {name!r}"
    try:
        git(folder, "rev-parse", name, "--")  # git says what is wrong with an option, too
    except GitError as error:
        said = str(error)
    return said + _shallow(folder)


def _shallow(folder: Path) -> str:
    """Say what to do if the clone lacks older commits; empty if it has them all."""
    if git(folder, "rev-parse", "--is-shallow-repository") != "true":
        return ""
    return (
        "; this clone is shallow, run git fetch --unshallow (fetch-depth: 0 for actions/checkout)"
    )
