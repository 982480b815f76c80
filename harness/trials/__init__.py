"""Trials: interleaved blocks in which every arm builds the same tree once, in shuffled order."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import UsageError
from harness.katas.visible import VisibleFiles
from harness.runners.base import COMMAND
from harness.tree import Snapshot
from harness.trees import SourceTree
from harness.trials.arms import FLOOR, Arm
from harness.trials.plan import Plan
from harness.trials.sample import FULL, INCREMENTAL, Sample, reduce

__all__ = ["FLOOR", "FULL", "INCREMENTAL", "Plan", "Sample", "Step", "play"]


@dataclass(frozen=True)
class Step:
    """What is about to be played, for whoever shows progress."""

    block: int
    build: str
    runner: str
    first: bool  # of its block
    seconds: float  # since the start of the trials


def play(
    tree: SourceTree,
    arms: Sequence[Arm],
    plan: Plan,
    *,
    seed: int,
    max_seconds: float,
    command: str = COMMAND,
    about_to: Callable[[Step], None] = lambda step: None,
) -> Iterator[Sample]:
    """The samples of one block after the other. Raises UsageError for a tree without its command."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harness-tree-")))
        tree.write(folder)
        files = VisibleFiles.from_folder(folder)
        check_command(files, command, tree.name)
        order = random.Random(seed)
        answer, edits = tree.answer, 0
        ends: dict[str, Snapshot] = {}
        started = time.monotonic()
        for block, build in enumerate(plan.kinds(time.monotonic)):
            edited: frozenset[bytes] = frozenset()
            if build == INCREMENTAL:
                edits += 1
                edit = tree.edit(edits)
                files, answer = files.edited(edit.path, edit.content), edit.answer
                edited = frozenset([edit.path.encode()])
            samples = []
            for place, arm in enumerate(order.sample(arms, len(arms))):
                about_to(Step(block, build, arm.name, place == 0, time.monotonic() - started))
                run = (arm.full if build == FULL else arm.incremental)(files, max_seconds)
                before = ends.pop(arm.name, {}) if build == INCREMENTAL else {}
                if run.observed:
                    ends[arm.name] = run.observed.after
                samples.append(
                    reduce(
                        run,
                        runner=arm.name,
                        build=build,
                        block=block,
                        place=place,
                        before=before,
                        edited=edited,
                        answer=answer,
                    )
                )
            yield from samples if answer is not None else by_the_floor(samples)


def by_the_floor(samples: Sequence[Sample]) -> list[Sample]:
    """The samples of a block, right where they answer as the floor did: it builds a twin of the tree in
    place.
    """
    floor = [each for each in samples if each.runner == FLOOR and each.outcome == "completed"]
    if not floor:
        return list(samples)
    expected = (floor[0].answer, floor[0].status)
    return [replace(each, right=(each.answer, each.status) == expected) for each in samples]


def check_command(files: VisibleFiles, command: str, tree: str) -> None:
    """Raise UsageError if the command is a file of the tree that is not there."""
    word = command.partition(" ")[0]
    if word.startswith("./") and word[2:].encode(errors="surrogateescape") not in files:
        raise UsageError(
            f"{tree} has no {word[2:]}, the command to run; write one, or give another by --command"
        )
