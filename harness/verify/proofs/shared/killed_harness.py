"""A harness that a proof kills: a process that plays one test event with a fault."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from typing import cast

from harness.engines import Engine
from harness.inside.errors import HarnessError
from harness.inside.layout import Avatar
from harness.runners.base import BaseRunner
from harness.runners.variant import Variant
from harness.verify.child_process import command
from harness.verify.faults import disk_faults
from harness.verify.faults.faulty_engine import FaultyEngine
from harness.verify.faults.timed_fault import TimedFault
from harness.verify.proofs.shared.subject import SECONDS, Subject


@dataclass(frozen=True)
class _Play:
    """What the process is asked to play."""

    variant: Variant
    engine: Engine
    image: str | None
    place: str
    avatar: Avatar
    files: dict[str, str | bytes]
    # None: count the changes of the disk.
    fault: TimedFault | None


@dataclass(frozen=True)
class PlayReport:
    """What the process reports at its end."""

    # "completed", "timed_out" or "faulty" as in Outcome, or "broken" if the process itself failed.
    outcome: str
    reason: str
    # Changes of the disk that were counted.
    changes: int


def can_play(subject: Subject, runner: BaseRunner) -> bool:
    """Whether another process can play this runner.

    It must be able to import the engine and the runner, and the katas must have a name.
    """
    try:
        pickle.dumps((subject.variant, subject.engine))
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return bool(runner.katas.place())


def play_with_fault(
    subject: Subject,
    runner: BaseRunner,
    avatar: Avatar,
    files: dict[str, str | bytes],
    fault: TimedFault | None,
) -> PlayReport | None:
    """Play a test event in another process, with this runner's katas; None if it was killed."""
    play = _Play(
        subject.variant, subject.engine, subject.image, runner.katas.place(), avatar, files, fault
    )
    done = subprocess.run(
        command(__name__),
        input=pickle.dumps(sys.path) + pickle.dumps(play),
        capture_output=True,
        check=False,
        timeout=SECONDS * 2,
    )
    if done.returncode < 0:
        return None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return PlayReport("broken", lines[-1] if lines else f"exit {done.returncode}", 0)
    return PlayReport(**json.loads(done.stdout))


def main() -> None:
    """Play what stdin asks for: the entry point of the process."""
    play: _Play = pickle.load(sys.stdin.buffer)
    changes = 0

    def count() -> None:
        nonlocal changes
        changes += 1

    faulty = FaultyEngine(play.engine)
    with (
        closing(play.engine),
        closing(play.variant.open(cast(Engine, faulty), play.place, image=play.image)) as runner,
    ):
        if play.fault is None:
            disk_faults.install(disk_faults.COUNTED, 0, count)
        elif not play.fault.place:
            disk_faults.install(play.fault.action, play.fault.change)
        try:
            if play.fault and play.fault.place:
                with faulty.armed(play.fault):
                    run = runner.run(play.avatar, play.files, max_seconds=SECONDS)
            else:
                run = runner.run(play.avatar, play.files, max_seconds=SECONDS)
            outcome, reason = str(run.outcome), run.reason
        except HarnessError as error:
            outcome, reason = "faulty", str(error)
        report = {"outcome": outcome, "reason": reason, "changes": changes}
        print(json.dumps(report), flush=True)  # noqa: T201
        # The disk of this process stays full, so nothing can be tidied up.
        os._exit(0)
