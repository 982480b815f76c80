"""Faults of the soak: killed, stopped and removed containers, full disks, packed references."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from harness.engines import Engine, Sandbox, SandboxSpec
from harness.engines.streams import Removable, Stream
from harness.verify.proofs.faults.disk_faults import FULL
from harness.verify.proofs.faults.faulty_engine import spoil
from harness.verify.soak.presses import SoakFault

STOPPED_SECONDS = 0.3
"""How long a process is stopped before it is ended; nobody may take a stopped process for dead."""


class Watched:
    """Does what the engine behind it does, and can reach what one player started last."""

    def __init__(self, engine: Engine) -> None:
        self.unwrapped = self._engine = engine
        self._runs: list[Stream] = []
        self._keepers: list[Stream] = []
        self._full = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def open(self, spec: SandboxSpec) -> Sandbox:
        sandbox = self._engine.open(spec)
        sandbox.wrap(lambda stream: _keep(self._runs, stream))
        return sandbox

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        if self._full:
            program = spoil(program, f"install({FULL!r}, {self._full})")
        return _keep(self._keepers, self._engine.open_keeper(volume, program))

    def strike(self, fault: SoakFault) -> None:
        """Let the fault happen now."""
        whom, _, how = fault.partition(" ")
        streams = self._runs if whom == "run-container" else self._keepers
        if how in ("stopped", "removed") and self._engine.removable:
            for container in cast("list[Removable]", list(streams)):
                (container.remove if how == "removed" else container.stop)()
            return
        for stream in streams[-1:] if streams is self._runs else list(streams):
            if how == "stopped":
                _stop(stream)
            stream.kill()

    @contextmanager
    def disk_full(self, change: int) -> Iterator[None]:
        """Fill the disk of the next keeper from its change number `change`, during the block."""
        self.end_keepers()
        self._full = change
        try:
            yield
        finally:
            self._full = 0
            self.end_keepers()

    def end_keepers(self) -> None:
        """End all keepers; whoever uses one notices at the next request."""
        keepers, self._keepers[:] = list(self._keepers), []
        for keeper in keepers:
            keeper.kill()


def _keep(streams: list[Stream], stream: Stream) -> Stream:
    streams.append(stream)
    del streams[:-4]
    return stream


def _stop(stream: Stream) -> None:
    process: subprocess.Popen[bytes] | None = getattr(stream, "process", None)
    if process and process.poll() is None:
        stopped = threading.Event()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGSTOP)
        stopped.wait(STOPPED_SECONDS)


def possible(engine: Engine, *, keepers: bool) -> Sequence[SoakFault]:
    """Return the faults that can happen on this engine; `keepers`: whether the runner has some."""
    return [
        fault
        for fault in SoakFault
        if (keepers or not (fault.startswith("keeper") or fault is SoakFault.DISK_FULL))
        and (engine.removable or not fault.endswith("removed"))
    ]
