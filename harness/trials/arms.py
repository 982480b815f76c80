"""The arms of a comparison: each runner, and the floor beneath them all."""

from __future__ import annotations

import tempfile
from typing import Protocol

from harness import tarpipe
from harness.engines import Engine, Limits, Sandbox, SandboxSpec
from harness.katas.layout import Avatar
from harness.katas.visible import VisibleFiles
from harness.runners.base import BaseRunner
from harness.runners.run import Observation, Outcome, Phase, Run

FLOOR = "bare-make"


class Arm(Protocol):
    """Something that builds a tree, first from nothing and then again after edits."""

    name: str

    def full(self, files: VisibleFiles, max_seconds: float) -> Run:
        """Build from nothing."""

    def incremental(self, files: VisibleFiles, max_seconds: float) -> Run:
        """Build again where the last full build left off."""

    def close(self) -> None: ...


class RunnerArm:
    """A runner; every full build is the first test event of a new avatar."""

    def __init__(self, name: str, runner: BaseRunner) -> None:
        """The runner is closed with the arm; it must observe."""
        self.name = name
        self._runner = runner
        self._avatars = 0

    def full(self, files: VisibleFiles, max_seconds: float) -> Run:
        self._avatars += 1
        return self.incremental(files, max_seconds)

    def incremental(self, files: VisibleFiles, max_seconds: float) -> Run:
        return self._runner.run(Avatar(name=f"avatar-{self._avatars}"), files, max_seconds=max_seconds)

    def close(self) -> None:
        self._runner.close()


class FloorArm:
    """The same command in the same image, in place, in a shell that already waits: no transport at all.

    The files get there too, but nobody waits for that: only the command is timed.
    """

    name = FLOOR

    def __init__(self, engine: Engine, *, image: str | None, command: str, limits: Limits) -> None:
        self._engine, self._command = engine, command
        self._spec = SandboxSpec(image=image, limits=limits, in_place=True)
        self._sandbox: Sandbox | None = None
        self._last: VisibleFiles | None = None

    def full(self, files: VisibleFiles, max_seconds: float) -> Run:
        self.close()
        self._sandbox = self._engine.open(self._spec)
        self._send(files)
        return self._build(files, max_seconds)

    def incremental(self, files: VisibleFiles, max_seconds: float) -> Run:
        if self._sandbox is None or self._last is None:
            return self.full(files, max_seconds)  # the last build was stopped, and its container with it
        last = self._last
        self._send(
            VisibleFiles(
                {
                    name: file
                    for name, file in files.items()
                    if name not in last or last[name].blob != file.blob
                }
            )
        )
        return self._build(files, max_seconds)

    def close(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None

    def _send(self, files: VisibleFiles) -> None:
        assert self._sandbox is not None
        with tempfile.TemporaryDirectory(prefix="harness-floor-") as folder:
            files.write(folder)
            # By name and without folders: what is there keeps its stamp.
            names = tuple(f"./{name.decode(errors='surrogateescape')}" for name in files)
            self._sandbox.unpack(lambda write: tarpipe.pack(folder, write, what=names))

    def _build(self, files: VisibleFiles, max_seconds: float) -> Run:
        assert self._sandbox is not None
        self._last = files
        before = self._sandbox.observe()
        done = self._sandbox.execute(self._command, max_seconds)
        if done.timed_out:
            self.close()
        after = self._sandbox.observe() if self._sandbox else {}
        outcome = (
            Outcome.TIMED_OUT if done.timed_out else Outcome.FAULTY if done.reason else Outcome.COMPLETED
        )
        return Run(
            outcome=outcome,
            status=done.status,
            stdout=done.stdout.decode(errors="replace"),
            stderr=done.stderr.decode(errors="replace"),
            truncated=done.truncated,
            tag=None,
            phases=(Phase("run", "<<RUN>>", done.nanoseconds),),
            nanoseconds=done.nanoseconds,
            reason=done.reason,
            observed=Observation(before, after),
        )
