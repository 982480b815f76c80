"""The views of two results side by side: both say the same, and neither is broken by a name."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from harness.cli import main
from harness.gate.beside import Beside, put_beside
from harness.measure.results import read_result
from harness.report.beside import ALIKE, markdown, terminal
from tests import ROOT
from tests.gate.figures import PIPE, blocks
from tests.gate.test_beside import recording

RECORDINGS = ROOT / "results" / "recordings"
DOCKER, SLOW = RECORDINGS / "typical-docker.jsonl", RECORDINGS / "typical-slow.jsonl"


def on_terminal(beside: Beside, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(terminal.render(beside))
    return out.getvalue()


VIEWS: tuple[Callable[[Beside], str], ...] = (on_terminal, markdown.render)


@pytest.fixture(scope="module")
def unlike() -> Beside:
    """The same experiment with two storage drivers, really recorded."""
    return put_beside(read_result(DOCKER), read_result(SLOW))


@pytest.mark.parametrize("render", VIEWS)
def test_each_runner_has_its_ratio_with_an_interval(
    render: Callable[[Beside], str], unlike: Beside
) -> None:
    """And what differs is told, with what no ratio allows for."""
    text = render(unlike)
    (tmp,) = [
        each
        for each in unlike.moved
        if (each.runner, each.scenario, each.metric) == ("tmp", "incremental", "seconds")
    ]
    assert tmp.change is not None
    assert f"{tmp.change.low:.2f} to {tmp.change.high:.2f}" in text
    assert "95 % interval" in text
    assert "fuse-overlayfs" in text
    assert "allows for another storage driver" in " ".join(text.split())
    assert "too few blocks" in text  # of full builds


@pytest.mark.parametrize("width", [80, 100, 160])
def test_it_fits_the_terminal(width: int, unlike: Beside) -> None:
    """Long names are broken, figures never are."""
    lines = on_terminal(unlike, width).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    (row,) = [line for line in lines if "2.81 s (43.57)" in line]
    assert "0.63   0.52 to 0.82  faster" in row


@pytest.mark.parametrize("render", VIEWS)
def test_where_nothing_differs_it_says_so(render: Callable[[Beside], str]) -> None:
    one, other = blocks({PIPE: 5.0}), blocks({PIPE: 5.0}, seed=2)
    assert ALIKE in render(put_beside(recording("a", one), recording("bb", other)))


def test_no_name_breaks_out_of_its_cell() -> None:
    awkward = "a|b\n<c> *d* \x1b[31m"
    one, other = (blocks({awkward: 5.0}, recompiled=number, seed=number) for number in (1, 2))
    beside = put_beside(recording("a", one), recording("bb", other, image=awkward))
    tables = [line for line in markdown.render(beside).splitlines() if line.startswith("|")]
    counts = {line.replace("\\|", "").count("|") for line in tables}
    assert counts == {8, 4}


def test_the_command_prints_and_writes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "beside.md"
    assert main(["compare-results", str(DOCKER), str(SLOW), "--markdown", str(out)]) == 0
    assert "A and B were not measured alike" in capsys.readouterr().out
    assert out.read_text() == markdown.render(put_beside(read_result(DOCKER), read_result(SLOW)))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["DOCKER", "DOCKER"], "is the same run as"),
        (["DOCKER", "missing.jsonl"], "missing.jsonl cannot be read"),
        (["DOCKER", "SLOW", "--markdown", "DOCKER"], "would be overwritten"),
        (["DOCKER", "SLOW", "--markdown", "no/such/x.md"], "cannot be written"),
        (["DOCKER"], "required: B"),
    ],
)
def test_bad_input_gives_one_line(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit status 2, and no result is overwritten."""
    monkeypatch.chdir(tmp_path)
    for path in (DOCKER, SLOW):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    names = {"DOCKER": DOCKER.name, "SLOW": SLOW.name}
    given = ["compare-results", *(names.get(each, each) for each in arguments)]
    try:
        status = main(given)
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert (tmp_path / DOCKER.name).read_bytes() == DOCKER.read_bytes()
