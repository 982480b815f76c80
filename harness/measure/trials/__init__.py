"""Trials: blocks in which every arm builds the same tree once, in shuffled order."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

from harness.engines.folders import scratch
from harness.inside.errors import HarnessError, UsageError
from harness.inside.tree import Snapshot
from harness.katas.visible import FILE, VisibleFiles
from harness.measure.trees import OwnTree, SourceTree
from harness.measure.trials.arms import FLOOR, Arm
from harness.measure.trials.build_failure import check_built
from harness.measure.trials.plan import BlockPlan
from harness.measure.trials.sample import Circumstances, Sample, reduce
from harness.measure.trials.scenario import FIRST, FULL, HEADER, INCREMENTAL, SCENARIOS
from harness.runners.base import COMMAND
from harness.runners.run import Outcome, Run

__all__ = ["FLOOR", "FULL", "INCREMENTAL", "BlockPlan", "Sample", "Step", "play"]


@dataclass(frozen=True)
class Step:
    """What is about to be played, for showing progress."""

    block: int
    """The block, from 0."""
    scenario: str
    """One of SCENARIOS."""
    runner: str
    """The name of the arm."""
    seconds: float
    """Seconds since the start of the trials."""

    @property
    def words(self) -> str:
        """What all arms of the block do, in words."""
        return f"block {self.block + 1}, {SCENARIOS[self.scenario].words}"

    @property
    def detail(self) -> str:
        """The arm."""
        return self.runner


class Player:
    """The player's side: the visible files, and the edits made to them before each press."""

    def __init__(self, tree: SourceTree, files: VisibleFiles) -> None:
        """`files` are those of the tree before any edit."""
        self.files = files
        self._tree = tree
        self._sources = self._headers = 0
        self.answer = tree.answer

    def edit(self, scenario: str) -> frozenset[bytes]:
        """Make the edit of the scenario, and return the names of the edited files.

        Raises UsageError if the tree has no such edit.
        """
        if scenario == INCREMENTAL:
            self._sources += 1
            edit = self._tree.edit(self._sources, headers=self._headers)
        elif scenario == HEADER:
            self._headers += 1
            edit = self._tree.edit_header(self._headers, sources=self._sources)
        else:
            return frozenset()
        self.files, self.answer = self.files.edited(edit.path, edit.content), edit.answer
        return frozenset([edit.path.encode()])


def play(
    tree: SourceTree,
    arms: Sequence[Arm],
    plan: BlockPlan,
    *,
    seed: int,
    max_seconds: float,
    command: str = COMMAND,
    about_to: Callable[[Step], None] = lambda step: None,
    settled: Callable[[Sequence[Sample]], bool] = lambda samples: False,
) -> Iterator[Sample]:
    """Yield samples, block by block, until the plan ends or the samples so far are `settled`.

    `about_to` hears of each step before it is played. Raises UsageError for a tree without its
    command, or without an edit that a scenario needs, and BuildFailed if the floor cannot build.
    """
    with ExitStack() as stack:
        player = Player(tree, stack.enter_context(laid_out(tree, command)))
        if HEADER in plan.scenarios:
            tree.edit_header(1)  # fail now, not after an hour, if there is none
        order = random.Random(seed)
        ends: dict[str, Snapshot] = {}
        built: set[str] = set()  # the scenarios that the floor has played
        recorded: list[Sample] = []
        started = time.monotonic()
        for block, scenario in enumerate(plan.kinds(time.monotonic)):
            edited = player.edit(scenario)
            samples = []
            for place, arm in enumerate(order.sample(arms, len(arms))):
                at = time.monotonic() - started
                about_to(Step(block, scenario, arm.name, at))
                before = ends.pop(arm.name, {})
                known = Circumstances(
                    runner=arm.name,
                    scenario=scenario,
                    block=block,
                    place=place,
                    at=at,
                    tree=tree.name,
                    edited=edited,
                    answer=player.answer,
                    before=before if SCENARIOS[scenario].build == INCREMENTAL else {},
                )
                run, spent = press(arm, scenario, player.files, max_seconds)
                if run.observed:
                    ends[arm.name] = run.observed.after
                samples.append(reduce(run, known, harness_seconds=spent))
                if arm.name == FLOOR and scenario not in built:
                    if run.outcome is not Outcome.COMPLETED:
                        yield from samples  # the times until then are worth knowing
                    check_built(run, f"its first {SCENARIOS[scenario].words}", command, max_seconds)
                    built.add(scenario)
                with suppress(HarnessError):  # the next test event reports it
                    arm.rest()
            samples = samples if player.answer is not None else by_the_floor(samples)
            yield from samples
            recorded += samples
            if settled(recorded):
                return


@contextmanager
def laid_out(tree: SourceTree, command: str) -> Iterator[VisibleFiles]:
    """Return the files of the tree before any edit.

    A user's own tree is frozen as it is now. Another is written to a folder that is removed at the
    end. Raises UsageError for a tree without its command.
    """
    with scratch("tree") as folder:
        if isinstance(tree, OwnTree):
            files = tree.files.freeze()
        else:
            tree.write(folder)
            files = VisibleFiles.from_folder(folder, gitignore=False)
        check_command(files, command, tree.name)
        yield files


def press(arm: Arm, scenario: str, files: VisibleFiles, max_seconds: float) -> tuple[Run, float]:
    """Play one test event; also return the harness's processor seconds, without observing."""
    build = {FULL: arm.full, FIRST: arm.first}.get(scenario, arm.incremental)
    started = time.process_time_ns()
    run = build(files, max_seconds)
    spent = time.process_time_ns() - started - (run.observed.cost_ns if run.observed else 0)
    return run, spent / 1e9


def by_the_floor(samples: Sequence[Sample]) -> list[Sample]:
    """Mark the samples of a block as right if they answer as the floor did.

    If the build of the floor failed, they stay unmarked.
    """
    floor = [
        sample
        for sample in samples
        if sample.runner == FLOOR and sample.outcome == "completed" and not sample.status
    ]
    if not floor:
        return list(samples)
    expected = (floor[0].answer, floor[0].status)
    return [replace(sample, right=(sample.answer, sample.status) == expected) for sample in samples]


def check_command(files: VisibleFiles, command: str, tree: str) -> None:
    """Raise UsageError if the command is a file of the tree that is missing or not executable."""
    word = command.partition(" ")[0]
    if not word.startswith("./"):
        return
    file = files.get(word[2:].encode(errors="surrogateescape"))
    if file is None:
        raise UsageError(
            f"{tree} has no {word[2:]}, the command to run; write one, or give another with "
            "--command"
        )
    if file.mode == FILE:
        raise UsageError(
            f"{word[2:]} of {tree} is not executable; chmod +x it, or give another with --command"
        )
