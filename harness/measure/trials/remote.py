"""An arm in a child process: a runner of another environment, measured in the same blocks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from harness.engines import Limits
from harness.engines.folders import scratch
from harness.inside.errors import EngineError, UsageError
from harness.inside.tree import Entry, Snapshot
from harness.inside.usage import DiskUsage
from harness.katas.visible import VisibleFiles
from harness.measure.trials import remote_child
from harness.runners.run import Observation, Outcome, Phase, Run

_PATIENCE = 30.0
"""Seconds that a child has to clean up once its input has ended."""


@dataclass(frozen=True)
class Opening:
    """What the child is to open, as `harness.open_runner` takes it."""

    runner: str
    """The name of a runner, with its options."""
    engine: str
    """The name of an engine."""
    image: str | None
    """The image of run-containers; None: harness-gcc."""
    command: str
    """The command line of a test event."""
    limits: Limits
    """The limits of a test event."""


class RemoteArmError(EngineError):
    """The child cannot play."""

    def __init__(self, arm: str, message: str) -> None:
        """`arm` is the name of the arm."""
        super().__init__(message)
        self.arm = arm


class RemoteArm:
    """Plays in a child process with the Python of another environment (see `remote_child`).

    Two versions are both compared in children, so that both bear the cost of being one. That cost
    is tiny: the child itself times a test event, and files travel before it begins.
    """

    def __init__(self, name: str, python: Path, opening: Opening) -> None:
        """Raises UsageError if that Python has no harness, or its harness has no such runner."""
        self.name = name
        self._scratch = contextlib.ExitStack()
        self._folder = self._scratch.enter_context(scratch("remote"))
        self._files: VisibleFiles | None = None
        # -I: no harness of this environment or of the current folder may come before that one.
        self._child = subprocess.Popen(
            [str(python), "-I", remote_child.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.version = str(
                self._ask(
                    {
                        "runner": opening.runner,
                        "engine": opening.engine,
                        "image": opening.image,
                        "command": opening.command,
                        "event_seconds": opening.limits.event_seconds,
                        "folder": str(self._folder / "tree"),
                    },
                )["ready"]
            )
        except EngineError as error:
            self.close()
            raise UsageError(f"{name} cannot be played by {python}: {error}") from error
        except BaseException:
            self.close()
            raise

    def full(self, files: VisibleFiles, max_seconds: float) -> Run:
        return self._play("full", files, max_seconds)

    def incremental(self, files: VisibleFiles, max_seconds: float) -> Run:
        return self._play("incremental", files, max_seconds)

    def first(self, files: VisibleFiles, max_seconds: float) -> Run:
        return self._play("first", files, max_seconds)

    def rest(self) -> None:
        self._ask({"do": "rest", "max_seconds": 0})

    def close(self) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has already ended
            self._child.stdin.close()
        try:
            self._child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()
        with contextlib.suppress(OSError):
            self._scratch.close()

    def _play(self, do: str, files: VisibleFiles, max_seconds: float) -> Run:
        self._send(files)
        return _run(self._ask({"do": do, "max_seconds": max_seconds})["run"])

    def _send(self, files: VisibleFiles) -> None:
        """Write the files where the child reads them, except those that are already there."""
        folder = self._folder / "tree"
        last = self._files
        if last is None or set(last) != set(files):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            files.write(folder)
        else:
            changed = {name: file for name, file in files.items() if last[name].blob != file.blob}
            if changed:
                VisibleFiles(changed).write(folder)
        self._files = files

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Return the child's answer. Raises RemoteArmError if there is none, or it is an error."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(json.dumps(question) + "\n")
            self._child.stdin.flush()
            answer = json.loads(self._child.stdout.readline())
        except (BrokenPipeError, ValueError):
            raise RemoteArmError(
                self.name, f"{self.name}: its process ended with status {self._child.poll()}"
            ) from None
        if "error" in answer:
            raise RemoteArmError(self.name, str(answer["error"]))
        assert isinstance(answer, dict)
        return answer


def _run(answer: Mapping[str, Any]) -> Run:
    """Make a run from an answer of any version; unknown and missing fields are left out."""
    known = _known(Run, answer)
    known["outcome"] = Outcome(answer["outcome"])
    known["phases"] = tuple(Phase(**_known(Phase, phase)) for phase in answer["phases"])
    if seen := answer.get("observed"):
        snapshots = {name: _snapshot(seen[name]) for name in ("before", "after")}
        grown = DiskUsage(**seen["grown"]) if seen.get("grown") else None
        known["observed"] = Observation(
            **{**_known(Observation, seen), **snapshots, "grown": grown}
        )
    return Run(**known)


def _snapshot(answer: Mapping[str, Mapping[str, Any]]) -> Snapshot:
    return {os.fsencode(path): _entry(entry) for path, entry in answer.items()}


def _entry(answer: Mapping[str, Any]) -> Entry:
    known = _known(Entry, answer)
    for name in ("target", "link"):
        known[name] = os.fsencode(known.get(name, ""))
    return Entry(**known)


def _known(kind: type[Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: answer[field.name] for field in fields(kind) if field.name in answer}
