"""Records what is done to the katas, in this thread or by a keeper on any engine."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.engines import Engine
from harness.engines.streams import Stream
from harness.inside.errors import EngineError
from harness.verify.faults.keeper_programs import beginning_with, source_of
from harness.verify.faults.wrapped import WrappedEngine, WrappedStream
from harness.verify.proofs.power.recorder import RECORD_PREFIX, Recorder

ACCEPTED = "accepted"
"""Marks a test event that was reported as accepted."""


_RECORDERS: list[Recorder] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for recorder in _RECORDERS:
        recorder.hook(event, arguments)


@functools.cache
def _install() -> None:
    sys.addaudithook(_hook)


@contextmanager
def recorded(root: Path) -> Iterator[tuple[Recorder, list[dict[str, Any]]]]:
    """Record what this thread does to a folder in the block."""
    records: list[dict[str, Any]] = []
    recorder = Recorder(str(root), records.append)
    _install()
    _RECORDERS.append(recorder)
    recorder.mark("begun")
    try:
        yield recorder, records
    finally:
        _RECORDERS.remove(recorder)


class RecordingEngine(WrappedEngine):
    """Does what the engine behind it does; its keepers report what they do to their disk."""

    def __init__(self, engine: Engine) -> None:
        """Stand before `engine`, and record."""
        super().__init__(engine)
        self.recording = True
        self.records: list[dict[str, Any]] = []

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        if not self.recording:
            return super().open_keeper(volume, program)
        if self.records:
            raise EngineError("a second keeper was asked for while one is being recorded")
        telling = beginning_with(
            program, source_of("proofs/power/recorder.py"), b"install_in_keeper()"
        )
        return _Telling(super().open_keeper(volume, telling), self.records)


class _Telling(WrappedStream):
    """A stream to a keeper that records itself."""

    def __init__(self, stream: Stream, records: list[dict[str, Any]]) -> None:
        super().__init__(stream)
        self._records = records
        self._said = b""

    def read(self, deadline: float) -> tuple[int, bytes]:
        while True:
            source, data = self.behind.read(deadline)
            if source != 2:
                return source, data
            *lines, self._said = (self._said + data).split(b"\n")
            other = []
            for line in lines:
                if line.startswith(RECORD_PREFIX):
                    self._records.append(json.loads(line.removeprefix(RECORD_PREFIX)))
                else:
                    other.append(line + b"\n")
            if other:
                return source, b"".join(other)
