"""harness soak: exit statuses, and what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "x"], "is not AVATAR:NUMBER"),
        (["--only", "99:1"], "there is no avatar 99"),
        (["--minutes", "0"], "is not a number greater than 0"),
        (["--runner", "nobody"], "nobody"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit status 2."""
    try:
        status = main(["soak", "--engine", "local-plain", *arguments])
    except SystemExit as ended:
        status = int(str(ended.code))
    said = capsys.readouterr().err
    assert (status, words in said, "Traceback" in said) == (2, True, False)


def test_it_says_what_was_played(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Test events, faults, what was checked, and how many violations there were."""
    status = main(
        [
            "soak",
            "--engine",
            "local-plain",
            "--runner",
            "katas-data-container",
            "--seed",
            "1",
            "--only",
            "0:3",
        ]
    )
    said = capsys.readouterr().out
    assert status == 0, said
    for words in (
        "4 test events",
        "faults",
        "downloads checked",
        "entries compared",
        "0 violations",
    ):
        assert words in said
