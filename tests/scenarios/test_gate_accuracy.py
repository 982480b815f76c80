"""The scenario that measures how often the gate is wrong: what it draws is what it says."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from harness.measure import looks, stats
from harness.measure.compare import AGAIN
from harness.measure.stats import VerdictState
from harness.measure.trials import FLOOR, Sample
from scenarios.gate_accuracy import real, replay, report, rules
from scenarios.gate_accuracy.recording import NOISES, RUNNER, load
from tests import ROOT
from tests.gate.figures import blocks
from tests.measure.samples import sample

RECORDINGS = ROOT / "results" / "gate-accuracy" / "recordings"


def recording(noise: float, ratio: float = 1.0) -> rules.Recording:
    """One that was never measured, in which the second arm takes so many times as long as the
    first.
    """
    samples = blocks({RUNNER: 5.0, RUNNER + AGAIN: 5.0 * ratio}, 80, noise=noise)
    return {
        arm: [each for each in samples if each.runner == arm]
        for arm in (FLOOR, RUNNER, RUNNER + AGAIN)
    }


def test_two_arms_are_equal_however_unlike_they_were_recorded() -> None:
    """Which of them is the new one is tossed in each block; else every gate would find what the
    recording had.
    """
    states, _ = rules.drawn_gates(recording(0.05, ratio=1.02), 1.0, 20, seed=1)
    assert states[VerdictState.REGRESSED] == 0
    assert states[VerdictState.PASSED] == 20


def test_a_true_slowdown_is_found_and_more_blocks_are_drawn_where_it_is_hard() -> None:
    """Up to as many as a gate plays, and only as far as a look."""
    clear, few = rules.drawn_gates(recording(0.05), 1.2, 10, seed=1)
    hard, many = rules.drawn_gates(recording(0.1), 1.1, 10, seed=1)
    assert clear[VerdictState.REGRESSED] == hard[VerdictState.REGRESSED] == 10
    assert np.median(many) > np.median(few)
    assert {*few, *many} <= set(looks.LOOKS)


@pytest.mark.parametrize("schedule", [replay.BEFORE, replay.NOW])
def test_a_replayed_gate_is_judged_as_by_its_interval(schedule: replay.Schedule) -> None:
    """At the first look whose interval lies on one side of the limit."""
    beyond = np.random.default_rng(1).normal(0.1, 0.4, (12, 240))
    beyond[:6] -= 0.2
    schedule = replay.Schedule(
        tuple(look for look in schedule.looks if look <= 240), schedule.confidence
    )
    for row, state, count in zip(beyond, *replay.verdicts(beyond, schedule), strict=True):
        found, at = VerdictState.INCONCLUSIVE, 240
        for look in schedule.looks:
            interval = stats.paired(np.exp(row[:look]), np.ones(look), schedule.confidence)
            found, at = interval.against(1.0), look
            if found is not VerdictState.INCONCLUSIVE:
                break
        names = {1: VerdictState.REGRESSED, -1: VerdictState.PASSED, 0: VerdictState.INCONCLUSIVE}
        assert (names[int(state)], int(count)) == (found, at)


def test_gates_are_replayed_from_every_second_block_and_pass_what_is_equal() -> None:
    """The looks were chosen on the others, which here are wild."""
    found = recording(0.05)
    wild = {
        arm: [
            replace(each, seconds=each.seconds * (1 if place % 2 else 10 * len(arm)))
            for place, each in enumerate(samples)
        ]
        for arm, samples in found.items()
    }
    for case, passed in ((replay.Case(0.0, 0.05), 1.0), (replay.Case(0.2, 0.05), 0.0)):
        calm = replay.replay(found, case, 40, seed=1)
        assert calm == replay.replay(wild, case, 40, seed=1)
        for each in calm:
            assert (each.passed, each.regressed, each.found) == (passed, 1 - passed, 1 - passed)
        before, now, once = calm
        assert now.mean <= before.mean < once.mean == replay.WITHIN


def test_bare_make_is_said_to_explain_what_it_explains() -> None:
    """Nothing, if it was drawn by itself; all, if the arms follow it."""
    random = np.random.default_rng(3)
    blocks = 200
    places = np.array([random.permutation(3) for _ in range(blocks)]).T
    drift = np.exp(random.normal(0, 0.1, blocks))
    alone: dict[str, list[Sample]] = {}
    along: dict[str, list[Sample]] = {}
    for number, arm in enumerate(replay.ARMS):
        noise = np.exp(random.normal(0, 0.1, blocks))
        # The arm that comes later in a block is slower by the drift; bare make shows half of it.
        later = places[number] > places[3 - number] if number else None
        follows = np.sqrt(drift) if later is None else np.where(later, drift, 1.0)
        for found, seconds in ((alone, noise), (along, follows)):
            found[arm] = [
                sample(
                    arm,
                    scenario="incremental",
                    block=block,
                    place=int(places[number, block]),
                    seconds=float(seconds[block]),
                )
                for block in range(blocks)
            ]
    within = "within the block"
    assert replay.left_by_bare_make(alone)[within] > 0.9
    assert replay.left_by_bare_make(along)[within] < 0.1


def test_the_other_rules_see_what_is_plain() -> None:
    """And nothing where nothing is, on a machine that is quiet; that they fail on a noisy one is
    what is measured.
    """
    quiet = {arm: [each.__class__(**{**vars(each), "seconds": 1 + each.block % 7 / 1e4}) for each in found]
             for arm, found in recording(0.01).items()}  # fmt: skip
    for rule in rules.RULES.values():
        assert rules.alarms(quiet, rule, 1.5, 10, seed=1) == 10
        assert rules.alarms(quiet, rule, 0.9, 10, seed=1) == 0


@pytest.mark.parametrize("noise", NOISES)
def test_the_recordings_are_there_and_small(noise: str) -> None:
    """Whole blocks of all three arms, of real runs."""
    path = RECORDINGS / f"{noise}.csv"
    found = load(path)
    assert path.stat().st_size < 200_000
    assert len({len(each) for each in found.values()}) == 1
    assert len(found[RUNNER]) > 2 * rules.ROUNDS
    assert all(each.seconds > 0 for arm in found.values() for each in arm)


def test_the_report_is_made_from_the_recordings(tmp_path: Path) -> None:
    """With a row for each recording and slowdown; no real gates is said, too."""
    (tmp_path / "recordings").symlink_to(RECORDINGS)
    report.write(tmp_path, 2)
    text = (tmp_path / "README.md").read_text()
    for noise in NOISES:
        assert text.count(f"| {noise} |") >= 3
        for case in replay.CASES:
            slower = f"{case.slowdown:.0%} slower" if case.slowdown else "equal"
            assert f"| {noise} | {slower} | {100 * case.tolerance:g} % above |" in text
    assert "None have been played yet" in text


def test_real_gates_are_told_apart_by_the_looks_that_they_had(tmp_path: Path) -> None:
    """Those of before stay what they were."""
    (tmp_path / "recordings").symlink_to(RECORDINGS)
    line = "2026-11-26T00:15:52+00:00,{},{},passed,{},0.921,0.979,1.031"
    rows = [line.format(*row) for row in product((7, 19), real.KINDS, (60, 62))]
    (tmp_path / "real.csv").write_text("\n".join([",".join(real.COLUMNS), *rows]) + "\n")
    report.write(tmp_path, 2)
    text = (tmp_path / "README.md").read_text()
    for number, kind in product((7, 19), real.KINDS):
        assert f"| {kind} | {number} | 2 | 0 | 0 | 2 | 61 | 0.979 |" in text


def test_the_delay_of_a_real_gate_is_a_share_of_the_whole_test_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of what is behind, observing left out, and of what is to come; and nothing goes on
    meanwhile.
    """
    slept: list[float] = []
    monkeypatch.setattr(real, "time", SimpleNamespace(monotonic=lambda: 100.11, sleep=slept.append))
    runner = object.__new__(real.Delayed)
    runner.share, runner.started, runner.rest = 0.1, 100.0, 0.02
    asked: list[int] = []

    class Sandbox:
        def pack(self) -> object:
            asked.append(len(slept))
            return iter([b"tar"])

    event = SimpleNamespace(watch=SimpleNamespace(unseen=10**7))
    pipe = real.SlowPipe(Sandbox(), lambda: runner.delay(event))  # type: ignore[arg-type]
    assert list(pipe.pack()) == [b"tar"]
    assert slept == [pytest.approx(0.012)]
    assert asked == [1]


def test_the_table_of_the_docs_is_that_of_the_report() -> None:
    """Fewer rows and columns, the same figures."""

    def rows(path: str) -> list[list[str]]:
        lines = (ROOT / path).read_text().splitlines()
        return [line.strip("| ").split(" | ") for line in lines if " above | " in line]

    report_rows = [row[:3] + row[5:8] for row in rows("results/gate-accuracy/README.md")]
    shown = rows("docs/explanation/verdicts.md")
    assert shown
    assert [row for row in shown if row not in report_rows] == []
