"""Budgets: what a sentence means, and what is refused with its place."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.gate.budgets import (
    Budget,
    Sense,
    budget,
    intervals,
    parse_budgets,
    read_budgets,
)
from harness.inside.errors import UsageError
from harness.measure.metrics import METRICS
from tests.support import one_line

PIPE = "[katas-data-container.incremental]\n"


def only(text: str, metric: str = "seconds") -> Budget:
    """The one budget of a sentence."""
    (found,) = parse_budgets(tomllib.loads(f'{PIPE}{metric} = "{text}"'), "budgets.toml")
    return found


def refused(text: str) -> str:
    """The one line that a file with this text is refused with."""
    with pytest.raises(UsageError) as caught:
        parse_budgets(tomllib.loads(text), "budgets.toml")
    assert one_line(caught.value).startswith("budgets.toml: ")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "sense", "amount", "than"),
    [
        ("at most 1.4 times katas-volume", Sense.AT_MOST, 1.4, "katas-volume"),
        ("at most 1/10 of full", Sense.AT_MOST, 0.1, "full"),
        ("at most 5 % above the baseline", Sense.AT_MOST, 1.05, "baseline"),
        ("at  most 5% above baseline", Sense.AT_MOST, 1.05, "baseline"),
        ("at least 10 times tmp", Sense.AT_LEAST, 10, "tmp"),
        (
            "at most 2 times katas-data-container:start=warm",
            Sense.AT_MOST,
            2,
            "katas-data-container:start=warm",
        ),
    ],
)
def test_a_time_is_compared(text: str, sense: Sense, amount: float, than: str) -> None:
    """With another runner, another scenario or the baseline, by a factor, a fraction or a
    percentage.
    """
    found = only(text)
    assert (found.sense, found.than) == (sense, than)
    assert found.amount == pytest.approx(amount)
    assert found.noisy


@pytest.mark.parametrize(
    ("metric", "text", "amount"),
    [
        ("recompiled", "exactly 1", 1),
        ("mtimes_changed", "exactly 0", 0),
        ("bytes_in", "at most 1.7 MB", 1.7e6),
        ("memory", "at most 60 MB", 60e6),
    ],
)
def test_a_counter_stands_alone(metric: str, text: str, amount: float) -> None:
    """It takes no interval."""
    found = only(text, metric)
    assert (found.amount, found.than, found.noisy) == (amount, None, False)


def test_a_budget_reads_as_a_sentence() -> None:
    assert (
        str(only("at most 1/10 of full"))
        == "katas-data-container, incremental: seconds at most 1/10 of full"
    )


def test_several_sentences_for_one_metric() -> None:
    """Only those that noise reaches share the confidence."""
    found = parse_budgets(
        tomllib.loads(
            PIPE
            + 'seconds = ["at most 1.4 times katas-volume", "at most 1/10 of full"]\nrecompiled = "exactly 1"'
        ),
        "budgets.toml",
    )
    assert [each.metric for each in found] == ["seconds", "seconds", "recompiled"]
    assert intervals(found) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[tmp.sometimes]\nseconds = "at most 2 times bare-make"',
            "no scenario sometimes; there are: full",
        ),
        (
            '[tmp.full]\nspeed = "at most 2"',
            "tmp.full.speed: there is no metric speed; there are: seconds",
        ),
        ('[tmp.full]\nseconds = "fast"', "tmp.full.seconds: 'fast' is not a budget; write it as"),
        ('[tmp.full]\nseconds = "at most 2 s"', "is not a budget"),
        ('[tmp.full]\nseconds = "at most 2"', "a time alone depends on the machine"),
        ('[tmp.full]\nseconds = "exactly 2 times bare-make"', "a measured ratio is never exact"),
        ('[tmp.full]\nseconds = "at most 0 times bare-make"', "can never be kept"),
        ('[tmp.full]\nseconds = "at most 1/0 of bare-make"', "1/0 is not a number"),
        ('[tmp.full]\nseconds = "at most 5 % times bare-make"', "is not a budget"),
        ('[tmp.full]\nseconds = "at most 5 above bare-make"', "is not a budget"),
        ('[tmp.full]\nbytes_in = "at most 5 %"', "is not a budget"),
        ('[tmp.full]\nseconds = "at most 2 times tmp"', "with itself"),
        ('[tmp.full]\nseconds = "at most 2 times full"', "with itself"),
        ('[bare-make.full]\nseconds = "at most 5 % above the baseline"', "no ratio to itself"),
        (
            '[tmp.full]\nrecompiled = "at most 1.5 kB"',
            "recompiled is a number, not a size; leave out kB",
        ),
        ("[tmp.full]\nseconds = 2", "2 is not a sentence"),
        ("tmp = 2", "write a heading [RUNNER.SCENARIO]"),
        ('[tmp]\nfull = "at most 2"', "write a heading [RUNNER.SCENARIO]"),
        ("", "there is no budget"),
        ("[tmp.full]", "there is no budget"),
    ],
)
def test_what_is_no_budget_is_refused_with_its_key(text: str, said: str) -> None:
    """In one line that says what to write instead."""
    assert said in refused(text)


@pytest.mark.parametrize(
    "text",
    [
        '[tmp.full]\nrecompiled = ["exactly 1", "exactly 2"]',
        '[tmp.full]\nrecompiled = ["at most 1", "at least 2"]',
        '[tmp.full]\nseconds = ["at most 2 times bare-make", "at least 3 times bare-make"]',
        '[tmp.full]\nseconds = "at most 0.9 times katas-volume"\n'
        '[katas-volume.full]\nseconds = "at most 0.9 times tmp"',
        '[tmp.incremental]\nseconds = "at most 1/10 of full"\n[tmp.full]\nseconds = "at most 5 times incremental"',
    ],
)
def test_budgets_that_no_result_can_keep_to_are_refused(text: str) -> None:
    """The other way round and in another heading too."""
    assert "contradicts" in refused(text)


def test_a_bound_that_is_set_twice_is_refused() -> None:
    assert "bound the same figure; keep one" in refused(
        '[tmp.full]\nrecompiled = ["at most 3", "at most 4"]'
    )


def test_budgets_that_agree_are_taken() -> None:
    """Both sides of a range, and a ratio and its inverse."""
    found = parse_budgets(
        tomllib.loads(
            '[tmp.full]\nrecompiled = ["at least 1", "at most 3"]\nseconds = "at most 1.5 times katas-volume"\n'
            '[katas-volume.full]\nseconds = "at most 1.5 times tmp"'
        ),
        "budgets.toml",
    )
    assert len(found) == 4


def test_a_file_that_is_no_toml_is_refused_with_the_line(tmp_path: Path) -> None:
    """And one that is not there, or not even text."""
    path = tmp_path / "budgets.toml"
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_budgets(path)
    path.write_text("[tmp.full]\nseconds =\n")
    with pytest.raises(UsageError, match=r"budgets\.toml is not valid TOML: .*line 2"):
        read_budgets(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not valid TOML"):
        read_budgets(path)


@given(st.text(), st.sampled_from(list(METRICS)))
def test_whatever_is_written_gives_a_budget_or_one_line(text: str, metric: str) -> None:
    """No traceback, ever."""
    try:
        budget("tmp", "full", metric, text, "place")
    except UsageError as error:
        one_line(error)


def test_sizes_are_in_decimal_units() -> None:
    """A unit may stand right after its number."""
    found = [
        only(f"at most {text}", "memory").amount for text in ("3", "3 B", "3kB", "3 MB", "3 GB")
    ]
    assert found == [3, 3, 3_000, 3_000_000, 3_000_000_000]
    for unit in ("gB", "TB"):
        assert "is not a budget" in refused(f'[tmp.full]\nmemory = "at most 3 {unit}"')
    assert "is not a budget" in refused('[tmp.full]\nmemory = "at most 3 MB times katas-volume"')


def test_what_is_compared_makes_the_kind_of_a_budget() -> None:
    """A counter that is compared is not noisy, memory is; nothing more than the baseline is."""
    assert not only("at most 2 times tmp", "recompiled").noisy
    assert only("at most 2 times tmp", "memory").noisy
    assert not only("at most 2 MB", "memory").noisy
    assert only("at most 0 % above the baseline").amount == 1
    assert only("at least 25 % above tmp").amount == 1.25
    floor = '[bare-make.full]\nbytes_in = "at most 5 % above the baseline"'
    assert len(parse_budgets(tomllib.loads(floor), "budgets.toml")) == 1
    assert only("at most 0", "recompiled").amount == 0
    assert "with itself" in refused(PIPE + 'seconds = "at most 2 of incremental"')


@pytest.mark.parametrize(
    "text",
    [
        '[a.full]\nrecompiled = ["at most 2", "at least 2"]',
        '[a.full]\nrecompiled = ["at most 0", "exactly 0"]',
        '[a.full]\nseconds = "at most 2 of first"\n[a.first]\nseconds = "at most 2 of full"',
        '[a.first]\nseconds = "at most 2 of full"\n[a.full]\nseconds = "at most 2 of first"',
        '[a.full]\nrecompiled = ["exactly 2", "at least 2", "at most 2"]',
        '[a.full]\nseconds = "at most 1/3 times b"\n[b.full]\nseconds = "at most 3 times a"',
        '[a.full]\nseconds = "at most 1/3 times b"\n[b.full]\nseconds = "at least 3 times a"',
        '[b.full]\nseconds = "at most 1/3 times a"\n[a.full]\nseconds = "at least 3 times b"',
        '[a.full]\nseconds = ["at most 2 times b", "at most 3 times c", "at most 2 of first"]',
        '[a.full]\nseconds = "at most 2 times b"\nphase_run = "at most 2 times b"',
        '[a.full]\nseconds = "at most 2 times b"\n[a.first]\nseconds = "at most 2 times b"',
        '[a.full]\nrecompiled = ["exactly 2", "at most 1 of baseline"]',
        '[a.full]\nseconds = "at least 3 times b"\n[b.full]\nseconds = "at least 1/4 times a"',
    ],
)
def test_bounds_that_touch_or_are_of_different_figures_agree(text: str) -> None:
    """Up to the last bit of a fraction."""
    assert parse_budgets(tomllib.loads(text), "budgets.toml")


@pytest.mark.parametrize(
    "text",
    [
        '[a.full]\nseconds = "at most 1/3 times b"\n[b.full]\nseconds = "at most 2.999 times a"',
        '[b.full]\nseconds = "at least 3 times a"\n[a.full]\nseconds = "at least 0.334 times b"',
        '[a.full]\nrecompiled = ["at most 2", "exactly 3"]',
        '[a.full]\nrecompiled = ["at least 4", "exactly 3"]',
        '[a.full]\nseconds = ["at most 2 times the baseline", "at least 2.1 times the baseline"]',
        '[a.full]\nseconds = "at most 2 of first"\n[a.first]\nseconds = "at most 1/3 of full"',
    ],
)
def test_bounds_that_miss_each_other_contradict(text: str) -> None:
    """By a thousandth too."""
    assert "contradicts" in refused(text)
