"""A harness that the soak kills: a process that plays one test event."""

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
    """What the process is asked to play."""

    variant: Variant
    engine: Engine
    image: str | None
    place: str
    avatar: Avatar
    # Name to mode, content and age.
    files: dict[bytes, tuple[int, bytes, int | None]]
    max_seconds: float


def play_child(play: ChildPlay, after: float) -> bool:
    """Let a process play, kill it `after` seconds; return whether it had reached its end."""
    with subprocess.Popen(
        command(__name__),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(pickle.dumps(sys.path) + pickle.dumps(play))
        process.stdin.close()
        # It says when it begins.
        process.stdout.readline()
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        return process.wait(_SECONDS) == 0


def main() -> None:
    """Play what stdin asks for: the entry point of the process."""
    play: ChildPlay = pickle.load(sys.stdin.buffer)
    files = VisibleFiles(
        {
            name: VisibleFile(content, mode, age=age)
            for name, (mode, content, age) in play.files.items()
        }
    )
    with (
        closing(play.engine),
        closing(play.variant.open(play.engine, play.place, image=play.image)) as runner,
    ):
        print("begins", flush=True)  # noqa: T201
        with suppress(HarnessError):
            runner.run(play.avatar, files, max_seconds=play.max_seconds)
