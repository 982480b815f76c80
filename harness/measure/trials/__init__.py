"""Trials: interleaved blocks in which every arm builds the same tree once, in shuffled order."""

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
from harness.measure.trials.failing import check_built
from harness.measure.trials.plan import BlockPlan
from harness.measure.trials.sample import Circumstances, Sample, reduce
from harness.measure.trials.scenario import FIRST, FULL, HEADER, INCREMENTAL, SCENARIOS
from harness.runners.base import COMMAND
from harness.runners.run import Outcome, Run

__all__ = ["FLOOR", "FULL", "INCREMENTAL", "BlockPlan", "Sample", "Step", "play"]


@dataclass(frozen=True)
class Step:
    """What is about to be played, for whoever shows progress."""

    block: int
    scenario: str
    runner: str
    first: bool  # of its block
    seconds: float  # since the start of the trials

    @property
    def words(self) -> str:
        """What all arms of the block do."""
        return f"block {self.block + 1}, {SCENARIOS[self.scenario].words}"

    @property
    def detail(self) -> str:
        """Who is doing it."""
        return self.runner


class Player:
    """The player's side: the visible files, and what was done to them before the button is pressed."""

    def __init__(self, tree: SourceTree, files: VisibleFiles) -> None:
        """`files` are those of the tree before any edit."""
        self.files = files
        self._tree = tree
        self._sources = self._headers = 0
        self.answer = tree.answer

    def edit(self, scenario: str) -> frozenset[bytes]:
        """Do what the scenario says; returns the names of the files that were edited. Raises UsageError where
        the tree has no such edit.
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
    """The samples of one block after the other, until the plan ends or the samples so far are `settled`.

    Raises UsageError for a tree without its command, or without an edit that a scenario needs, and BuildFailed where the
    floor does not build what it is to be the measure of.
    """
    with ExitStack() as stack:
        player = Player(tree, stack.enter_context(laid_out(tree, command)))
        if HEADER in plan.scenarios:
            tree.edit_header(1)  # if there is none, better now than after an hour
        order = random.Random(seed)
        ends: dict[str, Snapshot] = {}
        built: set[str] = set()  # scenarios that the floor has played
        recorded: list[Sample] = []
        started = time.monotonic()
        for block, scenario in enumerate(plan.kinds(time.monotonic)):
            edited = player.edit(scenario)
            samples = []
            for place, arm in enumerate(order.sample(arms, len(arms))):
                at = time.monotonic() - started
                about_to(Step(block, scenario, arm.name, place == 0, at))
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
                        yield from samples  # how long each took until then is worth knowing
                    check_built(run, f"its first {SCENARIOS[scenario].words}", command, max_seconds)
                    built.add(scenario)
                with suppress(HarnessError):  # the next test event tells what is wrong
                    arm.rest()
            samples = samples if player.answer is not None else by_the_floor(samples)
            yield from samples
            recorded += samples
            if settled(recorded):
                return


@contextmanager
def laid_out(tree: SourceTree, command: str) -> Iterator[VisibleFiles]:
    """The tree before any edit: a user's own as it is now, whatever happens to it meanwhile; another in a folder that goes in
    the end. Raises UsageError for a tree without its command.
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
    """One test event, and the processor time of the harness itself in seconds, observing left out."""
    build = {FULL: arm.full, FIRST: arm.first}.get(scenario, arm.incremental)
    started = time.process_time_ns()
    run = build(files, max_seconds)
    spent = time.process_time_ns() - started - (run.observed.cost_ns if run.observed else 0)
    return run, spent / 1e9


def by_the_floor(samples: Sequence[Sample]) -> list[Sample]:
    """The samples of a block, right where they answer as the floor did: it builds a twin of the tree in
    place. Where its build failed, nobody knows.
    """
    floor = [
        each
        for each in samples
        if each.runner == FLOOR and each.outcome == "completed" and not each.status
    ]
    if not floor:
        return list(samples)
    expected = (floor[0].answer, floor[0].status)
    return [replace(each, right=(each.answer, each.status) == expected) for each in samples]


def check_command(files: VisibleFiles, command: str, tree: str) -> None:
    """Raise UsageError if the command is a file of the tree that is not there, or is no program."""
    word = command.partition(" ")[0]
    if not word.startswith("./"):
        return
    file = files.get(word[2:].encode(errors="surrogateescape"))
    if file is None:
        raise UsageError(
            f"{tree} has no {word[2:]}, the command to run; write one, or give another by --command"
        )
    if file.mode == FILE:
        raise UsageError(
            f"{word[2:]} of {tree} is not executable; chmod +x it, or give another by --command"
        )
