"""The player's program on the fake engine, and the clock of its runs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from harness.engines.guest.environment import players


@dataclass(frozen=True)
class Played:
    """What the player's program did."""

    status: int = 0
    """Its exit status."""
    stdout: bytes = b""
    """What it printed."""
    stderr: bytes = b""
    """What it printed there."""


PlayerProgram: TypeAlias = Callable[[Path, str], Played | None]
"""Plays a command line in a sandbox; None if it never ends, and the limit comes at once."""


@dataclass(frozen=True)
class Clock:
    """The clock that stamps a run's files, relative to that of the katas."""

    ahead_ns: int = 0
    """Nanoseconds that it is ahead; negative if it is behind."""
    tick_ns: int = 1
    """Stamps are cut to multiples, as old file systems do: 10**9, or 2 * 10**9 for FAT."""

    def stamp(self, real_ns: int) -> int:
        return (real_ns + self.ahead_ns) // self.tick_ns * self.tick_ns


def shell(patience: float = 1.0) -> PlayerProgram:
    """Return a player that calls sh as this user; what runs for `patience` seconds never ends."""

    def play(sandbox: Path, command: str) -> Played | None:
        child = subprocess.Popen(
            ["sh", "-c", command],
            cwd=sandbox,
            env=players(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            stdout, stderr = child.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
        return Played(
            child.returncode % 256 if child.returncode >= 0 else 128 - child.returncode,
            stdout,
            stderr,
        )

    return play
