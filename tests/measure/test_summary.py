"""Samples to the one table."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from harness.measure.summary import noise, remarks, subject, summarize
from harness.measure.trials.crowd import levels
from harness.measure.trials.scenario import SCENARIOS
from harness.report import terminal
from harness.report.bars import ratio_bars
from tests.measure.samples import sample


def block(
    number: int, floor: float, tmp: float, *, machine: str = "", **changes: object
) -> list[object]:
    common = {"scenario": "incremental", "block": number, "machine": machine}
    return [
        sample("bare-make", seconds=floor, **common),
        sample("tmp", seconds=tmp, **common, **changes),
    ]


SAMPLES = [
    sample("bare-make", seconds=2.0),
    sample("tmp", seconds=3.0),
    *block(1, 0.1, 0.2, mtimes_kept=1, mtimes_changed=120, recompiled=24),
    *block(2, 0.2, 0.8, mtimes_kept=0, mtimes_changed=121, recompiled=23, right=False),
    *block(3, 0.1, 9.9, outcome="timed_out", right=False, recompiled=None),
]


def test_ratios_are_paired_within_their_block() -> None:
    """The floor of another block has another block's noise."""
    floor, tmp = summarize(SAMPLES, ["tmp"])  # type: ignore[arg-type]
    assert (floor.runner, tmp.runner) == ("bare-make", "tmp")
    assert tmp.ratios["incremental"] == 3.0
    assert floor.ratios["incremental"] == 1.0
    assert tmp.seconds == {"full": 3.0, "incremental": 0.5}


def test_what_timed_out_is_counted_and_not_dropped() -> None:
    """It is in the counts of right answers and of time-outs, though it has no time to show."""
    _, tmp = summarize(SAMPLES, ["tmp"])  # type: ignore[arg-type]
    assert (tmp.right, tmp.timed_out, tmp.faulty) == ((2, 4), 1, 0)
    assert (tmp.recompiled, tmp.kept) == ({"incremental": (23, 24)}, (1, 242))


def test_a_runner_without_samples_has_a_column_of_its_own() -> None:
    """A comparison that was stopped early can be shown."""
    assert not summarize([], ["tmp"])[1].seconds


def test_the_table_fits_a_terminal_of_80() -> None:
    """With the floor and the three runners of the notes nothing is cut or wrapped."""
    names = ["tmp", "katas-volume", "katas-data-container"]
    kept = dict(zip(names, (0, 6050, 6050), strict=True))
    many = [
        sample(
            name,
            seconds=1234.5,
            scenario="incremental",
            mtimes_kept=kept[name],
            mtimes_changed=6050 - kept[name],
        )
        for name in names
    ]
    out = io.StringIO()
    Console(file=out, width=80).print(terminal.comparison(summarize(many, names)))
    text = out.getvalue()
    assert "katas-data-container" in text
    assert "6050/6050" in text
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_a_ratio_has_its_interval_where_there_are_blocks_enough() -> None:
    """In the table and beside the bars, which still fit a terminal of 80."""
    names = ["tmp", "katas-volume", "katas-data-container"]
    times = {"bare-make": 0.1, "tmp": 4.0, "katas-volume": 0.2, "katas-data-container": 0.3}

    def printed(blocks: int) -> str:
        many = [
            sample(
                name,
                block=number,
                seconds=usual * (1 + number * (name == "tmp") / 100),
                scenario="incremental",
            )
            for number in range(blocks)
            for name, usual in times.items()
        ]
        out, rows = io.StringIO(), summarize(many, names)
        console = Console(file=out, width=80)
        console.print(terminal.comparison(rows), ratio_bars(rows))
        assert max(len(line.rstrip()) for line in out.getvalue().splitlines()) <= 80
        return out.getvalue()

    few, enough = printed(5), printed(8)
    assert "95 % interval" not in few
    assert re.search(r"95 % interval +- +40\.\d to 42\.\d +2\.00 to 2\.00 +3\.00 to 3\.00", enough)
    bars = {line.split()[0]: line.count("█") for line in few.splitlines() if "█" in line}
    assert list(bars) == names
    assert bars["tmp"] > bars["katas-data-container"] > bars["katas-volume"] > 0


