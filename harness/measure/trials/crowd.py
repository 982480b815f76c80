"""Many avatars of one kata that play at once, in closed loops: edit, press, wait for the output."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Barrier
from typing import Protocol

from harness.inside.errors import UsageError
from harness.inside.layout import Avatar
from harness.katas.visible import VisibleFiles
from harness.measure.trees import SourceTree
from harness.measure.trials import Player, laid_out
from harness.measure.trials.arms import FLOOR, FloorArm
from harness.measure.trials.build_failure import check_built
from harness.measure.trials.sample import Circumstances, Sample, reduce
from harness.measure.trials.scenario import INCREMENTAL
from harness.runners.base import COMMAND, BaseRunner
from harness.runners.run import Outcome, Run

LEAST_EVENTS = 2
"""The fewest test events of each avatar in a block: a single one is not a loop."""


class Team(Protocol):
    """One arm, played by several avatars at once."""

    name: str
    """As results call it."""

    def press(self, avatar: int, files: VisibleFiles, max_seconds: float) -> Run:
        """Play a test event of the avatar, in its own thread; its first one builds from nothing."""

    def close(self) -> None: ...


class RunnerTeam:
    """All avatars share one runner, as in a server."""

    def __init__(self, name: str, runner: BaseRunner) -> None:
        """The team closes the runner."""
        self.name = name
        self._runner = runner

    def press(self, avatar: int, files: VisibleFiles, max_seconds: float) -> Run:
        return self._runner.run(Avatar(name=f"avatar-{avatar}"), files, max_seconds=max_seconds)

    def close(self) -> None:
        self._runner.close()


class FloorTeam:
    """Each avatar has a waiting shell of its own, so that only the commands compete."""

    name = FLOOR

    def __init__(self, open_floor: Callable[[], FloorArm]) -> None:
        self._open = open_floor
        self._floors: dict[int, FloorArm] = {}

    def press(self, avatar: int, files: VisibleFiles, max_seconds: float) -> Run:
        if avatar not in self._floors:
            self._floors[avatar] = self._open()
        return self._floors[avatar].incremental(files, max_seconds)

    def close(self) -> None:
        for floor in self._floors.values():
            floor.close()


@dataclass(frozen=True)
class Crowds:
    """How many avatars play at once, and for how long."""

    sizes: Sequence[int]
    """Numbers of avatars at once."""
    events: int
    """The most test events of a block, over all avatars; but each plays at least LEAST_EVENTS."""
    budget_seconds: float
    """Seconds for the first builds and as many blocks as fit, but at least one round."""

    def events_of_each(self, size: int, events: int) -> int:
        """Return how many test events each of `size` avatars plays, for `events` in the block."""
        return max(LEAST_EVENTS, math.ceil(events / size))

    def events_of_a_round(self, events: int) -> int:
        """Return the number of test events of one team in a round, over all sizes."""
        return sum(size * self.events_of_each(size, events) for size in self.sizes)

    def round_seconds(self, events: int, pace: Pace) -> float:
        """Estimate how long a round over all sizes takes, with so many `events` in a block."""
        return sum(self.events_of_each(size, events) * pace.seconds_of(size) for size in self.sizes)

    def fitting(self, pace: Pace, left: float) -> int:
        """Return the most events in a block with which a round ends in the seconds left, or 1."""
        fit = (
            events
            for events in range(self.events, 0, -1)
            if self.round_seconds(events, pace) <= left
        )
        return next(fit, 1)


@dataclass(frozen=True)
class Pace:
    """The result of a rehearsal."""

    at_once: int
    """How many avatars took part."""
    seconds: float
    """How long one test event of each avatar took, summed over all teams."""

    def seconds_of(self, size: int) -> float:
        """Scale `seconds` to so many avatars: those without a processor wait for the others."""
        return self.seconds * max(1.0, size / self.at_once)


@dataclass(frozen=True)
class CrowdStep:
    """What is about to be played, for showing progress."""

    words: str
    """The block, or what comes before the blocks."""
    detail: str
    """The team, or a count."""
    seconds: float
    """Seconds since the start of the trials."""


def play_crowds(
    tree: SourceTree,
    teams: Sequence[Team],
    crowds: Crowds,
    *,
    seed: int,
    max_seconds: float,
    command: str = COMMAND,
    about_to: Callable[[CrowdStep], None] = lambda step: None,
    report: Callable[[str], None] = lambda line: None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Sample]:
    """Yield the samples of blocks: one size of crowd with every team, in shuffled order.

    A round has one block for each size. Before the blocks come the avatars' first builds, which are
    full, and a rehearsal, which shows how long a round takes; neither gives samples. If time is
    short, blocks have fewer test events. After the first round, a block begins only if it should
    end within the budget. `report` gets a line about what to expect; `clock` returns seconds.

    Raises UsageError if a first build does not end within its limit, and BuildFailed if a build of
    the floor fails.
    """
    order, most = random.Random(seed), max(crowds.sizes)
    with laid_out(tree, command) as files, ThreadPoolExecutor(most) as threads:
        players = {team.name: [Player(tree, files) for _ in range(most)] for team in teams}
        trials = _Trials(tree.name, teams, players, threads, command, max_seconds, about_to, clock)
        trials.first_builds()
        pace = trials.rehearse()
        left = crowds.budget_seconds - trials.elapsed
        events = crowds.fitting(pace, left)
        report(_forecast(crowds, events, len(teams), pace, left))
        longest = dict.fromkeys(crowds.sizes, 0.0)
        for block, size in enumerate(_sizes(crowds.sizes, order)):
            begun = trials.elapsed
            if block >= len(crowds.sizes) and begun + longest[size] > crowds.budget_seconds:
                return
            shuffled = order.sample(teams, len(teams))
            yield from trials.block(block, size, shuffled, crowds.events_of_each(size, events))
            longest[size] = max(longest[size], trials.elapsed - begun)


def _sizes(sizes: Sequence[int], order: random.Random) -> Iterator[int]:
    while True:
        yield from order.sample(sizes, len(sizes))


def _forecast(crowds: Crowds, events: int, teams: int, pace: Pace, left: float) -> str:
    """Say what to expect, before the first round."""
    takes = crowds.round_seconds(events, pace)
    beyond = (
        f", {takes - left:.0f} s over the budget; raise --seconds or lower --avatars"
        if takes > left
        else ""
    )
    return (
        f"the first builds and a rehearsal took {crowds.budget_seconds - left:.0f} s; one round "
        f"over all numbers of avatars, {teams * crowds.events_of_a_round(events)} test events, "
        f"will probably take {takes:.0f} s{beyond}"
    )


class _Trials:
    """The teams, and what all their blocks have in common."""

    def __init__(
        self,
        tree: str,
        teams: Sequence[Team],
        players: Mapping[str, Sequence[Player]],
        threads: ThreadPoolExecutor,
        command: str,
        max_seconds: float,
        about_to: Callable[[CrowdStep], None],
        clock: Callable[[], float],
    ) -> None:
        """`players` are those of each team by its name; there is a thread for each of them."""
        self._tree, self._teams, self._players, self._threads = tree, teams, players, threads
        self._command, self._max_seconds = command, max_seconds
        self._about_to, self._clock = about_to, clock
        self._started = clock()
        self._interrupted = False

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    def first_builds(self) -> None:
        """Build as many at once as there are processors; more would only wait for each other."""
        for team in self._teams:
            words, players = f"first builds with {team.name}", self._players[team.name]
            self._tell(words, f"0 of {len(players)}")

            def build(player: tuple[int, Player], team: Team = team) -> Run:
                return team.press(player[0], player[1].files, self._max_seconds)

            with ThreadPoolExecutor(os.cpu_count()) as builders:
                for number, run in enumerate(builders.map(build, enumerate(players)), 1):
                    if run.outcome is not Outcome.COMPLETED:
                        why = run.reason or "it passed its time limit; raise --max-seconds"
                        raise UsageError(
                            f"the first build of avatar {number} with {team.name} did not "
                            f"complete: {why}"
                        )
                    if team.name == FLOOR:
                        check_built(run, "its first build", self._command, self._max_seconds)
                    self._tell(words, f"{number} of {len(players)}")

    def rehearse(self) -> Pace:
        """Play with as many avatars as processors; more of them take longer in proportion."""
        at_once = min(os.cpu_count() or 1, *(len(players) for players in self._players.values()))
        begun = self.elapsed
        for _ in self._play("rehearsal", 0, at_once, self._teams, LEAST_EVENTS):
            pass
        return Pace(at_once, (self.elapsed - begun) / LEAST_EVENTS)

    def block(self, number: int, size: int, teams: Sequence[Team], events: int) -> Iterator[Sample]:
        """Play so many test events of each avatar, one team after another in this order."""
        avatars = "one avatar" if size == 1 else f"{size} avatars at once"
        return self._play(f"block {number + 1}, {avatars}", number, size, teams, events)

    def _play(
        self, words: str, block: int, size: int, teams: Sequence[Team], events: int
    ) -> Iterator[Sample]:
        for place, team in enumerate(teams):
            self._tell(words, team.name)
            known = Circumstances(
                team.name, INCREMENTAL, block, place, 0.0, self._tree, avatars=size
            )
            yield from self._loops(team, known, events)

    def _tell(self, words: str, detail: str) -> None:
        self._about_to(CrowdStep(words, detail, self.elapsed))

    def _loops(self, team: Team, known: Circumstances, events: int) -> Iterator[Sample]:
        """Play the loops of all avatars of the team at once."""
        ready = Barrier(known.avatars)
        before = time.process_time()

        def loop(number: int) -> list[Sample]:
            ready.wait()
            return [
                self._press(team, known, number) for _ in range(events) if not self._interrupted
            ]

        done = [self._threads.submit(loop, number) for number in range(known.avatars)]
        try:
            samples = [sample for future in done for sample in future.result()]
        except BaseException:
            self._interrupted = True  # skip the rest of the block
            raise
        share = (time.process_time() - before) / len(samples)
        for sample in sorted(samples, key=lambda sample: sample.at or 0.0):
            yield replace(sample, harness_seconds=share)

    def _press(self, team: Team, known: Circumstances, number: int) -> Sample:
        """Play one edit and one test event."""
        player = self._players[team.name][number]
        edited = player.edit(INCREMENTAL)
        at = self.elapsed
        run = team.press(number, player.files, self._max_seconds)
        if team.name == FLOOR and run.outcome is Outcome.COMPLETED:
            check_built(run, "an incremental build", self._command, self._max_seconds)
        return reduce(run, replace(known, at=at, edited=edited, answer=player.answer))


@dataclass(frozen=True)
class Level:
    """What one arm did with one size of crowd."""

    runner: str
    """The name of the arm."""
    avatars: int
    """How many played at once."""
    events: int
    """How many test events were played."""
    throughput: float | None
    """Completed test events a second, the median of the blocks."""
    median: float | None
    """The median of their times in seconds."""
    slowest: float | None
    """The 95th percentile of their times in seconds."""
    right: tuple[int, int]
    """How many answers were right, and how many could be judged."""
    failed: int
    """How many test events timed out or were faulty."""


def levels(samples: Sequence[Sample], runners: Sequence[str]) -> list[Level]:
    """Return a level for each runner and size of crowd, the floor first."""
    by_level: dict[tuple[str, int], list[Sample]] = {}
    for sample in samples:
        by_level.setdefault((sample.runner, sample.avatars), []).append(sample)
    sizes = sorted({avatars for _, avatars in by_level})
    return [
        _level(runner, avatars, by_level[runner, avatars])
        for runner in (FLOOR, *runners)
        for avatars in sizes
        if (runner, avatars) in by_level
    ]


def _level(runner: str, avatars: int, samples: Sequence[Sample]) -> Level:
    blocks: dict[int, list[Sample]] = {}
    for sample in samples:
        blocks.setdefault(sample.block, []).append(sample)
    times = sorted(sample.seconds for sample in samples if sample.outcome == Outcome.COMPLETED)
    judged = [sample.right for sample in samples if sample.right is not None]
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
    """Return completed test events a second, from the first press to the last output."""
    times = [(sample.at, sample.at + sample.seconds) for sample in block if sample.at is not None]
    if not times:
        return None
    took = max(end for _, end in times) - min(begin for begin, _ in times)
    return sum(sample.outcome == Outcome.COMPLETED for sample in block) / took


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the value at this share of a sorted sequence, None if it is empty.

    It interpolates between neighbours (Hyndman and Fan 1996, definition 7).
    """
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
