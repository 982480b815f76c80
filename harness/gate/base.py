"""What a runner is compared with, side by side: another environment, a git revision, or a second runner."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import platformdirs

from harness import runners
from harness.disk import remove_tree
from harness.errors import UsageError
from harness.fixtures import fixture

DISTRIBUTION = "tarpipe-harness"


@dataclass(frozen=True)
class Base:
    """The other side."""

    arm: str  # its name in results
    runner: str  # as the front door takes it
    python: Path | None  # of its environment; None: of this one


def find_base(text: str, head: str, report: Callable[[str], None], *, folder: Path | None = None) -> Base:
    """What `--against text` means for the runner `head`: a virtual environment's folder, a runner's name, or a
    revision of the git repository around `folder` (None: the current one).

    Raises UsageError for what is none of these, or cannot be installed.
    """
    python = Path(text) / "bin" / "python"
    if python.exists():
        return Base(f"{head}@{Path(text).resolve().name}", head, python.absolute())
    if text.partition(":")[0] in runners.names():
        label = runners.parse(text).label
        if label == head:
            raise UsageError(f"--against {text} is the runner itself; to see the noise, give compare --aa")
        return Base(label, label, None)
    commit = _git(folder, "rev-parse", "--verify", "--quiet", f"{text}^{{commit}}")
    if commit is None:
        raise UsageError(
            f"--against {text} is no folder of a virtual environment, no runner ({', '.join(runners.names())}) "
            "and no git revision here"
        )
    return Base(f"{head}@{text}", head, _environment(folder, text, commit, report))


def _environment(folder: Path | None, revision: str, commit: str, report: Callable[[str], None]) -> Path:
    """The Python of an environment with that revision installed, made once and kept in the user's cache."""
    top = Path(_git(folder, "rev-parse", "--show-toplevel") or ".")
    cache = platformdirs.user_cache_path("harness") / "revisions"
    cache.mkdir(parents=True, exist_ok=True)
    home = cache / f"{top.name}-{commit[:12]}-python{sys.version_info.major}.{sys.version_info.minor}"
    with (cache / "lock").open("w") as lock:  # two gates at once make it once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            report(
                f"installing {revision} ({commit[:12]}) into {home}, which takes half a minute the first time"
            )
            remove_tree(home)
            try:
                _install(top, revision, commit, home)
            except BaseException:
                remove_tree(home)
                raise
            (home / "complete").touch()
    return home / "bin" / "python"


def _install(top: Path, revision: str, commit: str, home: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="harness-revision-") as folder:
        source = Path(folder)
        with subprocess.Popen(["git", "-C", str(top), "archive", commit], stdout=subprocess.PIPE) as archive:
            unpacked = subprocess.run(["tar", "-x", "-C", folder], stdin=archive.stdout, check=False)
        if archive.returncode or unpacked.returncode:
            raise UsageError(f"git cannot archive {revision} of {top}")
        try:
            project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"][
                "name"
            ]
        except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
            raise UsageError(
                f"{revision} of {top} is no Python project: it has no name in pyproject.toml"
            ) from error
        wanted = [str(source)] if project == DISTRIBUTION else [str(source), _this_harness()]
        python = str(home / "bin" / "python")
        for command in (
            [sys.executable, "-m", "venv", str(home)],
            [python, "-m", "pip", "install", "--quiet", *wanted],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                said = " ".join(
                    (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1:]
                )
                raise UsageError(f"{revision} of {top} cannot be installed: {said}")


def _this_harness() -> str:
    """What pip takes for the harness that runs: its checkout, or its version where it was installed from a wheel."""
    top = fixture("trees").parent.parent
    return str(top) if (top / "pyproject.toml").exists() else f"{DISTRIBUTION}=={version(DISTRIBUTION)}"


def _git(folder: Path | None, *arguments: str) -> str | None:
    """What git says, None where it says no or is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
