"""What a runner is compared with, side by side: another environment, a git revision, or a second runner."""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import platformdirs

from harness import runners
from harness.engines.fixtures import fixture
from harness.engines.folders import scratch
from harness.gate.revision import GitError, Revision, environment
from harness.inside.disk import remove_tree
from harness.inside.errors import UsageError
from harness.measure.trees.sdist import reason

DISTRIBUTION = "tarpipe-harness"


@dataclass(frozen=True)
class Base:
    """The other side."""

    arm: str  # its name in results
    runner: str  # as the front door takes it
    python: Path | None  # of its environment; None: of this one


def find_base(
    text: str, head: str, report: Callable[[str], None], *, folder: Path | None = None
) -> Base:
    """What `--against text` means for the runner `head`: a virtual environment's folder, a runner's name, or a
    revision of the git repository around `folder` (None: the current one).

    Raises UsageError for what is none of these, or cannot be installed, with git's or pip's own reason.
    """
    python = Path(text) / "bin" / "python"
    if python.exists():
        return Base(f"{head}@{Path(text).resolve().name}", head, python.absolute())
    if text.partition(":")[0] in runners.runner_names():
        label = runners.parse_variant(text).label
        if label == head:
            raise UsageError(
                f"--against {text} is the runner itself; to see the noise, give compare --aa"
            )
        return Base(label, label, None)
    try:
        revision = Revision.find(text, folder)
    except GitError as error:
        raise UsageError(
            f"--against {text} is no folder of a virtual environment, no runner ({', '.join(runners.runner_names())}) "
            f"and no git revision here: {error}"
        ) from error
    return Base(f"{head}@{text}", head, _environment(revision, report))


def _environment(revision: Revision, report: Callable[[str], None]) -> Path:
    """The Python of an environment with that revision installed, made once and kept in the user's cache."""
    cache = platformdirs.user_cache_path("harness") / "revisions"
    cache.mkdir(parents=True, exist_ok=True)
    home = cache / f"{revision.label}-python{sys.version_info.major}.{sys.version_info.minor}"
    with (cache / "lock").open("w") as lock:  # two gates at once make it once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            report(
                f"installing {revision.name} ({revision.commit[:12]}) into {home}, which takes half a minute the first time"
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
            raise UsageError(f"{revision} cannot be had: {error}") from error
        if project is None:
            raise UsageError(
                f"{revision} is no Python project: there is neither a pyproject.toml nor a setup.py in the folder of this "
                "project, nor above it"
            )
        wanted = (
            [str(project)] if _name(project) == DISTRIBUTION else [str(project), _this_harness()]
        )
        python = str(home / "bin" / "python")
        for command in (
            [sys.executable, "-m", "venv", str(home)],
            [
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-input",
                *wanted,
            ],
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
    """What the project is called, as packages are compared (PEP 503); empty where another file than pyproject.toml says it."""
    try:
        table = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
        return re.sub(r"[-_.]+", "-", str(table["project"]["name"])).lower()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError):
        return ""


def _this_harness() -> str:
    """What pip takes for the harness that runs: its checkout, or its version where it was installed from a wheel."""
    top = fixture("trees").parent.parent
    return (
        str(top)
        if (top / "pyproject.toml").exists()
        else f"{DISTRIBUTION}=={version(DISTRIBUTION)}"
    )
