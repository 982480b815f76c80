"""Mistakes in the trusted code that no property of a runner covers, each with the test that refutes it.

Such a mutant is a change of the source: it is made in a copy of the package, and the test is run there, by another process.
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

ROOT = Path(__file__).parents[2]

NEEDED = ("harness", "tests", "fixtures", "pyproject.toml")
"""What a test needs of this repository."""

PLUGINS = ("-p", "pytest_timeout", "-p", "harness.verify.pytest_plugin", "-p", "no:cacheprovider")
"""Of pytest, by name: to look for all that are installed takes longer than many a test."""

SECONDS = 60.0
"""How long a test may take; one whose mutant would wait for ever says how long that is waited for."""


ALONE = """
import ctypes, os, signal, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
status = subprocess.call(sys.argv[1:])
while left := open(f"/proc/self/task/{os.getpid()}/children").read().split():
    for each in left:
        os.kill(int(each), signal.SIGKILL)
        os.waitpid(int(each), 0)
sys.exit(status)
"""
"""Runs a command, and ends all that is left of it: some of the mistakes are that something stays. It adopts whatever descends
from the command (prctl(2), PR_SET_CHILD_SUBREAPER).
"""


@dataclass(frozen=True)
class Change:
    """One place of the source, whatever lines the formatter breaks it into."""

    file: str  # below the package
    old: str  # there once
    new: str

    def found(self, source: str) -> list[re.Match[str]]:
        """Where `old` stands in the text: exactly, or else with other line breaks."""
        exact = list(re.finditer(re.escape(self.old), source))
        return exact or list(re.finditer(_any_layout(self.old), source))

    def apply(self, root: Path) -> None:
        """Make it in the package below `root`. Raises LookupError where the source has changed."""
        path = root / "harness" / self.file
        source = path.read_text()
        found = self.found(source)
        if len(found) != 1:
            raise LookupError(f"{self.file} has {len(found)} times: {self.old}")
        path.write_text(source[: found[0].start()] + self.new + source[found[0].end() :])


def _any_layout(code: str) -> str:
    """A pattern for the code in any layout: space may be a line break, brackets may be spread."""
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
    """One mistake."""

    name: str
    words: str  # the mistake and its history
    changes: Sequence[Change]
    test: str  # its id, as pytest takes it: with one of its parameters where that is cheaper
    seconds: float = SECONDS  # for the test; a mutant that waits for ever takes so long
    dear: bool = False  # or much like another: tried by `python -m tests.mutants` alone

    @property
    def file(self) -> str:
        """Where the test is, below the folder of the repository."""
        return self.test.partition("::")[0]

    @property
    def function(self) -> str:
        """The test's name alone."""
        return self.test.rpartition("::")[2].partition("[")[0]


@dataclass(frozen=True)
class Result:
    """What the test said."""

    failed: bool
    skipped: str  # why it was not tried; empty if it was
    said: str


def try_it(spoiled: Spoiled) -> Result:
    """Run the test of the mutant in a copy of the package, which goes with it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        _copy(root)
        for each in spoiled.changes:
            each.apply(root)
        return _run(root, spoiled.test, spoiled.seconds)


def _copy(folder: Path) -> None:
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy2(source, folder / name)


def _run(folder: Path, test: str, seconds: float) -> Result:
    """Run one test of the copy in this folder, with the copy's package."""
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
