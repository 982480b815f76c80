"""Faults from outside: who is killed, stopped or removed, whose disk is full, and who packs the references of a history."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import docker.errors
import requests.exceptions

from harness.engines import Engine, Sandbox, SandboxSpec
from harness.engines.docker.engine import DockerEngine
from harness.engines.docker.images import KEEPER_IMAGE
from harness.engines.streams import Stream
from harness.inside.folder_katas import FolderKatas
from harness.inside.store import Katas
from harness.verify.proofs.faults.disk_faults import FULL
from harness.verify.proofs.faults.faulty_engine import spoil
from harness.verify.soak.presses import SoakFault

STOPPED_SECONDS = 0.3
"""How long a process of the local engine is stopped before it is ended: what waits for it must not take it for dead."""


class Watched:
    """Like the engine behind it, but whoever has it can reach what it started last; for one player."""

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
        """The fault happens now."""
        whom, _, how = fault.partition(" ")
        streams = self._runs if whom == "run-container" else self._keepers
        if how in ("stopped", "removed") and isinstance(self._engine, DockerEngine):
            self._end_containers(keepers=streams is self._keepers, remove=how == "removed")
            return
        for stream in streams[-1:] if streams is self._runs else list(streams):
            if how == "stopped":
                _stop(stream)
            stream.kill()

    @contextmanager
    def disk_full(self, change: int) -> Iterator[None]:
        """The disk of the next keeper is full from this change of it on, as long as the block."""
        self.end_keepers()
        self._full = change
        try:
            yield
        finally:
            self._full = 0
            self.end_keepers()

    def end_keepers(self) -> None:
        """Whoever holds one finds out when something is next asked of it."""
        keepers, self._keepers[:] = list(self._keepers), []
        for each in keepers:
            each.kill()

    def _end_containers(self, *, keepers: bool, remove: bool) -> None:
        assert isinstance(self._engine, DockerEngine)
        own = {line.rpartition(" ")[2] for line in self._engine.traces()}
        with contextlib.suppress(
            docker.errors.DockerException, requests.exceptions.RequestException
        ):
            for each in self._engine.api.containers():
                if each["Id"][:12] in own and each["Image"].startswith(KEEPER_IMAGE) == keepers:
                    with contextlib.suppress(docker.errors.APIError):  # it has just gone by itself
                        if remove:
                            self._engine.api.remove_container(each["Id"], force=True, v=True)
                        else:
                            self._engine.api.stop(each["Id"], timeout=0)


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


def possible(engine: Engine, katas: Katas) -> Sequence[SoakFault]:
    """What can go wrong with a runner that has its katas there."""
    keeps = not isinstance(katas, FolderKatas)
    removes = isinstance(engine, DockerEngine)
    return [
        each
        for each in SoakFault
        if (keeps or not (each.startswith("keeper") or each is SoakFault.DISK_FULL))
        and (removes or not each.endswith("removed"))
    ]
