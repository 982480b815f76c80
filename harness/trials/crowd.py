"""Many avatars of one kata at once, each of which edits, presses the button, and waits for its output: a closed
loop.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Barrier
from typing import Protocol

from harness.errors import UsageError
from harness.katas.layout import Avatar
from harness.katas.visible import VisibleFiles
from harness.runners.base import COMMAND, BaseRunner
from harness.runners.run import Outcome, Run
from harness.trees import SourceTree
from harness.trials import Player, Step, laid_out
from harness.trials.arms import FLOOR, FloorArm
from harness.trials.sample import Circumstances, Sample, reduce
from harness.trials.scenario import FULL, INCREMENTAL

LEAST_EVENTS = 2
"""Test events of each avatar, however many there are: one alone would be no loop."""


class Team(Protocol):
    """One arm, played by several avatars at once."""

    name: str

    def press(self, avatar: int, files: VisibleFiles, max_seconds: float) -> Run:
        """A test event of this avatar, the first one from nothing; each avatar has a thread of its own."""

    def close(self) -> None: ...


class RunnerTeam:
    """All avatars share a runner, as they do in one server."""

    def __init__(self, name: str, runner: BaseRunner) -> None:
        """The runner is closed with the team."""
        self.name = name
        self._runner = runner

    def press(self, avatar: int, files: VisibleFiles, max_seconds: float) -> Run:
        return self._runner.run(Avatar(name=f"avatar-{avatar}"), files, max_seconds=max_seconds)

    def close(self) -> None:
        self._runner.close()


class FloorTeam:
    """Each avatar has a shell of its own that already waits: only the commands contend."""

    name = FLOOR

    def __init__(self, open_floor: Callable[[], FloorArm]) -> None:
        self._open = open_floor
        self._floors: dict[int, FloorArm] = {}

    def press(self, avatar: int, files: VisibleFiles, max_seconds: float) -> Run:
        if avatar not in self._floors:
            self._floors[avatar] = self._open()
        return self._floors[avatar].incremental(files, max_seconds)

    def close(self) -> None:
        for each in self._floors.values():
            each.close()


@dataclass(frozen=True)
class Crowds:
    """How many avatars play at once, and for how long."""

    sizes: Sequence[int]
    events: int  # test events of all avatars together at each size, and LEAST_EVENTS of each at least
    budget_seconds: float  # for as many rounds over all sizes as fit, and one at least


def play_crowds(
    tree: SourceTree,
    teams: Sequence[Team],
    crowds: Crowds,
    *,
    seed: int,
    max_seconds: float,
    command: str = COMMAND,
    about_to: Callable[[Step], None] = lambda step: None,
) -> Iterator[Sample]:
    """The samples: a block is one size of crowd with every team, in shuffled order.

    The first builds of the avatars, which are full, come before the blocks and are no samples. Raises
    UsageError if one does not end within its limit.
    """
    order = random.Random(seed)
    with laid_out(tree, command) as files, ThreadPoolExecutor(max(crowds.sizes)) as threads:
        players = {team.name: [Player(tree, files) for _ in range(max(crowds.sizes))] for team in teams}
        started, longest, block = time.monotonic(), 0.0, 0
        for team in teams:
            about_to(Step(0, FULL, team.name, True, 0.0))
            _first_builds(team, players[team.name], max_seconds)
        while not block or time.monotonic() - started + longest <= crowds.budget_seconds:
            begun = time.monotonic()
            for size in order.sample(crowds.sizes, len(crowds.sizes)):
                for place, team in enumerate(order.sample(teams, len(teams))):
                    about_to(Step(block, INCREMENTAL, team.name, place == 0, time.monotonic() - started))
                    known = Circumstances(team.name, INCREMENTAL, block, place, 0.0, tree.name, avatars=size)
                    events = max(LEAST_EVENTS, math.ceil(crowds.events / size))
                    loop = _Loop(team, known, events, max_seconds, Barrier(size), started)
                    yield from loop.play(threads, players[team.name][:size])
                block += 1
            longest = max(longest, time.monotonic() - begun)


def _first_builds(team: Team, players: Sequence[Player], max_seconds: float) -> None:
    """As many at once as there are processors: more of them would only wait for each other."""

    def build(number: int) -> Run:
        return team.press(number, players[number].files, max_seconds)

    with ThreadPoolExecutor(os.cpu_count()) as builders:
        for number, run in enumerate(builders.map(build, range(len(players)))):
            if run.outcome is not Outcome.COMPLETED:
                why = run.reason or "it passed the limit: raise --max-seconds"
                raise UsageError(
                    f"the first build of avatar {number + 1} with {team.name} did not end: {why}"
                )


@dataclass(frozen=True)
class _Loop:
    """One team with one size of crowd."""

    team: Team
    known: Circumstances
    events: int  # of each avatar
    max_seconds: float
    ready: Barrier  # all begin at once
    started: float  # of the trials, by the monotonic clock

    def play(self, threads: ThreadPoolExecutor, players: Sequence[Player]) -> Iterator[Sample]:
        before = time.process_time()
        done = [threads.submit(self._avatar, number, player) for number, player in enumerate(players)]
        samples = [sample for each in done for sample in each.result()]
        share = (time.process_time() - before) / len(samples)
        for each in sorted(samples, key=lambda sample: sample.at or 0.0):
            yield replace(each, harness_seconds=share)

    def _avatar(self, number: int, player: Player) -> list[Sample]:
        samples = []
        self.ready.wait()
        for _ in range(self.events):
            edited = player.edit(INCREMENTAL)
            at = time.monotonic() - self.started
            run = self.team.press(number, player.files, self.max_seconds)
            known = replace(self.known, at=at, edited=edited, answer=player.answer)
            samples.append(reduce(run, known))
        return samples


@dataclass(frozen=True)
class Level:
    """What one arm did with one size of crowd."""

    runner: str
    avatars: int
    events: int
    throughput: float | None  # test events a second that completed; the median of the blocks
    median: float | None  # seconds
    slowest: float | None  # seconds; one in twenty took this long or longer
    right: tuple[int, int]  # of so many that could be judged
    failed: int  # timed out or faulty


def levels(samples: Sequence[Sample], runners: Sequence[str]) -> list[Level]:
    """By runner and size of crowd: the floor, then these runners."""
    found: dict[tuple[str, int], list[Sample]] = {}
    for each in samples:
        found.setdefault((each.runner, each.avatars), []).append(each)
    sizes = sorted({avatars for _, avatars in found})
    return [
        _level(runner, avatars, found[runner, avatars])
        for runner in (FLOOR, *runners)
        for avatars in sizes
        if (runner, avatars) in found
    ]


def _level(runner: str, avatars: int, samples: Sequence[Sample]) -> Level:
    blocks: dict[int, list[Sample]] = {}
    for each in samples:
        blocks.setdefault(each.block, []).append(each)
    times = sorted(each.seconds for each in samples if each.outcome == Outcome.COMPLETED)
    judged = [each.right for each in samples if each.right is not None]
    rates = sorted(rate for block in blocks.values() if (rate := _throughput(block)) is not None)
    return Level(
        runner=runner,
        avatars=avatars,
        events=len(samples),
        throughput=percentile(rates, 0.5),
        median=percentile(times, 0.5),
        slowest=percentile(times, 0.95),
        right=(sum(judged), len(judged)),
        failed=len(samples) - len(times),
    )


def _throughput(block: Sequence[Sample]) -> float | None:
    """Completed test events a second, from the first press of the button to the last output."""
    times = [(each.at, each.at + each.seconds) for each in block if each.at is not None]
    if not times:
        return None
    took = max(end for _, end in times) - min(begin for begin, _ in times)
    return sum(each.outcome == Outcome.COMPLETED for each in block) / took


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The value at this share of a sorted sequence, between its two neighbours in proportion (Hyndman and Fan
    1996, definition 7); None of nothing.
    """
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
