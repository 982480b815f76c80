"""Mistakes in trusted code that no property of a runner covers, each with a test that refutes it.

Such a mutant is a change of the source. It is made in a copy of the package, and another process
runs the test there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import ROOT

NEEDED = ("harness", "tests", "fixtures", "pyproject.toml")
"""What a test needs of this repository."""

PLUGINS = ("-p", "pytest_timeout", "-p", "harness.verify.pytest_plugin", "-p", "no:cacheprovider")
"""Plugins of pytest, by name: searching all installed packages takes longer than many a test."""

SECONDS = 60.0
"""The time limit of a test; a test that a mutant makes wait for ever sets its own."""


ALONE = """
import ctypes, os, signal, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
status = subprocess.call(sys.argv[1:])
while left := open(f"/proc/self/task/{os.getpid()}/children").read().split():
    for child in left:
        os.kill(int(child), signal.SIGKILL)
        os.waitpid(int(child), 0)
sys.exit(status)
"""
"""Runs a command, and ends every process that it leaves: some mistakes are that something stays. It
adopts all descendants of the command (prctl(2), PR_SET_CHILD_SUBREAPER).
"""


@dataclass(frozen=True)
class Change:
    """A change of the source, at a place that is found in any layout."""

    # Below the package.
    file: str
    # Must be there exactly once.
    old: str
    new: str

    def found(self, source: str) -> list[re.Match[str]]:
        """Return where `old` is in the text: exactly, or else with other line breaks."""
        exact = list(re.finditer(re.escape(self.old), source))
        return exact or list(re.finditer(_any_layout(self.old), source))

    def apply(self, root: Path) -> None:
        """Make the change in the package below `root`. Raises LookupError if `old` is not found."""
        path = root / "harness" / self.file
        source = path.read_text()
        found = self.found(source)
        if len(found) != 1:
            raise LookupError(f"{self.file} has {len(found)} times: {self.old}")
        path.write_text(source[: found[0].start()] + self.new + source[found[0].end() :])


def _any_layout(code: str) -> str:
    """Return a pattern for the code in any layout: line breaks for spaces, brackets spread."""
    inner = code.strip()
    start = code.index(inner)
    parts = re.findall(r"\s+|\w+|[^\w\s]", inner)
    pattern = ""
    for part in parts:
        if part.isspace():
            pattern += r"\s+"
        elif part in "([{":
            pattern += re.escape(part) + r"\s*"
        elif part in ")]}":
            pattern += r",?\s*" + re.escape(part)
        else:
            pattern += re.escape(part)
    return re.escape(code[:start]) + pattern + re.escape(code[start + len(inner) :])


@dataclass(frozen=True)
class Spoiled:
    """A mistake in trusted code."""

    name: str
    # The mistake and its history.
    words: str
    changes: Sequence[Change]
    # The id of the test, as pytest takes it; with one of its parameters if that is cheaper.
    test: str
    # The time limit of the test; a mutant that waits for ever takes that long.
    seconds: float = SECONDS
    # Slow, or similar to another: only `python -m tests.mutants` tries it.
    dear: bool = False

    @property
    def file(self) -> str:
        """Return the file of the test, below the folder of the repository."""
        return self.test.partition("::")[0]

    @property
    def function(self) -> str:
        """Return the name of the test function."""
        return self.test.rpartition("::")[2].partition("[")[0]


@dataclass(frozen=True)
class Result:
    """The result of the test."""

    failed: bool
    # Why it was not tried; empty if it was.
    skipped: str
    said: str


def try_it(spoiled: Spoiled) -> Result:
    """Run the test of the mutant in a temporary copy of the package."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        _copy(root)
        for change in spoiled.changes:
            change.apply(root)
        return _run(root, spoiled.test, spoiled.seconds)


def _copy(folder: Path) -> None:
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy2(source, folder / name)


def _run(folder: Path, test: str, seconds: float) -> Result:
    """Run one test of the copy in this folder."""
    asked = ["-m", "pytest", "-q", "-rfEs", "--tb=line", *PLUGINS, f"--timeout={seconds:g}", test]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", ALONE, sys.executable, *asked],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    failed = done.returncode == 1 and bool(re.search(r"^FAILED ", said, re.MULTILINE))
    skipped = re.search(r"^SKIPPED (.*)", said, re.MULTILINE) if done.returncode == 0 else None
    return Result(failed, skipped[1] if skipped else "", said)
