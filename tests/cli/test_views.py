"""harness plot and harness export, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.cli.status import USAGE
from tests import ROOT

RECORDINGS = ROOT / "results" / "recordings"
SCALED, FILES, CROWDED = (
    str(RECORDINGS / f"{name}-docker.jsonl") for name in ("scale", "files", "load")
)

PNG, SVG = b"\x89PNG", b"<?xml"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A short comparison, really played."""
    folder = tmp_path_factory.mktemp("results")
    tree, path = folder / "tree", folder / "result.jsonl"
    tree.mkdir()
    (tree / "cyber-dojo.sh").write_text("#!/bin/sh\ncat source\n")
    (tree / "cyber-dojo.sh").chmod(0o755)
    (tree / "source").write_text("1\n")
    how = [
        "--engine",
        "local-plain",
        "--runner",
        "katas-volume",
        "--blocks",
        "2",
        "--out",
        str(path),
    ]
    assert main(["compare", "--tree", str(tree), "--edit", "source", *how]) == 0
    return str(path)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", ["phases", "distribution"])
@pytest.mark.parametrize(("suffix", "magic"), [(".png", PNG), (".svg", SVG)])
def test_a_picture_is_drawn_and_said(
    kind: str,
    suffix: str,
    magic: bytes,
    result: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the format that the name asks for; what it shows is printed too."""
    out = tmp_path / f"picture{suffix}"
    assert main(["plot", result, "--kind", kind, "--out", str(out)]) == 0
    assert out.read_bytes().startswith(magic)
    assert "katas-volume" in capsys.readouterr().err


@pytest.mark.parametrize(("recording", "axis"), [(SCALED, "bytes"), (FILES, "files")])
def test_cost_is_drawn_against_what_grows(
    recording: str, axis: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "picture.svg"
    assert main(["plot", recording, "--kind", "scaling", "--out", str(out)]) == 0
    assert axis in capsys.readouterr().err


def test_an_export_goes_to_the_standard_output_or_a_file(
    result: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The same bytes."""
    assert main(["export", result, "--to", "bencher"]) == 0
    printed = capfdbinary.readouterr().out
    assert "incremental/katas-volume" in json.loads(printed)
    out = tmp_path / "out.json"
    assert main(["export", result, "--to", "bencher", "--out", str(out)]) == 0
    assert out.read_bytes() == printed


@pytest.mark.parametrize(
    "arguments",
    [
        ["plot", "--kind", "phases", "--out", "a.png"],
        ["export", "--to", "csv", "--out", "a.csv"],
        ["report", "--html", "a.html"],
    ],
)
def test_that_a_run_was_cut_short_is_told(
    arguments: list[str], result: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What there is of it is shown all the same."""
    (here / "cut.jsonl").write_text(
        "".join(Path(result).read_text().splitlines(keepends=True)[:-1])
    )
    assert main([arguments[0], "cut.jsonl", *arguments[1:]]) == 0
    assert "note: cut.jsonl was cut short" in capsys.readouterr().err
    assert (here / arguments[-1]).exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["plot", "RESULT", "--kind", "phases", "--out", "picture.gif"],
            "is neither .png nor .svg",
        ),
        (
            ["plot", "RESULT", "--kind", "phases", "--scenario", "no-op", "--out", "a.png"],
            "no completed no-op build",
        ),
        (
            ["plot", "missing.jsonl", "--kind", "phases", "--out", "a.png"],
            "missing.jsonl cannot be read",
        ),
        (["plot", SCALED, "--kind", "phases", "--out", "a.png"], "these results mix 3 trees"),
        (
            ["plot", CROWDED, "--kind", "distribution", "--out", "a.png"],
            "6 numbers of avatars at once",
        ),
        (
            ["plot", "RESULT", "--kind", "phases", "--out", "no/such/folder/a.png"],
            "no/such/folder/a.png",
        ),
        (["export", "missing.jsonl", "--to", "csv"], "missing.jsonl cannot be read"),
        (
            ["export", "RESULT", "--to", "csv", "--out", "no/such/folder/a.csv"],
            "no/such/folder/a.csv",
        ),
    ],
)
def test_bad_input_gives_one_line(
    arguments: list[str], said: str, result: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, one line, and no file."""
    assert main([result if each == "RESULT" else each for each in arguments]) == USAGE
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not list(here.iterdir())
