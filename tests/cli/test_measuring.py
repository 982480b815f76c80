"""The commands that measure, as a user types them, on the local engine."""

from __future__ import annotations

import argparse

import pytest

import harness
from harness.cli import main
from harness.cli.measuring import add_arms, variants
from harness.inside.errors import UsageError

LOCAL = ("--engine", "local", "--out", "r.jsonl")


def test_load_prints_throughput_and_the_slowest_by_crowd(capfd: pytest.CaptureFixture[str]) -> None:
    """And records every test event; what is done, and how long a round will take, is said on the
    way.
    """
    arguments = (
        "load",
        "--tree",
        "typical:cost=0.01",
        "--avatars",
        "2,1",
        "--events",
        "4",
        "--seconds",
        "0.1",
    )
    assert main((*arguments, "--runner", "katas-volume", *LOCAL)) == 0
    out, err = capfd.readouterr()
    for words in (
        "bare-make",
        "katas-volume",
        "test events a second",
        "slowest twentieth",
        "2/2",
        "4/4",
    ):
        assert words in out
    for words in ("first builds with bare-make", "12 test events, will probably take"):
        assert words in err
    frame = harness.load_results("r.jsonl")
    assert frame["complete"].all()
    assert frame.groupby(["avatars", "runner"]).size().to_dict() == {
        (avatars, runner): 2 * avatars
        for avatars in (1, 2)
        for runner in ("bare-make", "katas-volume")
    }


def test_scale_prints_a_table_an_axis_with_the_exponent(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = (
        "scale",
        "--cost",
        "0.01",
        "--sizes",
        "1.6MB,3MB",
        "--files",
        "none",
        "--blocks",
        "1",
    )
    assert main((*arguments, "--runner", "katas-volume", *LOCAL)) == 0
    out = capfd.readouterr().out
    for words in ("incremental build", "full build", "1.6MB", "3MB", "exponent of bytes"):
        assert words in out
    assert "of files" not in out
    assert harness.load_results("r.jsonl")["tree"].nunique() == 2


def test_standby_is_short_for_variants_of_the_runners_that_have_it() -> None:
    """One that says how it stands by itself is left as it is."""
    parser = argparse.ArgumentParser()
    add_arms(parser, "compare")
    words = ["--runner", "tmp", "--runner", "katas-data-container", "--standby", "cold", "seeded"]
    assert [each.label for each in variants(parser.parse_args(words))] == [
        "tmp",
        "katas-data-container:standby=cold",
        "katas-data-container:standby=seeded",
    ]
    with pytest.raises(UsageError, match="standby is one of cold, warm, seeded"):
        variants(parser.parse_args(["--standby", "odd"]))
    for runner in ("tmp", "katas-data-container:standby=warm"):
        with pytest.raises(UsageError, match="none of these runners can stand by"):
            variants(parser.parse_args(["--runner", runner, "--standby", "warm"]))


def test_what_cannot_be_measured_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Before an engine is taken."""
    assert main(("scale", "--sizes", "none", "--files", "none", *LOCAL)) == 2
    assert "nothing is left to measure" in capsys.readouterr().err
    assert main(("scale", "--sizes", "1GB", *LOCAL)) == 2
    assert "size=1GB" in capsys.readouterr().err
    for arguments in (
        ("load", "--avatars", "1,none"),
        ("load", "--avatars", "0"),
        ("scale", "--files", "some"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
