"""The scenario that measures how often the gate is wrong: what it draws is what it says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from harness.measure.compare import AGAIN
from harness.measure.stats import LOOKS, VerdictState
from harness.measure.trials import FLOOR
from scenarios.gate_accuracy import real, report, rules
from scenarios.gate_accuracy.recording import NOISES, RUNNER, load
from tests import ROOT
from tests.gate.figures import blocks

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
    assert {*few, *many} <= set(LOOKS)


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
    assert "None have been played yet" in text


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
