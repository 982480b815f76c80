"""Cells that are examined at once, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest

from harness import runners
from harness.engines.choice import choose
from harness.inside.errors import EngineError, UsageError
from harness.runners.claims import Property
from harness.runners.tmp import Tmp
from harness.runners.variant import Variant
from harness.verify.matrix import Verification, verify
from harness.verify.proofs import Status
from harness.verify.proofs.shared.waiting import eventually
from harness.verify.workers import Task, can_travel, spread


class Deadly(Tmp):
    """Its process dies when it is opened."""

    def __init__(self, *arguments: object, **options: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def task(runner: Variant, name: Property, replay: str | None = None) -> Task:
    with closing(choose("local-plain").engine) as engine:
        return Task(runner, engine, "local-plain", None, name, "ci", replay)


def test_they_find_what_one_process_finds() -> None:
    """Each cell once, whichever comes first."""
    with closing(choose("local-plain").engine) as engine:
        asked = Verification(
            [runners.parse_variant("tmp")],
            {"local-plain": engine},
            [Property.RENAMES, Property.HISTORY, Property.FRESH],
            "ci",
        )
        begun: list[int] = []
        several = list(verify(asked, lambda cell: begun.append(cell.number), jobs=2))
        alone = list(verify(asked))
    found = {
        (each.runner, each.name): (each.status, each.claimed, each.examples) for each in several
    }
    assert len(found) == len(several) == 3
    assert found == {
        (each.runner, each.name): (each.status, each.claimed, each.examples) for each in alone
    }
    assert sorted(begun) == [1, 2, 3]
    assert found["tmp", Property.RENAMES][0] is Status.REFUTED


def test_one_that_dies_is_told() -> None:
    with pytest.raises(
        EngineError, match="a process that was proving has died; --jobs 1 shows where"
    ):
        list(spread([task(Variant(Deadly, {}), Property.HISTORY)], 2))


def test_what_a_proof_raises_comes_through() -> None:
    """A token that is none."""
    asked = task(runners.parse_variant("tmp"), Property.HISTORY, replay="cases.Mg")
    with pytest.raises(UsageError, match=r"cases[.]Mg"):
        list(spread([asked], 1))


def test_what_no_other_process_can_import_stays_here() -> None:
    class Local(Tmp):
        pass

    assert can_travel([task(runners.parse_variant("tmp"), Property.HISTORY)])
    assert not can_travel([task(Variant(Local, {}), Property.HISTORY)])


@pytest.mark.parametrize("wait", [0, 2])
def test_an_interruption_ends_them(wait: float) -> None:
    """ctrl-C to the command alone: no process of it goes on."""
    command = [sys.executable, "-m", "harness", "verify", "--engine", "local-plain", "--jobs", "2"]
    with subprocess.Popen(
        [
            *command,
            "--property",
            "mirror",
            "--property",
            "edits",
            "--runner",
            "katas-data-container",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert eventually(lambda: len(children(process.pid)) == 2)
        workers = children(process.pid)
        time.sleep(wait)  # while they start, and in the middle of something
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert eventually(lambda: not any(os.path.exists(f"/proc/{each}") for each in workers))


def children(process: int) -> list[int]:
    with open(f"/proc/{process}/task/{process}/children", encoding="ascii") as file:
        return [int(each) for each in file.read().split()]
