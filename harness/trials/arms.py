"""The arms of a comparison: each runner, and the floor beneath them all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Protocol

from harness import tarpipe
from harness.engines import Engine, Limits, Sandbox, SandboxSpec
from harness.katas.layout import Avatar
from harness.katas.visible import VisibleFiles
from harness.runners.base import BaseRunner
from harness.runners.event import Look
from harness.runners.run import Outcome, Phase, Run

FLOOR = "bare-make"


class Arm(Protocol):
    """Something that builds a tree, first from nothing and then again after edits."""

    name: str

    def full(self, files: VisibleFiles, max_seconds: float) -> Run:
        """Build from nothing."""

    def incremental(self, files: VisibleFiles, max_seconds: float) -> Run:
        """Build again where the last full build left off."""

    def first(self, files: VisibleFiles, max_seconds: float) -> Run:
        """Build from nothing, as if nobody had ever built here."""

    def rest(self) -> None:
        """What is done while the player is thinking, so that it is over before another arm plays."""

    def close(self) -> None: ...


class RunnerArm:
    """A runner; every full build is the first test event of a new avatar."""

    def __init__(self, name: str, open_runner: Callable[[], BaseRunner]) -> None:
        """What `open_runner` gives is closed with the arm; its katas are temporary."""
        self.name = name
        self._open = open_runner
        self._runner = open_runner()
        self._avatars = 0

    def first(self, files: VisibleFiles, max_seconds: float) -> Run:
        self._runner.close()
        self._runner = self._open()
        return self.full(files, max_seconds)

    def full(self, files: VisibleFiles, max_seconds: float) -> Run:
        self._avatars += 1
        return self.incremental(files, max_seconds)

    def incremental(self, files: VisibleFiles, max_seconds: float) -> Run:
        return self._runner.run(self._avatar, files, max_seconds=max_seconds)

    def rest(self) -> None:
        self._runner.prepare(self._avatar)

    @property
    def _avatar(self) -> Avatar:
        return Avatar(name=f"avatar-{self._avatars}")

    def close(self) -> None:
        self._runner.close()


class FloorArm:
    """The same command in the same image, in place, in a shell that already waits: no transport at all.

    The files get there too, but nobody waits for that: only the command is timed.
    """

    name = FLOOR

    def __init__(
        self, engine: Engine, *, image: str | None, command: str, limits: Limits, observe: bool = True
    ) -> None:
        self._engine, self._command, self._observe = engine, command, observe
        self._spec = SandboxSpec(image=image, limits=limits, in_place=True)
        self._sandbox: Sandbox | None = None
        self._last: VisibleFiles | None = None

    def first(self, files: VisibleFiles, max_seconds: float) -> Run:
        return self.full(files, max_seconds)  # its container is a new one either way

    def full(self, files: VisibleFiles, max_seconds: float) -> Run:
        self.close()
        self._sandbox = self._engine.open(self._spec)
        self._send(files)
        return self._build(files, max_seconds)

    def incremental(self, files: VisibleFiles, max_seconds: float) -> Run:
        if self._sandbox is None or self._last is None:
            return self.full(files, max_seconds)  # the last build was stopped, and its container with it
        last = self._last
        changed = {
            name: file for name, file in files.items() if name not in last or last[name].blob != file.blob
        }
        if changed:
            self._send(VisibleFiles(changed))
        return self._build(files, max_seconds)

    def rest(self) -> None:
        """It waits as it is."""

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
        look = Look.at(self._sandbox) if self._observe else None
        done = self._sandbox.execute(self._command, max_seconds)
        observed = look.until(Look.at(self._sandbox)) if look and not done.timed_out else None
        if done.timed_out:
            self.close()
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
            observed=observed,
            answered=done.nanoseconds if outcome is Outcome.COMPLETED else None,
        )
