"""Recorded times through pytest-benchmark's public interface: its rounds are the blocks,
exactly.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

TEST = """
import pytest
from scenarios.benchmarks.replay import Replay, nothing

replay = Replay()

@pytest.mark.parametrize("times", [[0.25, 1e-9, 3.5], [2.0, 0.1]])
@pytest.mark.benchmark(timer=replay, disable_gc=False, warmup=False)
def test_times(times, benchmark):
    replay.load(times)
    benchmark.pedantic(nothing, rounds=len(times), iterations=1)
"""


def test_rounds_are_what_was_recorded(tmp_path: Path) -> None:
    """In the JSON that other tools read, in the order of the blocks, for one benchmark after the
    other.
    """
    (tmp_path / "test_it.py").write_text(TEST)
    # In a worker of pytest-xdist the variables say so, and pytest-benchmark turns itself off.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    command = [sys.executable, "-m", "pytest", "-q", "test_it.py", "--benchmark-json", "out.json"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    found = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    assert [each["stats"]["data"] for each in found] == [[0.25, 1e-9, 3.5], [2.0, 0.1]]