def test_bars_are_left_out_where_they_would_say_nothing() -> None:
    """Without a ratio above 1, and on a terminal with no room for one."""

    def printed(width: int, seconds: float) -> str:
        samples = [
            sample(name, scenario="incremental", seconds=time)
            for name, time in (("bare-make", 1.0), ("katas-volume", seconds))
        ]
        out = io.StringIO()
        rows = summarize(samples, ["katas-volume"])
        Console(file=out, width=width).print(ratio_bars(rows))
        return out.getvalue().strip()

    assert "█" in printed(80, 3.0)
    assert not printed(20, 3.0)
    assert not printed(80, 0.9)


def test_machines_are_combined_after_their_ratios_were_taken() -> None:
    """One that is ten times as slow counts as much as the other, however many blocks it played."""
    samples = [
        *block(1, 0.1, 0.2, machine="one"),
        *block(2, 0.1, 0.2, machine="one"),
        *block(3, 0.1, 0.2, machine="one"),
        *block(4, 1.0, 8.0, machine="other"),
    ]
    _, tmp = summarize(samples, ["tmp"])  # type: ignore[arg-type]
    assert tmp.ratios["incremental"] == pytest.approx(4.0)


def test_figures_are_about_the_incremental_build_or_what_was_played_instead() -> None:
    assert subject(SAMPLES) == "incremental"  # type: ignore[arg-type]
    assert subject([sample(scenario="full"), sample(scenario="header")]) == "header"


def test_a_table_of_all_scenarios_with_an_a_a_pair_fits_a_terminal_of_80() -> None:
    """Names that find no room in one line are broken where they have a hyphen."""
    names = ["bare-make", "katas-volume", "katas-volume#2", "tmp", "katas-data-container"]
    many = [
        sample(name, seconds=12.5, scenario=scenario, memory=12_345_678)
        for name in names
        for scenario in SCENARIOS
    ]
    out = io.StringIO()
    Console(file=out, width=80).print(terminal.comparison(summarize(many, names[1:])))
    text = out.getvalue()
    for word in ("volume#2", "container", "header's edit", "no-op", "peak memory", "12.35 MB"):
        assert word in text
    assert text.count("bare-make") == 1
    assert "…" not in text


NINE_ARMS = [
    "bare-make",
    "tmp",
    "katas-volume",
    "katas-volume#2",
    "katas-data-container",
    "katas-data-container:standby=warm",
    "katas-data-container:standby=seeded",
    "katas-overlay",
    "katas-subpath",
]


@pytest.mark.parametrize(("width", "tables"), [(80, 2), (100, 2), (200, 1)])
@pytest.mark.parametrize("command", ["compare", "load"])
def test_arms_come_in_as_many_tables_as_the_console_asks_for(
    command: str, width: int, tables: int
) -> None:
    """The floor is at the left of each, all rows are in each, every other arm is in one of them,
    and nothing is cut.
    """
    many = [
        sample(
            name,
            seconds=123.4,
            at=1.0,
            scenario="incremental",
            mtimes_kept=1452,
            mtimes_changed=0,
            memory=12_345_678,
        )
        for name in NINE_ARMS
    ]
    table = {
        "compare": terminal.comparison(summarize(many, NINE_ARMS[1:])),
        "load": terminal.load_table(levels(many, NINE_ARMS[1:])),
    }[command]
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    text = out.getvalue()
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    for word in ("bare-make", "output right"):
        assert text.count(word) == tables
    assert text.count(" 123.40 s") == {"compare": 1, "load": 2}[command] * (
        len(NINE_ARMS) - 1 + tables
    )
    for word in ("tmp", "volume#2", "warm", "seeded", "overlay", "subpath"):
        assert text.count(word) == 1


