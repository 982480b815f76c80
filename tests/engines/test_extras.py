"""What a part of the harness needs that is not installed is told in one line, by its extra."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from harness.engines.extras import EXTRAS
from tests import ROOT

WITHOUT = """
import sys
for module in {modules}:
    sys.modules[module] = None
from harness.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""Runs a command where these modules cannot be imported."""

ABSENT = [module for modules in EXTRAS.values() for module in modules]

RECORDING = str(ROOT / "results" / "recordings" / "typical-local.jsonl")


def without(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(modules=ABSENT), *words],
        cwd=folder,
        env={**os.environ, "HARNESS_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_the_extras_are_those_of_the_project() -> None:
    """Each module is the only thing that its extra says of it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra, modules in EXTRAS.items():
        needed = {
            re.split(r"[<>=~!]", each)[0]
            for each in project["optional-dependencies"][extra]
            if "[" not in each
        }
        assert needed == set(modules)
        assert not needed & {re.split(r"[<>=~!]", each)[0] for each in project["dependencies"]}


@pytest.mark.parametrize(
    ("words", "module", "extra"),
    [
        (("verify", "--engine", "local-plain", "--runner", "tmp"), "hypothesis", "verify"),
        (("soak", "--engine", "local-plain", "--minutes", "0.01"), "hypothesis", "verify"),
        (("report", RECORDING, "--html", "report.html"), "pandas", "results"),
        (("plot", RECORDING, "--kind", "phases", "--out", "plot.svg"), "pandas", "results"),
        (("export", RECORDING, "--to", "csv"), "pandas", "results"),
        (("compare", "--dask", "tcp://127.0.0.1:1"), "distributed", "dask"),
    ],
)
def test_a_command_says_which_extra_it_needs(
    words: tuple[str, ...], module: str, extra: str, tmp_path: Path
) -> None:
    """And leaves nothing behind."""
    done = without(tmp_path, *words)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert f"pip install 'tarpipe-harness[{extra}]'" in line
    assert module in line.lower() or extra in line
    assert not list(tmp_path.iterdir())


def test_the_main_job_needs_none(tmp_path: Path) -> None:
    """Nor does the help of any command."""
    words = ("compare", "--engine", "local-plain", "--tree", "typical:cost=0.05")
    done = without(tmp_path, *words, "--blocks", "1", "--runner", "tmp", "--out", "r.jsonl")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r.jsonl").exists()
    assert without(tmp_path, "--help").returncode == 0
