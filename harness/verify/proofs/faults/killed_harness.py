"""A harness to be killed: a process of its own that plays one test event in which a fault waits."""

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
from harness.katas.places import place_of
from harness.runners.base import BaseRunner
from harness.runners.variant import Variant
from harness.verify.child_process import command
from harness.verify.proofs.faults import disk_faults
from harness.verify.proofs.faults.faulty_engine import FaultyEngine, TimedFault
from harness.verify.proofs.shared.subject import SECONDS, Subject


@dataclass(frozen=True)
class _Play:
    """What the process is told."""

    variant: Variant
    engine: Engine
    image: str | None
    place: str
    avatar: Avatar
    files: dict[str, str | bytes]
    fault: TimedFault | None  # None: count the changes of the disk


@dataclass(frozen=True)
class Told:
    """What it tells when it has come to its end."""

    outcome: str
    reason: str
    changes: int


def can_play(subject: Subject, runner: BaseRunner) -> bool:
    """Whether another process can play this runner: the engine and the kind of runner must be importable there, and the
    katas have a name.
    """
    try:
        pickle.dumps((subject.variant, subject.engine))
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return bool(place_of(runner.katas))


def play_with_fault(
    subject: Subject,
    runner: BaseRunner,
    avatar: Avatar,
    files: dict[str, str | bytes],
    fault: TimedFault | None,
) -> Told | None:
    """One test event of another process, with the katas of this runner; None where that process was killed."""
    told = _Play(
        subject.variant, subject.engine, subject.image, place_of(runner.katas), avatar, files, fault
    )
    done = subprocess.run(
        command(__name__),
        input=pickle.dumps(sys.path) + pickle.dumps(told),
        capture_output=True,
        check=False,
        timeout=SECONDS * 2,
    )
    if done.returncode < 0:
        return None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return Told("broken", said[-1] if said else f"exit {done.returncode}", 0)
    return Told(**json.loads(done.stdout))


def main() -> None:
    """Entry point of the process."""
    told: _Play = pickle.load(sys.stdin.buffer)
    changes = 0

    def count() -> None:
        nonlocal changes
        changes += 1

    faulty = FaultyEngine(told.engine)
    with (
        closing(told.engine),
        closing(told.variant.open(cast(Engine, faulty), told.place, image=told.image)) as runner,
    ):
        if told.fault is None:
            disk_faults.install(disk_faults.COUNTED, 0, count)
        elif not told.fault.place:
            disk_faults.install(told.fault.action, told.fault.change)
        try:
            if told.fault and told.fault.place:
                with faulty.armed(told.fault):
                    run = runner.run(told.avatar, told.files, max_seconds=SECONDS)
            else:
                run = runner.run(told.avatar, told.files, max_seconds=SECONDS)
            outcome, reason = str(run.outcome), run.reason
        except HarnessError as error:
            outcome, reason = "faulty", str(error)
        print(json.dumps({"outcome": outcome, "reason": reason, "changes": changes}), flush=True)  # noqa: T201
        os._exit(0)  # a disk that is full stays so
