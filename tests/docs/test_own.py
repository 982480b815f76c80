"""The pages about plug-ins: what they show is a package, which is installed and used as they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs"
BLOCK = re.compile(r"^```(python|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "shown-{module}"
version = "1.0"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""


def install(page: str, folder: Path) -> dict[str, str]:
    """Install the package of a page below `folder`; returns an environment that has it."""
    text = (PAGES / page).read_text()
    module = re.search(r"your own, `(\w+)\.py`:", text)
    assert module
    blocks = [(kind, block) for kind, block in BLOCK.findall(text)]
    code = next(block for kind, block in blocks if kind == "python")
    points = next(block for kind, block in blocks if kind == "toml" and "entry-points" in block)
    package = folder / "package"
    package.mkdir()
    (package / f"{module[1]}.py").write_text(code)
    (package / "pyproject.toml").write_text(PROJECT.format(module=module[1]) + points)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    target = str(folder / "site-packages")
    subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--target", target, str(package)], check=True
    )
    return {**os.environ, "PYTHONPATH": target, "HARNESS_HOME": str(folder / "home")}


def run(environment: dict[str, str], folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A program of this environment in a folder that has nothing to do with this repository."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return install("how-to/own-engine.md", tmp_path_factory.mktemp("engine"))


def test_the_runner_of_the_page_is_proved(tmp_path: Path) -> None:
    """What it claims is not refuted."""
    environment = install("how-to/own-runner.md", tmp_path)
    chosen = ("--property", "no-missed-edit", "--profile", "ci", "--engine", "local-plain")
    done = run(environment, tmp_path, "harness", "verify", "--runner", "mine", *chosen)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_engine_of_the_page_is_taken_by_its_name(
    engine: dict[str, str], tmp_path: Path
) -> None:
    """By a command, which says that it is it."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "cyber-dojo.sh").write_text("#!/bin/sh\necho played\n")
    (project / "cyber-dojo.sh").chmod(0o755)
    done = run(engine, tmp_path, "harness", "run", "project", "--engine", "frugal")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "played\n"
    assert "katas-data-container on frugal" in " ".join(done.stderr.split())


def test_the_engine_of_the_page_is_held_to_the_suite(
    engine: dict[str, str], tmp_path: Path
) -> None:
    """By the one line that the page shows, and with no file at all."""
    (tmp_path / "test_engine.py").write_text(
        "from harness.verify.engine_suite import test_engine\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nharness_engines = frugal\n")
    few = ("-p", "no:cacheprovider", "-v", "-k", "output or volumes or says or sweeps")
    one_line = run(engine, tmp_path, "pytest", "test_engine.py", *few)
    assert one_line.returncode == 0, one_line.stdout
    assert "test_engine[frugal-hands-out-output] PASSED" in one_line.stdout
    (tmp_path / "pytest.ini").unlink()
    named = ("--pyargs", "harness.verify.engine_suite", "--harness-engine=frugal")
    no_file = run(engine, tmp_path, "pytest", *named, *few)
    assert no_file.returncode == 0, no_file.stdout
    assert "test_engine[frugal-keeps-volumes] PASSED" in no_file.stdout


def test_an_engine_that_fails_a_check_is_told_in_one_line(
    engine: dict[str, str], tmp_path: Path
) -> None:
    """What it did instead, without a traceback."""
    site = Path(engine["PYTHONPATH"])
    mistake = "    def traces(self):\n        return []\n"
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "frugal.py").write_text((site / "frugal.py").read_text() + "\n" + mistake)
    spoiled = {**engine, "PYTHONPATH": f"{broken}:{site}"}
    named = ("--pyargs", "harness.verify.engine_suite", "--harness-engine=frugal")
    done = run(spoiled, tmp_path, "pytest", *named, "-p", "no:cacheprovider", "-k", "traces")
    assert done.returncode == 1, done.stdout
    assert "the engine frugal: a sandbox that runs is no trace" in done.stdout
    assert "Traceback" not in done.stdout


RESULT = str(ROOT / "results" / "recordings" / "typical-docker.jsonl")


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return install("reference/results.md", tmp_path_factory.mktemp("exporter"))


def test_the_exporter_of_the_page_writes_its_format(
    exporter: dict[str, str], tmp_path: Path
) -> None:
    """And it is named with the others when there is no such format."""
    done = run(exporter, tmp_path, "harness", "export", RESULT, "--to", "spoken")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"[\w:=-]+ was fastest, with \d\.\d{3} seconds\.\n", done.stdout)
    none = run(exporter, tmp_path, "harness", "export", RESULT, "--to", "none")
    assert none.returncode == 2
    assert "'bencher', " in none.stderr
    assert "'spoken')" in none.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise KeyError('the moon')", "failed (KeyError): 'the moon'"),
        ("return 'text'", "returned str, not bytes"),
        ("import harness; raise harness.UsageError('no moon in it')", "no moon in it"),
    ],
)
def test_an_exporter_that_breaks_is_told_in_one_line(
    code: str, said: str, exporter: dict[str, str], tmp_path: Path
) -> None:
    """With exit status 2, and no traceback."""
    (tmp_path / "spoken.py").write_text(f"def export(frame):\n    {code}\n")
    spoiled = {**exporter, "PYTHONPATH": f"{tmp_path}:{exporter['PYTHONPATH']}"}
    done = run(spoiled, tmp_path, "harness", "export", RESULT, "--to", "spoken")
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("harness: ")
    assert line.endswith(said)


def test_an_exporter_that_cannot_be_loaded_is_told(
    exporter: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "spoken.py").write_text("import nothing_of_this_name\n")
    spoiled = {**exporter, "PYTHONPATH": f"{tmp_path}:{exporter['PYTHONPATH']}"}
    done = run(spoiled, tmp_path, "harness", "export", RESULT, "--to", "spoken")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "the exporter spoken from spoken:export cannot be loaded" in line