def test_files_recompiled_are_shown_only_where_they_are_counted() -> None:
    """No object file at all, or none anew with bare make neither, is no count of 0; a runner that
    compiled all is told.
    """

    def row(floor: int | None, tmp: int | None) -> tuple[dict[str, tuple[int, int]], str]:
        counts = [
            sample(name, scenario="incremental", block=number, recompiled=count)
            for number in range(2)
            for name, count in (("bare-make", floor), ("tmp", tmp))
        ]
        return summarize(counts, ["tmp"])[1].recompiled, " ".join(remarks(counts))

    assert row(None, None)[0] == {}
    assert "files recompiled are not counted" in row(None, None)[1]
    assert row(0, 0)[0] == {}
    assert "no edit made an object file" in row(0, 0)[1]
    assert row(0, 24)[0] == {"incremental": (24, 24)}
    assert row(1, 0)[0] == {"incremental": (0, 0)}
    assert "object file" not in row(1, 1)[1]
    no_op = [sample(name, scenario="no-op", recompiled=0) for name in ("bare-make", "tmp")]
    assert summarize(no_op, ["tmp"])[1].recompiled == {"no-op": (0, 0)}


def test_a_warm_up_and_outliers_are_told_and_count() -> None:
    """The summary is of all samples; the remarks say which stand out, and nothing of arms that are
    steady.
    """
    steady = [0.10, 0.11, 0.12, 0.13] * 6
    slow_at_first = [0.5, 0.51, 0.52, 0.53, 0.54, 0.55, *steady]
    samples = [
        sample(name, scenario="incremental", block=block, seconds=seconds)
        for name, times in (
            ("tmp", slow_at_first),
            ("katas-volume", [*steady, 9.0]),
            ("bare-make", steady),
        )
        for block, seconds in enumerate(times)
    ]
    said = remarks(samples)
    assert "tmp: the first 6 of 30 samples differ from the rest; a warm-up?" in said
    assert "katas-volume: 1 of 25 samples are outliers, which count like the rest: 9 s" in said
    assert not [line for line in said if line.startswith("bare-make")]


def test_noise_is_the_interval_of_a_runner_against_itself() -> None:
    """Paired within the blocks: that all blocks differ from each other is no noise."""
    times = [0.1 * (1 + block) for block in range(12)]
    samples = [
        sample(
            name,
            scenario="incremental",
            block=block,
            seconds=seconds * (1.1 if wobble == block % 2 else 1),
        )
        for name, wobble in (("tmp", 0), ("tmp#2", 1))
        for block, seconds in enumerate(times)
    ]
    found = noise(samples, "tmp", "tmp#2")
    assert found is not None
    assert found.blocks == 12
    assert found.low <= 1 <= found.high
    assert noise(samples, "tmp", "none") is None


def test_a_machine_on_which_a_runner_costs_more_than_on_the_rest_is_told() -> None:
    """Its being slower in all is not: the ratios within its blocks are what is compared."""
    machines = (("slow", 1.0, 2.0), ("same", 0.1, 0.2), ("like", 0.1, 0.2), ("odd", 0.1, 0.6))
    samples = [
        each
        for number in range(30)
        for place, (machine, floor, tmp) in enumerate(machines)
        for each in block(
            number * 4 + place, floor, tmp * (1 + 0.01 * (number % 5)), machine=machine
        )
    ]
    said = [line for line in remarks(samples) if "unlike" in line]  # type: ignore[arg-type]
    assert (
        "machine odd is unlike the rest: the ratio of tmp to bare make is 3.00 times theirs" in said
    )
    alike = [each for each in samples if each.machine != "odd"]  # type: ignore[attr-defined]
    assert not [line for line in remarks(alike) if "unlike" in line]  # type: ignore[arg-type]
