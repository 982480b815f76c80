"""Two results side by side: what moved, what was counted otherwise, and what else differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.gate.beside import MovedFigure, put_beside
from harness.inside.errors import UsageError
from harness.measure.results import Recording
from harness.measure.trials.sample import Sample
from tests.gate.figures import PIPE, blocks
from tests.support import one_line

ENGINE = {"engine": "docker 26.1", "storage driver": "overlay2", "kernel": "6"}


def recording(name: str, samples: list[Sample], **facts: object) -> Recording:
    """Of one machine, unless the facts say otherwise; its name is when it was made."""
    machine = {"id": "m1", "cpu": "a fast one", "engine": ENGINE}
    known = {
        "created": f"2026-11-0{len(name)}T00:00:00+00:00",
        "tree": "typical",
        "command": "./cyber-dojo.sh",
        "machine": "m1",
        "machines": {"m1": machine},
        "engine": ENGINE,
        "image": "harness-gcc",
        "max_seconds": 120.0,
        "harness": "0.1.0",
    }
    return Recording(Path(name), {**known, **facts}, samples, complete=True)


def moved(one: list[Sample], other: list[Sample]) -> dict[tuple[str, str, str], MovedFigure]:
    """By runner, scenario and metric."""
    found = put_beside(recording("a", one), recording("bb", other)).moved
    return {(each.runner, each.scenario, each.metric): each for each in found}


def test_a_time_is_compared_by_its_ratio_to_the_floor() -> None:
    """On a machine that is twice as slow, a runner is not slower, and bare make is."""
    one = blocks({PIPE: 5.0, "tmp": 9.0})
    other = [
        each
        for slow in blocks({PIPE: 5.0, "tmp": 18.0}, seed=2)
        for each in [type(slow)(**{**vars(slow), "seconds": 2 * slow.seconds})]
    ]
    found = moved(one, other)
    same = found[PIPE, "incremental", "seconds"]
    assert same.change is not None
    assert same.change.low < 1 < same.change.high
    assert same.says == "unclear"
    assert same.ratios == (pytest.approx(5, rel=0.1), pytest.approx(5, rel=0.1))
    slower = found["tmp", "incremental", "seconds"]
    assert slower.change is not None
    assert slower.change.low < 2 < slower.change.high
    assert (slower.says, slower.change.confidence) == ("slower", 0.95)
    floor = found["bare-make", "incremental", "seconds"]
    assert floor.ratios == (None, None)
    assert floor.says == "slower"
    back = moved(other, one)["tmp", "incremental", "seconds"]
    assert back.says == "faster"
    assert back.change is not None
    assert back.change.estimate == pytest.approx(1 / slower.change.estimate)


def test_what_only_one_of_them_has_is_told() -> None:
    """A runner, and a floor."""
    found = moved(blocks({PIPE: 5.0}), blocks({"tmp": 5.0}, seed=2))
    assert found[PIPE, "incremental", "seconds"].says == "only A"
    assert found["tmp", "incremental", "seconds"].says == "only B"
    without = [each for each in blocks({PIPE: 5.0}, seed=2) if each.runner == PIPE]
    assert moved(blocks({PIPE: 5.0}), without)[PIPE, "incremental", "seconds"].says == "no floor"


def test_what_a_player_does_most_comes_first_and_has_all_its_metrics() -> None:
    """The other scenarios have times alone."""
    memory = {"memory": 10_000_000, "answered_seconds": 0.5}
    samples = [
        *blocks({PIPE: 5.0}, scenario="full", **memory),
        *blocks({PIPE: 5.0}, first=40, **memory),
    ]
    found = put_beside(recording("a", samples), recording("bb", samples)).moved
    assert list(dict.fromkeys((each.scenario, each.metric) for each in found)) == [
        ("incremental", "seconds"),
        ("incremental", "answered_seconds"),
        ("incremental", "memory"),
        ("full", "seconds"),
    ]


def test_counters_are_told_only_where_they_differ() -> None:
    """Sizes that a compressor made, from a hundredth on."""
    one = blocks({PIPE: 5.0}, recompiled=1, bytes_in=1000, disk_history=10_000)
    for changes, expected in (
        ({"recompiled": 1, "bytes_in": 1000, "disk_history": 10_050}, []),
        (
            {"recompiled": 24, "bytes_in": 1000, "disk_history": 10_200},
            ["recompiled", "disk_history"],
        ),
    ):
        other = blocks({PIPE: 5.0}, seed=2, **changes)
        found = put_beside(recording("a", one), recording("bb", other)).counted
        assert [each.metric for each in found if each.runner == PIPE] == expected
    ranges = {each.metric: each.ranges for each in found}
    assert ranges["recompiled"] == ((1, 1), (24, 24))


@pytest.mark.parametrize(
    ("facts", "told", "allowed_for"),
    [
        ({}, None, True),
        ({"machines": {"m2": {"cpu": "a fast one"}}}, ("machine", ("m1", "m2")), True),
        ({"image": "other"}, ("image", ("harness-gcc", "other")), True),
        ({"image": None}, ("image", ("harness-gcc", "unknown")), True),
        (
            {"engine": {**ENGINE, "engine": "docker 20.10"}},
            ("engine version", ("26.1", "20.10")),
            True,
        ),
        ({"engine": {**ENGINE, "engine": "local 26.1"}}, ("engine", ("docker", "local")), False),
        ({"tree": "lua"}, ("tree", ("typical", "lua")), False),
        ({"max_seconds": 10.0}, ("limit of a build", ("120 s", "10 s")), True),
        ({"machines": {"m1": {"cpu": "slow"}}}, ("processor", ("a fast one", "slow")), True),
    ],
)
def test_another_environment_is_told(
    facts: dict[str, object], told: tuple[str, tuple[str, str]] | None, allowed_for: bool
) -> None:
    """And whether a ratio to bare make allows for it."""
    samples = blocks({PIPE: 5.0})
    found = put_beside(recording("a", samples), recording("bb", samples, **facts)).differences
    if told is None:
        assert not found
        return
    (only,) = found
    assert (only.fact, only.values) == told
    assert only.allowed_for is allowed_for


def test_what_cannot_stand_beside_another_is_refused() -> None:
    samples = blocks({PIPE: 5.0})
    one = recording("a", samples)
    with pytest.raises(UsageError) as twice:
        put_beside(one, recording("b", samples))
    assert "the same run" in one_line(twice.value)
    crowd = [*blocks({PIPE: 5.0}, 2), *blocks({PIPE: 5.0}, 2, first=2, avatars=8)]
    with pytest.raises(UsageError, match="numbers of avatars"):
        put_beside(one, recording("bb", crowd))
