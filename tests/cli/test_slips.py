"""What the command line makes of slips, short options, older names and the Tab key."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import pytest

from harness.cli import main
from harness.cli.entry import COMMANDS, make_parser
from harness.inside.errors import UsageError, closest, not_among
from harness.runners import parse_variant


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["comapre"], "compare"),
        (["compare", "--runer", "tmp"], "--runner"),
        (["compare", "--engine", "dokcer"], "docker"),
        (["verify", "--property", "mirorr"], "mirror"),
        (["katas", "lsit"], "list"),
        (["run", "-r", "katas-datacontainer", "."], "katas-data-container"),
        (["run", "-r", "katas-data-container:stanby=warm", "."], "standby"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(
    arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the one line of the error, with exit status 2."""
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = int(ended.code or 0)
    said = capsys.readouterr().err
    assert status == 2
    assert f"did you mean {meant}?" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("wrong", ["zzz", "--zzz"])
def test_what_is_like_nothing_is_not_guessed_at(
    wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong guess would mislead."""
    with pytest.raises(SystemExit):
        main(["compare", wrong])
    said = capsys.readouterr().err
    assert f"unrecognized arguments: {wrong}; see harness compare --help" in said


def test_an_older_name_is_read_and_not_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    """`--budget` means `--seconds`, and `gate --budget` is not short for `--budgets`."""
    for command in ("compare", "gate", "load"):
        parser = make_parser([command])
        assert parser.parse_args([command, "--budget", "7"]).seconds == 7.0
        assert parser.parse_args([command, "-s", "8"]).seconds == 8.0
    with pytest.raises(SystemExit):
        main(["load", "--budgte", "3"])
    assert "--budget?" not in capsys.readouterr().err


def test_a_letter_is_short_for_the_same_option_in_every_command() -> None:
    """One letter for one thing: whoever learned it for one command knows it for all."""
    meanings: dict[str, set[str]] = {}
    for command in COMMANDS:
        parsers = [make_parser([command])]
        while parsers:
            parser = parsers.pop()
            for action in vars(parser)["_actions"]:
                for letter in action.option_strings:
                    if len(letter) == 2:
                        meanings.setdefault(letter, set()).add(action.dest)
                if isinstance(action, argparse._SubParsersAction):
                    parsers += action.choices.values()
    assert {letter: sorted(means) for letter, means in meanings.items() if len(means) > 1} == {}
    assert {"-e", "-r", "-o", "-s"} <= meanings.keys()


def test_the_names_that_are_known_are_listed() -> None:
    """With the likely one first; where nothing is known, nothing is guessed."""
    assert str(not_among("engine", "x", ["docker"])) == "there is no engine x; there are: docker"
    assert closest("docker", []) == ""
    with pytest.raises(UsageError, match="tmp has no option seede; it has: durable"):
        parse_variant("tmp:seede=1")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["com"], {"compare", "compare-results", "completion"}),
        (["compare", "--eng"], {"--engine"}),
        (["compare", "--engine", "loc"], {"local", "local-plain"}),
        (["katas", "dow"], {"download"}),
    ],
)
def test_bash_completes(
    typed: list[str], offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script that `harness completion bash` prints, in a real Bash."""
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completion"
    script.write_text(capsys.readouterr().out)
    asked = f"source {script}; COMP_WORDS=(harness {' '.join(typed)}); COMP_CWORD={len(typed)}; "
    run = 'eval "$(complete -p harness | sed "s/.*-F \\([^ ]*\\).*/\\1/")"; echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "-c", asked + run], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert set(done.stdout.split()) == offered
