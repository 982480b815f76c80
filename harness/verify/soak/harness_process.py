"""A harness that is killed: a process of its own, which plays one test event and says when it begins."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import dataclass

from harness.engines import Engine
from harness.inside.errors import HarnessError
from harness.inside.layout import Avatar
from harness.katas.visible import VisibleFile, VisibleFiles
from harness.runners.variant import Variant
from harness.verify.child_process import command

_SECONDS = 120.0


@dataclass(frozen=True)
class ChildPlay:
    """What the process is told."""

    variant: Variant
    engine: Engine
    image: str | None
    place: str
    avatar: Avatar
    files: dict[bytes, tuple[int, bytes, int | None]]
    max_seconds: float


def play_child(told: ChildPlay, after: float) -> bool:
    """Let it play, and kill it so many seconds after it began; whether it had come to its end."""
    with subprocess.Popen(
        command(__name__),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(pickle.dumps(sys.path) + pickle.dumps(told))
        process.stdin.close()
        process.stdout.readline()  # it begins
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        return process.wait(_SECONDS) == 0


def main() -> None:
    """Entry point of the process."""
    told: ChildPlay = pickle.load(sys.stdin.buffer)
    files = VisibleFiles(
        {
            name: VisibleFile(content, mode, age=age)
            for name, (mode, content, age) in told.files.items()
        }
    )
    with (
        closing(told.engine),
        closing(told.variant.open(told.engine, told.place, image=told.image)) as runner,
    ):
        print("begins", flush=True)  # noqa: T201
        with suppress(HarnessError):
            runner.run(told.avatar, files, max_seconds=told.max_seconds)
