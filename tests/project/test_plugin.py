"""A runner in a package of its own is named, proved and measured like the built-in ones, with no
code copied.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "plugin"

PROPERTIES = ("no-missed-edit", "ownership")
"""Enough to see that it is held to the proofs; all of them take a minute."""

ON = ("--engine", "local-plain")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One in which the package is installed."""
    folder = tmp_path_factory.mktemp("site-packages")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--target", str(folder), str(PACKAGE)],
        check=True,
    )
    home = tmp_path_factory.mktemp("home")
    return {**os.environ, "PYTHONPATH": str(folder), "HARNESS_HOME": str(home)}


def run(environment: dict[str, str], folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in a folder that has nothing to do with this repository."""
    command = [sys.executable, "-m", *words]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_it_is_proved(environment: dict[str, str], tmp_path: Path) -> None:
    """By harness verify, which knows it by its name."""
    chosen = [word for each in PROPERTIES for word in ("--property", each)]
    arguments = ("--runner", "katas-copy", *ON, "--profile", "ci", "--json", "matrix.json", *chosen)
    done = run(environment, tmp_path, "harness", "verify", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "matrix.json").read_text())["findings"]
    assert {(each["runner"], each["property"], each["status"]) for each in found} == {
        ("katas-copy", "no-missed-edit", "proved"),
        ("katas-copy", "ownership", "refuted"),  # which it does not claim
    }


def test_it_is_proved_by_pytest(environment: dict[str, str], tmp_path: Path) -> None:
    """With no file of its own, and with the one line that its documentation shows."""
    (tmp_path / "test_properties.py").write_text("from harness.verify.suite import test_property\n")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nharness_runners = katas-copy\nharness_engines = local-plain\n"
    )
    chosen = ("-k", "no-missed-edit", "-v", "-p", "no:cacheprovider")
    one_line = run(environment, tmp_path, "pytest", "test_properties.py", *chosen)
    assert "test_property[katas-copy-local-plain-no-missed-edit] PASSED" in one_line.stdout, (
        one_line.stdout
    )
    (tmp_path / "pytest.ini").unlink()
    named = ("--harness-runner=katas-copy", "--harness-engine=local-plain")
    no_file = run(
        environment, tmp_path, "pytest", "--pyargs", "harness.verify.suite", *named, *chosen
    )
    assert "test_property[katas-copy-local-plain-no-missed-edit] PASSED" in no_file.stdout, (
        no_file.stdout
    )
    assert "1 passed" in no_file.stdout


def test_it_is_measured(environment: dict[str, str], tmp_path: Path) -> None:
    """By harness compare: incremental, like the others."""
    arguments = (
        "--tree",
        "typical:cost=0.1",
        "--runner",
        "katas-copy",
        "--engine",
        "local",
        "--blocks",
        "1",
    )
    done = run(environment, tmp_path, "harness", "compare", *arguments, "--out", "r.jsonl")
    assert done.returncode == 0, done.stderr
    samples = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    (incremental,) = (
        each
        for each in samples
        if each.get("runner") == "katas-copy" and each["scenario"] == "incremental"
    )
    assert (incremental["recompiled"], incremental["mtimes_changed"], incremental["right"]) == (
        1,
        0,
        True,
    )
