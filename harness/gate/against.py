"""What --against measures beside a runner: another environment, a revision, a second runner."""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import platformdirs

from harness import runners
from harness.engines.extras import DISTRIBUTION
from harness.engines.fixtures import fixture
from harness.engines.folders import scratch
from harness.gate.revision import Revision
from harness.inside.disk import remove_tree
from harness.inside.errors import UsageError
from harness.measure.git import GitError, environment
from harness.measure.trees.sdist import reason


@dataclass(frozen=True)
class Base:
    """The other side."""

    arm: str
    """Its name in results."""
    runner: str
    """As `harness.open_runner` takes it."""
    python: Path | None
    """The Python of its environment; None: it runs in this one."""


def find_bases(
    text: str, heads: Sequence[str], report: Callable[[str], None], *, folder: Path | None = None
) -> dict[str, Base]:
    """Find what `--against text` means for each of these runners. Raises what `find_base` raises.

    If it is a runner, it is the base of all of them.
    """
    return {head: find_base(text, head, report, folder=folder) for head in heads}


def find_base(
    text: str, head: str, report: Callable[[str], None], *, folder: Path | None = None
) -> Base:
    """Find what `--against text` means for the runner `head`.

    It may be the folder of a virtual environment, the name of a runner, or a revision of the git
    repository around `folder` (None: the current folder). Raises UsageError if it is none of these
    or cannot be installed, with the reason that git or pip gives.
    """
    python = Path(text) / "bin" / "python"
    if python.exists():
        return Base(f"{head}@{Path(text).resolve().name}", head, python.absolute())
    if text.partition(":")[0] in runners.runner_names():
        label = runners.parse_variant(text).label
        if label == head:
            raise UsageError(
                f"--against {text} is the runner itself; to see the noise, use harness compare --aa"
            )
        return Base(label, label, None)
    try:
        revision = Revision.find(text, folder)
    except GitError as error:
        raise UsageError(
            f"--against {text} is not the folder of a virtual environment, not a runner "
            f"({', '.join(runners.runner_names())}) and not a git revision here: {error}"
        ) from error
    return Base(f"{head}@{text}", head, installed(revision, report))


def environment_of(revision: Revision) -> Path:
    """Return the folder of the environment with this revision, in the user's cache."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return (
        platformdirs.user_cache_path("harness") / "revisions" / f"{revision.label}-python{version}"
    )


def installed(revision: Revision, report: Callable[[str], None]) -> Path:
    """Return the Python of an environment with this revision, made once in the user's cache.

    Raises UsageError if it cannot be installed, with the reason that git or pip gives.
    """
    home = environment_of(revision)
    cache = home.parent
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:  # two gates at once make it only once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            report(
                f"installing {revision.name} ({revision.commit[:12]}) into {home}; this takes "
                "half a "
                "minute, and only the first time"
            )
            remove_tree(home)
            try:
                _install(revision, home)
            except BaseException:
                remove_tree(home)
                raise
            (home / "complete").touch()
    return home / "bin" / "python"


def _install(revision: Revision, home: Path) -> None:
    with scratch("revision") as folder:
        try:
            project = revision.check_out(folder)
        except GitError as error:
            raise UsageError(f"{revision} cannot be checked out: {error}") from error
        if project is None:
            raise UsageError(
                f"{revision} is not a Python project: neither the folder of this project nor one "
                "above "
                "it has a pyproject.toml or a setup.py"
            )
        wanted = (
            [str(project)] if _name(project) == DISTRIBUTION else [str(project), _this_harness()]
        )
        # The pip at hand installs into the environment, which is a lot faster than one in there.
        pip = (sys.executable, "-P", "-m", "pip", "--python", str(home / "bin" / "python"))
        quietly = ("--quiet", "--disable-pip-version-check", "--no-input")
        for command in (
            (sys.executable, "-m", "venv", "--without-pip", str(home)),
            (*pip, "install", *quietly, *wanted),
        ):
            done = subprocess.run(
                command,
                env=environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
            if done.returncode:
                raise UsageError(
                    f"{revision} cannot be installed: {reason(done.stderr or done.stdout)}"
                )


def _name(project: Path) -> str:
    """Return the project's normalized name (PEP 503); empty if pyproject.toml does not have it."""
    try:
        table = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
        return re.sub(r"[-_.]+", "-", str(table["project"]["name"])).lower()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError):
        return ""


def _this_harness() -> str:
    """Return what makes pip install the running harness: its checkout, or its version."""
    top = fixture("trees").parent.parent
    return (
        str(top)
        if (top / "pyproject.toml").exists()
        else f"{DISTRIBUTION}=={version(DISTRIBUTION)}"
    )
