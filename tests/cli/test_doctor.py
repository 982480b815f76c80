"""harness doctor: its exit status, its line on stderr, and its JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli import main
from harness.engines.doctor import round_trip
from harness.engines.local.bubblewrap import bubblewrap_problem


@pytest.fixture(autouse=True)
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local engine alone: it is quick, and what is told of Docker is tested elsewhere."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Not even that one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    bubblewrap_problem.cache_clear()
    yield
    bubblewrap_problem.cache_clear()


def test_a_machine_with_an_engine(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0, all on stdout, in 80 columns, and at its end the engine that is taken."""
    assert main(["doctor"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert all(len(line) <= 80 for line in said.out.splitlines())
    assert said.out.splitlines()[-1].startswith("Ready: ")


def test_a_machine_whose_compiler_compiles_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 1 and the reason; a comparison of C is refused with it before anything is built, one
    of other things is not.
    """
    monkeypatch.setattr(round_trip, "BUILD", round_trip.BUILD.replace("gcc -o", "gcc -nostdinc -o"))
    assert main(["doctor"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert (
        "Not ready: the local engine works, but cannot build C without a working C toolchain" in out
    )
    compare = [
        "compare",
        "--engine",
        "local",
        "--runner",
        "tmp",
        "--blocks",
        "1",
        "--out",
        "r.jsonl",
    ]
    assert main(compare) == 2
    said = capsys.readouterr()
    assert "harness: not ready: the local engine" in said.err
    assert "stdio.h" in said.err
    assert "block 1" not in said.err
    tree = Path("tree")
    tree.mkdir()
    (tree / "cyber-dojo.sh").write_text("#!/bin/sh\ncat text\n")
    (tree / "cyber-dojo.sh").chmod(0o755)
    (tree / "text").write_text("x\n")
    assert main([*compare, "--tree", "tree", "--edit", "text"]) == 0


@pytest.mark.usefixtures("no_engine")
def test_a_machine_without_an_engine(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, the findings all the same, and one line on stderr that says why of each engine."""
    assert main(["doctor"]) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("harness: no engine works on this machine: docker: ")
    assert "local: " in line
    assert "! missing  bubblewrap" in said.out


def test_json_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing but JSON, with every field of every finding."""
    assert main(["doctor", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["engines"]["docker"]["problem"]
    assert found["engines"]["local"] == {
        "problem": "",
        "lacks": [],
        "makes_images": False,
        "refuses": "",
        "answers": False,
    }
    findings = [each for group in found["groups"] for each in group["findings"]]
    assert {frozenset(each) for each in findings} == {
        frozenset({"subject", "state", "what", "follows", "advice"})
    }


@pytest.mark.usefixtures("no_engine")
def test_json_in_a_file_when_nothing_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is written beside the table, and before the bad news."""
    assert main(["doctor", "--json", str(tmp_path / "found.json")]) == 2
    assert (
        json.loads((tmp_path / "found.json").read_text())["groups"][0]["title"] == "Docker engine"
    )
    assert "Docker engine" in capsys.readouterr().out


def test_json_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, status 2."""
    assert main(["doctor", "--json", str(tmp_path / "missing" / "found.json")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written" in line
