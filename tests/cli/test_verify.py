"""harness verify: exit statuses, the file for programs, and what an interruption leaves to see."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from harness.cli import main
from harness.runners.claims import Property
from harness.verify import proofs
from harness.verify.proofs import Refuted, Search, Subject, Untried
from tests import ROOT

SCHEMA = json.loads((ROOT / "results" / "verify-schema.json").read_text())

ONE = (
    "verify",
    "--engine",
    "local-plain",
    "--runner",
    "katas-volume",
    "--profile",
    "ci",
    "--jobs",
    "1",
)
"""It claims no-missed-edit, and not atomic; proved in this process, where a proof can be another
one.
"""

CLAIMED, UNCLAIMED = ("--property", "no-missed-edit"), ("--property", "atomic")


def holds(subject: Subject, search: Search) -> None:
    search.listed("cases", [1, 2], lambda case: None)


def fails(subject: Subject, search: Search) -> None:
    def check(case: int) -> None:
        if case == 2:
            raise Refuted(f"{subject.variant.label} lost a file")

    search.listed("cases", [1, 2], check)


def cannot(subject: Subject, search: Search) -> None:
    raise Untried("this needs a unicorn")


def breaks(subject: Subject, search: Search) -> None:
    raise ZeroDivisionError("by zero")


Prove = Callable[[Subject, Search], None]


@pytest.fixture
def proving(monkeypatch: pytest.MonkeyPatch) -> Callable[[Prove], None]:
    """Lets every property have this proof."""
    return lambda prove: monkeypatch.setattr(proofs, "proof", lambda name: prove)


@pytest.mark.parametrize(
    ("prove", "claimed", "unclaimed"),
    [(holds, 0, 3), (fails, 1, 0), (cannot, 3, 3), (breaks, 3, 3)],
)
def test_the_exit_status(
    prove: Prove, claimed: int, unclaimed: int, proving: Callable[[Prove], None]
) -> None:
    """1 where a claim was refuted; 3 where something is not known; 0 where all is as claimed."""
    proving(prove)
    assert main([*ONE, *CLAIMED]) == claimed
    assert main([*ONE, *UNCLAIMED]) == unclaimed


def test_the_counterexample_is_printed_and_replayed(
    proving: Callable[[Prove], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The command that is printed is the command that replays it."""
    proving(fails)
    assert main([*ONE, *CLAIMED]) == 1
    out = capsys.readouterr().out
    assert "katas-volume lost a file" in out
    (command,) = (line.strip() for line in out.splitlines() if "--replay" in line)
    assert main(command.split()[1:]) == 1
    assert "katas-volume lost a file" in capsys.readouterr().out


def test_a_proof_that_breaks_off_does_not_take_the_matrix_down(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are proved; the traceback is shown to whoever asks for it."""
    monkeypatch.setattr(proofs, "proof", lambda name: breaks if name == Property.ATOMIC else holds)
    arguments = [
        "verify",
        "--engine",
        "local-plain",
        "--runner",
        "katas-data-container",
        *CLAIMED,
        *UNCLAIMED,
        "--jobs",
        "1",
    ]
    assert main(arguments) == 3
    out, err = capsys.readouterr()
    assert "+ proved 2" in out
    assert "the proof broke off: ZeroDivisionError: by zero" in out
    assert "Traceback" not in out + err
    assert main([*arguments, "--debug"]) == 3
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("prove", [holds, fails, cannot, breaks])
def test_the_file_is_as_its_schema_says(
    prove: Prove, proving: Callable[[Prove], None], tmp_path: Path
) -> None:
    """Whatever was found; and a file of before is replaced."""
    proving(prove)
    out = tmp_path / "matrix.json"
    for _ in range(2):
        main(
            [*ONE, *CLAIMED, *UNCLAIMED, "--engine", "local", "--runner", "tmp", "--json", str(out)]
        )
    found = json.loads(out.read_text())
    Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(found)
    assert found["complete"]
    cells = {(each["property"], each["runner"], each["engine"]) for each in found["findings"]}
    assert len(cells) == len(found["findings"]) == 8


def test_the_schema_has_teeth(proving: Callable[[Prove], None], tmp_path: Path) -> None:
    """It knows each property, and a refutation without its counterexample is against it."""
    assert SCHEMA["$defs"]["property"]["enum"] == [str(each) for each in Property]
    assert list(SCHEMA["properties"]["profile"]["enum"]) == list(proofs.PROFILES)
    proving(fails)
    out = tmp_path / "matrix.json"
    main([*ONE, *CLAIMED, "--json", str(out)])
    found = json.loads(out.read_text())
    found["findings"][0]["counterexample"] = None
    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMA).validate(found)


def test_an_interruption_shows_what_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """On the terminal and in the file; the exit status is a shell's for ctrl-C."""

    def interrupted(subject: Subject, search: Search) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(
        proofs, "proof", lambda name: interrupted if name == Property.ATOMIC else fails
    )
    out = tmp_path / "matrix.json"
    assert main([*ONE, *CLAIMED, *UNCLAIMED, "--json", str(out)]) == 130
    said = " ".join(capsys.readouterr().out.split())
    assert "katas-volume lost a file" in said
    assert "stopped after 1 of 2; the rest was not tried" in said
    found = json.loads(out.read_text())
    Draft202012Validator(SCHEMA).validate(found)
    assert not found["complete"]
    assert [each["property"] for each in found["findings"]] == ["no-missed-edit"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--runner", "none"], "there is no runner none"),
        (["--runner", "tmp:speed=fast"], "has no option speed"),
        (["--profile", "lazy"], "there are: dev, ci, thorough"),
        (["--jobs", "0"], "--jobs must be at least 1"),
        ([*CLAIMED, *UNCLAIMED, "--replay", "cases.Mg"], "--replay needs the one --property"),
        ([*CLAIMED, "--replay", "rubbish"], "rubbish"),
        (["--json", "nowhere/matrix.json"], "cannot be written"),
        (["--image", "alpine"], "the image alpine takes bubblewrap"),
    ],
)
def test_bad_input(
    arguments: list[str],
    said: str,
    proving: Callable[[Prove], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line, exit status 2, and nothing was proved before it was said."""
    proving(holds)
    assert main(["verify", "--engine", "local-plain", *arguments]) == 2
    out, err = capsys.readouterr()
    assert said in err.strip().splitlines()[-1]
    assert "proved" not in out


def test_a_real_proof_on_a_real_engine(capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing replaced: the data-container never misses an edit."""
    arguments = ["verify", "--engine", "local-plain", "--runner", "katas-data-container", *CLAIMED]
    assert main([*arguments, "--profile", "ci"]) == 0
    out, err = capsys.readouterr()
    assert "+ proved" in out
    assert "no-missed-edit of katas-data-container on local-plain: + proved" in err
