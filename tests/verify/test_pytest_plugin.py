"""The pytest plugin: one test a cell of the matrix, reported as pytest reports tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CONFTEST = '''
"""Proofs that are quick, and each end in another way."""

from harness.verify import proofs
from harness.verify.proofs import Refuted, Untried


def fail(case):
    raise Refuted(f"case {case} was lost")


def prove(subject, search, name):
    if name == "mirror":
        raise Untried("this needs a unicorn")
    search.listed("cases", [1, 2], fail if name in ("atomic", "exact-mtimes") else lambda case: None)


proofs.PROOFS = dict.fromkeys(["exact-mtimes", "no-missed-edit", "mirror", "atomic", "timed-out"])
proofs.proof = lambda name: lambda subject, search: prove(subject, search, name)

import harness.verify.matrix
harness.verify.matrix.PROOFS = proofs.PROOFS
'''

Play = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Runs pytest in a project of somebody else's."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_mine.py").write_text("from harness.verify.suite import test_property\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-W",
            "error",
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            *arguments,
        ]
        environment = {
            **os.environ,
            "HARNESS_HOME": str(tmp_path / "home"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


ON = ("--harness-engine", "local-plain")


def test_each_cell_is_a_test(play: Play) -> None:
    """What is claimed and proved passes, and so does what is not claimed and refuted; what is not
    known is skipped.
    """
    done = play(*ON, "--harness-runner=katas-volume", "-v", "-rs")
    lines = {
        line.split("[")[1].split("]")[0]: line.split("] ")[1].split()[0]
        for line in done.stdout.splitlines()
        if line.startswith("test_mine.py::")
    }
    assert lines == {
        "katas-volume-local-plain-exact-mtimes": "FAILED",  # claimed, refuted
        "katas-volume-local-plain-no-missed-edit": "PASSED",  # claimed, proved
        "katas-volume-local-plain-mirror": "SKIPPED",  # unknown
        "katas-volume-local-plain-atomic": "PASSED",  # not claimed, refuted
        "katas-volume-local-plain-timed-out": "SKIPPED",  # not claimed, proved
    }
    assert "this needs a unicorn" in done.stdout
    assert "but 2 examples did not refute it either" in done.stdout
    assert done.returncode == 1


def test_a_failure_says_the_counterexample_and_how_to_replay_it(play: Play) -> None:
    """And nothing of how the proof is made."""
    done = play(*ON, "--harness-runner=tmp", "--harness-runner=katas-volume", "-k", "exact")
    assert (
        "exact-mtimes of katas-volume on local-plain is claimed, and does not hold: 1: case 1 was lost"
        in done.stdout
    )
    command = "harness verify --runner katas-volume --engine local-plain --property exact-mtimes --replay cases.MQ"
    assert f"replay it: {command}\n" in done.stdout
    assert "Traceback" not in done.stdout
    assert "raise Refuted" not in done.stdout
    assert "1 failed, 1 passed" in done.stdout  # tmp does not claim it


def test_the_ini_file_names_runners_and_engines(play: Play, tmp_path: Path) -> None:
    """And the command line outweighs it."""
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nharness_runners = tmp\n  katas-volume\nharness_engines = local-plain local\n"
    )
    names = play("--collect-only", "-q", "-k", "mirror").stdout.split()
    assert names[:4] == [
        f"test_mine.py::test_property[{runner}-{engine}-mirror]"
        for engine in ("local-plain", "local")
        for runner in ("tmp", "katas-volume")
    ]
    chosen = play(
        "--collect-only", "-q", "-k", "mirror", *ON, "--harness-runner=katas-data-container"
    ).stdout
    assert (
        chosen.split()[0] == "test_mine.py::test_property[katas-data-container-local-plain-mirror]"
    )


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--harness-runner=none", "there is no runner none"),
        ("--harness-engine=none", "there is no engine none"),
    ],
)
def test_bad_options(option: str, said: str, play: Play) -> None:
    """One line, and pytest's own exit status for it; no traceback."""
    done = play(option)
    assert said in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.USAGE_ERROR


def test_without_hypothesis_it_says_what_to_install(play: Play, tmp_path: Path) -> None:
    """In one line; whoever asks for no proof is not told."""
    (tmp_path / "conftest.py").write_text("import sys\n\nsys.modules['hypothesis'] = None\n")
    (tmp_path / "test_mine.py").write_text("def test_mine(): ...\n")
    done = play("--harness-runner=tmp", "-p", "no:hypothesispytest")
    assert "pip install 'tarpipe-harness[verify]'" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "1 passed" in play("-p", "no:hypothesispytest").stdout


def test_an_engine_that_is_not_there_skips(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason: nothing was proved, and nothing refuted."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    done = play("--harness-engine=docker", "--harness-runner=tmp", "-rs")
    assert "5 skipped" in done.stdout
    assert "there is no engine docker here" in done.stdout


def test_nothing_is_imported_until_it_is_used(tmp_path: Path) -> None:
    """Every test run on the machine loads the plugin, and pays next to nothing for it."""
    (tmp_path / "test_other.py").write_text(
        "import sys\n\ndef test_it():\n    heavy = ('harness.engines', 'harness.runners', 'harness.verify.proofs')\n"
        "    heavy += ('hypothesis', 'scipy', 'numpy', 'pandas', 'matplotlib', 'docker', 'requests', 'rich')\n"
        "    assert 'harness.verify.pytest_plugin' in sys.modules\n    assert not set(heavy) & set(sys.modules)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout
    markers = subprocess.run(
        [*command, "--markers"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "@pytest.mark.harness: a proof of what a runner claims" in markers.stdout
