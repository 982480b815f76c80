"""Many avatars at once, on the local engine."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from threading import Lock

import pytest

from harness import runners
from harness.engines.local.engine import LocalEngine
from harness.inside.errors import UsageError
from harness.katas.visible import VisibleFiles
from harness.measure import load
from harness.measure.compare import Comparison
from harness.measure.trees import OwnTree, TypicalTree
from harness.measure.trials import FLOOR, BlockPlan, Sample
from harness.measure.trials.crowd import Crowds, CrowdStep, levels, percentile, play_crowds
from harness.runners.base import COMMAND
from harness.runners.run import Outcome, Run
from tests.measure.samples import sample


def play(
    tree: TypicalTree | OwnTree, home: Path, crowds: Crowds, *names: str, limit: float = 60
) -> list[Sample]:
    with closing(LocalEngine(home)) as engine:
        kinds = [runners.parse_variant(each) for each in names]
        asked = Comparison(tree, kinds, engine, None, COMMAND, limit, BlockPlan(0), 1)
        return list(load.measure_load(asked, crowds))


class Hourglass:
    """Seconds that pass only while a test event is played, one after the other, as on one
    processor.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._lock = Lock()

    def pass_by(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds


class TimedTeam:
    """Each first build takes 3 seconds, each later one `seconds`."""

    def __init__(self, name: str, glass: Hourglass, seconds: float = 1.0) -> None:
        self.name = name
        self._glass, self._seconds = glass, seconds
        self._built: set[int] = set()

    def press(self, avatar: int, files: VisibleFiles, max_seconds: float) -> Run:
        self._glass.pass_by(self._seconds if avatar in self._built else 3.0)
        self._built.add(avatar)
        return Run(Outcome.COMPLETED, 0, "", "", False, None, (), 1)

    def close(self) -> None:
        """Nothing was opened."""


class Played:
    """Two teams, with what was told on the way; the seconds are those of the hourglass."""

    def __init__(self, crowds: Crowds, seconds: float = 1.0) -> None:
        self.glass = Hourglass()
        self.steps: list[CrowdStep] = []
        self.lines: list[str] = []
        self.forecast_at = 0.0
        teams = [TimedTeam(name, self.glass, seconds) for name in ("one", "other")]
        self.samples = list(
            play_crowds(
                TypicalTree("cost=0.01"),
                teams,
                crowds,
                seed=1,
                max_seconds=60,
                about_to=self.steps.append,
                report=self._report,
                clock=lambda: self.glass.now,
            )
        )

    def _report(self, line: str) -> None:
        self.lines.append(line)
        self.forecast_at = self.glass.now

    def blocks(self) -> list[tuple[int, int]]:
        """The avatars and the test events of each block."""
        found: dict[int, list[int]] = {}
        for each in self.samples:
            found.setdefault(each.block, []).append(each.avatars)
        return [(avatars[0], len(avatars)) for avatars in found.values()]


@pytest.fixture
def one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the hourglass stands for."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)


def test_avatars_play_at_once_and_each_gets_the_answer_to_its_own_edits(tmp_path: Path) -> None:
    """In one kata, with every arm in every block; nobody waits for the others between its test
    events.
    """
    crowds = Crowds(sizes=(1, 3), events=6, budget_seconds=0.001)
    samples = play(TypicalTree("cost=0.01"), tmp_path, crowds, "katas-data-container")
    assert all(each.outcome == "completed" and each.right for each in samples)
    blocks = {each.block: each.avatars for each in samples}
    assert sorted(blocks.values()) == [1, 3]
    for block, avatars in blocks.items():
        for runner in (FLOOR, "katas-data-container"):
            mine = [each for each in samples if each.block == block and each.runner == runner]
            assert len(mine) == 2 * avatars
            ends = sorted((each.at or 0.0) + each.seconds for each in mine)
            starts = sorted(each.at or 0.0 for each in mine)
            overlapping = any(start < end for start, end in zip(starts[1:], ends, strict=False))
            assert overlapping == (avatars > 1)
            assert len({each.harness_seconds for each in mine}) == 1


def test_each_avatar_plays_twice_at_least(tmp_path: Path) -> None:
    """However few test events were asked for."""
    samples = play(TypicalTree("cost=0.01"), tmp_path, Crowds((2,), 1, 0.001), "katas-volume")
    assert len(samples) == 2 * 2 * 2
    assert {each.scenario for each in samples} == {"incremental"}


@pytest.mark.usefixtures("one_processor")
def test_a_load_ends_within_its_budget() -> None:
    """The first builds are in it, and the rehearsal; a block is begun only if the last one of its
    size says that it fits.
    """
    played = Played(Crowds((1, 2, 4), events=4, budget_seconds=200))
    first_builds, rehearsal, first_round = 2 * 4 * 3, 2 * 2, 2 * (4 + 4 + 8)
    assert played.forecast_at == first_builds + rehearsal
    assert played.lines == [
        "the first builds and a rehearsal took 28 s; one round over all numbers of avatars, 32 test events, will "
        f"probably take {first_round} s"
    ]
    assert 200 - 2 * 8 < played.glass.now <= 200
    assert sorted(played.blocks()[:3]) == [(1, 8), (2, 8), (4, 16)]


@pytest.mark.usefixtures("one_processor")
def test_blocks_have_fewer_test_events_where_the_budget_is_short() -> None:
    """But two of each avatar at least, in one round over all sizes at least, and it is said by how
    much that is beyond.
    """
    played = Played(Crowds((1, 4), events=100, budget_seconds=28 + 60))
    assert sorted(played.blocks()) == [(1, 2 * 14), (4, 2 * 16)]
    assert played.glass.now == 28 + 60
    played = Played(Crowds((1, 4), events=100, budget_seconds=30))
    assert sorted(played.blocks()) == [(1, 4), (4, 16)]
    assert "will probably take 20 s, 18 s over the budget; raise --seconds" in played.lines[0]


@pytest.mark.usefixtures("one_processor")
def test_progress_says_what_is_done() -> None:
    """In words for each thing, with details."""
    steps = Played(Crowds((1, 2), events=2, budget_seconds=0.1)).steps
    begins = {step.words: step.seconds for step in reversed(steps)}
    assert sorted(begins.items(), key=lambda item: item[1])[:3] == [
        ("first builds with one", 0.0),
        ("first builds with other", 6.0),
        ("rehearsal", 12.0),
    ]
    assert [each.detail for each in steps if each.words == "first builds with one"] == [
        "0 of 2",
        "1 of 2",
        "2 of 2",
    ]
    blocks = sorted(begins, key=begins.__getitem__)[3:]
    assert sorted(each.partition(", ")[2] for each in blocks) == ["2 avatars at once", "one avatar"]
    assert sorted(each.detail for each in steps if each.words == blocks[0]) == ["one", "other"]


def test_a_first_build_that_does_not_end_is_said_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "cyber-dojo.sh").write_text("#!/bin/sh\nsleep 60\n")
    (tree / "cyber-dojo.sh").chmod(0o755)
    with pytest.raises(
        UsageError,
        match="first build of avatar 1 with bare-make did not complete: it passed its time limit",
    ):
        play(
            OwnTree(tree, "cyber-dojo.sh"), tmp_path / "home", Crowds((1,), 1, 1), "tmp", limit=0.2
        )


def test_throughput_is_of_completed_test_events_from_the_first_press_to_the_last_output() -> None:
    """The median of the blocks; what failed is counted, and has no time."""
    block = [
        sample(at=10.0, seconds=1.0, avatars=2),
        sample(at=10.5, seconds=3.5, avatars=2),
        sample(at=11.0, seconds=1.0, avatars=2, outcome="faulty", right=None),
    ]
    other = [sample(at=0.0, seconds=1.0, block=1, avatars=2)]
    (level,) = levels([*block, *other], ["tmp"])
    assert (level.avatars, level.events, level.failed, level.right) == (2, 4, 1, (3, 3))
    assert level.throughput == pytest.approx((2 / 4 + 1) / 2)
    assert level.median == 1.0
    assert level.slowest == pytest.approx(1.0 + 0.9 * 2.5)


def test_a_percentile_lies_between_its_neighbours() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0], 0.95) == 3.0
    assert percentile([1.0, 2.0, 4.0], 0.5) == 2.0
    assert percentile([1.0, 2.0, 4.0], 0.75) == 3.0
