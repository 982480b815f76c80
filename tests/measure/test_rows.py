"""The figures of a row, each by itself: which samples they are of, and how they are put together."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import scipy.stats

from harness.measure.summary import (
    Row,
    Share,
    by_machine,
    disk_growth,
    noise,
    ratio_to_floor,
    remarks,
    subject,
    summarize,
)
from harness.measure.trials.sample import Sample
from tests.measure.samples import sample


def edit(runner: str, block: int, seconds: float, **changes: object) -> Sample:
    return sample(runner, scenario="incremental", block=block, seconds=seconds, **changes)


SAMPLES = [
    edit("bare-make", 0, 1.0, answered_seconds=0.5, recompiled=1),
    edit("bare-make", 1, 2.0, answered_seconds=1.0, recompiled=2),
    edit("bare-make", 2, 4.0, answered_seconds=2.0, recompiled=1),
    edit(
        "tmp", 0, 3.0, answered_seconds=1.5, processor_seconds=0.5, harness_seconds=0.1, memory=100,
        bytes_in=10, bytes_out=1, disk_visible=1, disk_extra=20, disk_history=300,
        phases={"run": 1.0, "save": 0.5}, mtimes_kept=5, mtimes_changed=2, recompiled=24,
    ),
    edit(
        "tmp", 1, 4.0, answered_seconds=5.0, processor_seconds=0.7, harness_seconds=-0.1, memory=90,
        bytes_in=31, bytes_out=4, disk_visible=2, disk_extra=0, disk_history=0,
        phases={"run": 2.0}, mtimes_kept=7, mtimes_changed=None, recompiled=20, right=None,
    ),
    edit(
        "tmp", 2, 20.0, answered_seconds=9.0, processor_seconds=0.9, harness_seconds=0.3, memory=80,
        bytes_in=40, bytes_out=8, disk_visible=9, disk_extra=9, disk_history=9,
        phases={"run": 6.0, "save": 0.7}, mtimes_kept=1, mtimes_changed=1, recompiled=22,
        right=False,
    ),
    edit("tmp", 3, 99.0, outcome="timed_out", memory=5000, right=False, recompiled=None,
         mtimes_kept=1, mtimes_changed=4, bytes_in=999),
    edit("tmp", 4, 99.0, outcome="faulty", reason="no space", right=None, recompiled=None),
    sample("tmp", scenario="no-op", seconds=0.5, block=6, recompiled=0, bytes_in=999, memory=1,
           processor_seconds=60.0),
    sample("tmp", seconds=7.0, block=5, recompiled=24, processor_seconds=50.0, bytes_in=999),
]  # fmt: skip


def test_each_figure_of_a_row_is_of_its_own_samples() -> None:
    """Medians of the completed edits; counts, right answers and the peak of memory of all."""
    assert summarize(SAMPLES, ["tmp"])[1] == Row(
        runner="tmp",
        seconds={"full": 7.0, "incremental": 4.0, "no-op": 0.5},
        ratios={"incremental": 3.0},
        interval=None,  # three blocks are too few for one
        recompiled={"incremental": (20, 24), "no-op": (0, 0)},
        right=(3, 5),
        kept=(7, 14),
        answered=5.0,
        answered_ratio=4.5,
        grown=27,
        bytes_in=31,
        bytes_out=4,
        phases={"save": 0.5, "run": 2.0},
        used={"processor_seconds": 0.7, "harness_seconds": 0.1, "memory": 5000},
        timed_out=1,
        faulty=1,
    )


def test_what_nobody_measured_is_not_there() -> None:
    (floor,) = summarize([edit("bare-make", 0, 1.0, phases={}, recompiled=None, right=None)], [])
    assert (floor.used, floor.phases, floor.recompiled) == ({}, {}, {})
    assert (floor.answered, floor.answered_ratio, floor.grown) == (None, None, None)
    assert (floor.right, floor.kept, floor.timed_out, floor.faulty) == ((0, 0), (0, 0), 0, 0)
    (none,) = summarize([], [])
    assert (none.bytes_in, none.bytes_out, none.seconds) == (None, None, {})


def test_the_floor_of_a_block_counts_only_if_it_completed() -> None:
    """And a block without a floor has no ratio."""
    samples = [
        edit("bare-make", 0, 1.0),
        edit("bare-make", 1, 1.0, outcome="faulty"),
        edit("tmp", 0, 5.0),
        edit("tmp", 1, 50.0),
        edit("tmp", 2, 500.0),
    ]
    assert summarize(samples, ["tmp"])[1].ratios == {"incremental": 5.0}
    assert ratio_to_floor([samples[3]], samples) is None
    assert ratio_to_floor([samples[2]], samples, "answered_seconds") is None


def test_growth_is_known_only_if_each_part_is() -> None:
    assert disk_growth(sample(disk_visible=1, disk_extra=2, disk_history=-3)) == 0
    for part in ("disk_visible", "disk_extra", "disk_history"):
        known = {"disk_visible": 1, "disk_extra": 2, "disk_history": 3, part: None}
        assert disk_growth(sample(**known)) is None


def test_the_subject_is_what_a_player_does_most() -> None:
    order = ["incremental", "header", "no-op", "full", "first"]
    for place, scenario in enumerate(order):
        assert subject([sample(scenario=each) for each in reversed(order[place:])]) == scenario
    assert subject([]) == "incremental"


def test_a_share_is_of_the_machine_s_own_blocks() -> None:
    """All blocks count, whatever was played in them; ratios are about the subject alone."""
    samples = [
        edit("bare-make", 0, 1.0, machine="a"),
        edit("tmp", 0, 3.0, machine="a"),
        edit("bare-make", 1, 2.0, machine="b"),
        edit("tmp", 1, 4.0, machine="b"),
        sample("bare-make", block=2, seconds=1.0, machine="b"),
        sample("tmp", block=2, seconds=9.0, machine="b"),
        edit("bare-make", 3, 1.0, machine="b"),
        edit("tmp", 3, 9.0, machine="b", outcome="timed_out"),
    ]
    assert by_machine(samples, ["tmp", "katas-volume"]) == [
        Share("a", 1, {"tmp": 3.0}),
        Share("b", 3, {"tmp": 2.0}),
    ]


def test_noise_is_of_common_completed_blocks_of_the_subject() -> None:
    """The interval is that of the one as a ratio to the other, with the usual confidence."""
    samples = [
        *(edit(name, block, seconds) for block in range(9)
          for name, seconds in (("tmp", 3.0 + block), ("tmp#2", 1.5 + block / 2))),
        edit("tmp", 9, 3.0), edit("tmp#2", 9, 9.0, outcome="faulty"),
        sample("tmp", block=10), sample("tmp#2", block=10),
    ]  # fmt: skip
    found = noise(samples, "tmp", "tmp#2")
    assert found is not None
    assert (found.blocks, found.confidence) == (9, 0.99)
    assert (found.low, found.estimate, found.high) == (pytest.approx(2.0),) * 3
    assert noise(samples[-4:], "tmp", "tmp#2") is None


def test_remarks_say_what_failed_and_why() -> None:
    """Each status and each reason once, in order."""
    samples = [
        edit("bare-make", 0, 1.0, status=2),
        edit("tmp", 0, 1.0, status=1),
        edit("tmp", 1, 1.0, status=2),
        edit("tmp", 2, 1.0, status=7, outcome="timed_out"),
        edit("tmp", 3, 1.0, status=None, outcome="faulty", reason="no space"),
        edit("tmp", 4, 1.0, status=None, outcome="faulty", reason="no space"),
    ]
    assert remarks(samples) == [
        "the command exited with status 1, 2; did these builds fail?",
        "tmp: no space",
    ]
    assert remarks([]) == remarks([edit("bare-make", 0, 1.0)]) == []


def test_remarks_say_if_no_build_ended() -> None:
    late = [edit(name, 0, 60.0, outcome="timed_out") for name in ("bare-make", "tmp")]
    assert remarks(late) == ["no build ended within its time limit; raise --max-seconds"]
    assert remarks([*late, edit("tmp", 1, 1.0)]) == []


def test_only_edits_that_the_floor_completed_tell_whether_files_are_counted() -> None:
    """Neither a full build nor a time-out, nor what another runner did."""
    told = "not counted"
    uncounted = edit("bare-make", 0, 1.0, recompiled=None)
    assert told in remarks([uncounted])[0]
    assert told in remarks([uncounted, edit("tmp", 0, 1.0, recompiled=3)])[0]
    assert remarks([uncounted, edit("bare-make", 1, 1.0, recompiled=1)]) == []
    for other in (
        edit("bare-make", 0, 1.0, recompiled=None, outcome="faulty"),
        sample("bare-make", recompiled=None),
    ):
        assert remarks([other]) == []
    some = [edit("bare-make", 0, 1.0, recompiled=0), edit("bare-make", 1, 1.0, recompiled=1)]
    assert remarks(some) == []


def test_no_more_than_five_outliers_are_shown() -> None:
    """All are counted."""
    times = [*[1.0, 1.01, 0.99, 1.02] * 8, *(50.0 + place for place in range(6))]
    steady = sorted(range(len(times)), key=lambda place: place * 17 % len(times))
    samples = [edit("tmp", block, times[place]) for block, place in enumerate(steady)]
    shown = [f"{sample.seconds:.3g} s" for sample in samples if sample.seconds > 2]
    assert remarks(samples) == [
        f"tmp: 6 of 38 samples are outliers, which count like the rest: {', '.join(shown[:5])}"
    ]


def test_a_machine_is_unlike_only_beyond_noise() -> None:
    """Two machines are compared with each other; a block without a floor tells nothing."""

    def played(*machines: tuple[str, float]) -> list[Sample]:
        return [
            each
            for block in range(12)
            for place, (machine, ratio) in enumerate(machines)
            for each in (
                edit("bare-make", 2 * block + place, 1.0, machine=machine),
                edit("tmp", 2 * block + place, ratio + 0.02 * (block % 4), machine=machine),
            )
        ]

    assert remarks(played(("a", 2.0), ("b", 2.0))) == []
    full = [
        sample(name, block=100 + block, seconds=seconds, machine=machine)
        for block in range(24)
        for machine, ratio in (("a", 2.0), ("b", 9.0))
        for name, seconds in (("bare-make", 1.0), ("tmp", ratio))
    ]
    odd = [sample("tmp", scenario="no-op", block=200 + block, seconds=90.0) for block in range(3)]
    assert remarks([*played(("a", 2.0), ("b", 2.0)), *full, *odd]) == []
    same = [replace(each, seconds=1.0) for each in played(("a", 2.0), ("b", 2.0))]
    assert remarks(same) == []
    lonely = edit("tmp", 99, 2.0, machine="c")
    said = remarks([lonely, *played(("a", 2.0), ("b", 2.5))])
    assert [line for line in said if "outliers" not in line] == [
        f"machine {name} is unlike the rest: the ratio of tmp to bare make is {ratio} times theirs"
        for name, ratio in (("a", "0.80"), ("b", "1.25"))
    ]


def test_a_scenario_is_blind_by_its_own_floor_alone() -> None:
    """What bare make compiled in another scenario, before or after it by name, says nothing."""
    for other in ("full", "header", "no-op"):
        samples = [
            edit("bare-make", 0, 1.0, recompiled=0),
            sample("bare-make", scenario=other, block=1, recompiled=9),
            edit("tmp", 0, 1.0, recompiled=0),
        ]
        assert "incremental" not in summarize(samples, ["tmp"])[1].recompiled
    assert "incremental" in summarize(samples[1:], ["tmp"])[1].recompiled


def test_the_noise_interval_is_wide_enough_for_its_confidence() -> None:
    """Of nine blocks, the signs of all may be alike in 4 of 1,024 cases: the outermost means."""
    assert 2 * scipy.stats.binom.pmf(0, 9, 0.5) < 0.01
    found = noise(
        [edit(name, block, math.exp(block if name == "tmp" else 0)) for block in range(9)
         for name in ("tmp", "tmp#2")], "tmp", "tmp#2",
    )  # fmt: skip
    assert found is not None
    assert math.log(found.estimate) == pytest.approx(4.0)
    assert math.log(found.low) == pytest.approx(0.5)
    assert math.log(found.high) == pytest.approx(7.5)
