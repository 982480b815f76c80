"""The arms of a comparison: each runner, and the floor, which is bare make in place."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from typing import Protocol

from harness.engines import Engine, Limits, Sandbox, SandboxSpec
from harness.inside import tarpipe
from harness.inside.disk import remove_tree
from harness.inside.errors import StreamCut
from harness.inside.layout import Avatar
from harness.inside.store import Event
from harness.katas.places import TemporaryKatas
from harness.katas.visible import VisibleFiles
from harness.runners.base import BaseRunner
from harness.runners.event import TestEvent
from harness.runners.look import Look
from harness.runners.request import EventRequest
from harness.runners.run import Outcome, Phase, Run
from harness.runners.seed import Seed

FLOOR = "bare-make"

COPY = "1st B -> sandbox (changed only)"


class Arm(Protocol):
    """Builds a tree, first from nothing and then again after edits."""

    name: str
    """As results call it."""

    def full(self, files: VisibleFiles, max_seconds: float) -> Run:
        """Build from nothing."""

    def incremental(self, files: VisibleFiles, max_seconds: float) -> Run:
        """Build again where the last full build left off."""

    def first(self, files: VisibleFiles, max_seconds: float) -> Run:
        """Build from nothing, right after opening, in new katas."""

    def rest(self) -> None:
        """Do what is done while the player thinks, so that it does not disturb the next arm."""

    def close(self) -> None: ...


class RunnerArm:
    """A runner as an arm; every full build is the first test event of a new avatar."""

    def __init__(self, name: str, open_runner: Callable[[], BaseRunner]) -> None:
        """The arm closes what `open_runner` opens; its katas are temporary."""
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
    """The same command in the same image, in place, in a waiting shell: no transport at all.

    The files travel there too, but only the command is timed. The runners' own code decides what an
    edit means: the files are saved in katas of the floor's own, and sent from there with their
    stamps, as to a standby sandbox that holds the rest of the tree.
    """

    name = FLOOR

    def __init__(
        self,
        engine: Engine,
        *,
        image: str | None,
        command: str,
        limits: Limits,
        observe: bool = True,
    ) -> None:
        self._engine, self._command, self._observe = engine, command, observe
        self._spec = SandboxSpec(image=image, limits=limits, in_place=True)
        self._tree: _TreeInPlace | None = None

    def first(self, files: VisibleFiles, max_seconds: float) -> Run:
        return self.full(files, max_seconds)  # its container is new either way

    def full(self, files: VisibleFiles, max_seconds: float) -> Run:
        self.close()
        self._tree = _TreeInPlace(partial(self._engine.open, self._spec))
        return self._press(self._tree.lay_out, files, max_seconds)

    def incremental(self, files: VisibleFiles, max_seconds: float) -> Run:
        if self._tree is None:
            # The last build was stopped, and its container with it.
            return self.full(files, max_seconds)
        return self._press(self._tree.edit, files, max_seconds)

    def rest(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        if self._tree is not None:
            self._tree.close()
            self._tree = None

    def _press(
        self, put: Callable[[VisibleFiles], None], files: VisibleFiles, max_seconds: float
    ) -> Run:
        started = time.process_time_ns()
        put(files)
        cost = time.process_time_ns() - started
        run = self._build(max_seconds)
        if run.observed:
            run = replace(run, observed=replace(run.observed, cost_ns=run.observed.cost_ns + cost))
        return run

    def _build(self, max_seconds: float) -> Run:
        assert self._tree is not None
        sandbox = self._tree.sandbox
        sandbox.get_ready()
        look = Look.at(sandbox) if self._observe else None
        # As in runners, time starts before the request, so that a late harness cannot shorten it.
        started = time.monotonic_ns()
        done = sandbox.execute(self._command, max_seconds)
        nanoseconds = time.monotonic_ns() - started
        observed = look.until(Look.at(sandbox)) if look and not done.timed_out else None
        if done.timed_out:
            self.close()
        outcome = (
            Outcome.TIMED_OUT
            if done.timed_out
            else Outcome.FAULTY
            if done.reason
            else Outcome.COMPLETED
        )
        return Run(
            outcome=outcome,
            status=done.status,
            stdout=done.stdout.decode(errors="replace"),
            stderr=done.stderr.decode(errors="replace"),
            truncated=done.truncated,
            tag=None,
            phases=(Phase("run", "<<RUN>>", nanoseconds),),
            nanoseconds=nanoseconds,
            reason=done.reason,
            observed=observed,
            answered=nanoseconds if outcome is Outcome.COMPLETED else None,
        )


class _TreeInPlace:
    """A sandbox that stays, with katas of its own that decide what an edit means."""

    def __init__(self, open_sandbox: Callable[[], Sandbox]) -> None:
        self._open = open_sandbox
        self.sandbox = open_sandbox()
        self._katas, self._avatar = TemporaryKatas(), Avatar()

    def lay_out(self, files: VisibleFiles) -> None:
        """Send all files into the empty sandbox."""
        with closing(self._katas.event(self._avatar)) as katas:
            self._event(katas, files).save(COPY)
            self.sandbox.unpack(katas.pack)

    def edit(self, files: VisibleFiles) -> None:
        """Send what the player did since, as to a standby sandbox that holds the rest of the tree.

        If that is impossible, the whole tree comes home, is saved into, and goes back, as when it
        is piped both ways.
        """
        with closing(self._katas.event(self._avatar)) as katas:
            edit = None
            with suppress(StreamCut):  # the image has no find that could list the tree
                # The file system's kind matters only for bringing changes back.
                seed = Seed(katas.hold(), self.sandbox.listing(), "")
                edit = self._event(katas, files, seed).resume(COPY)
            if edit is None:
                self._bring_home()
                self._event(katas, files).save(COPY)
                self.sandbox.close()
                self.sandbox = self._open()
                self.sandbox.unpack(katas.pack)
                return
            if edit.deleted:
                self.sandbox.delete(edit.deleted)
            if edit.sent:
                self.sandbox.unpack(partial(katas.pack, paths=edit.sent))

    def close(self) -> None:
        self.sandbox.close()
        self._katas.close()

    def _bring_home(self) -> None:
        folder = self._katas.sandbox(self._avatar)
        remove_tree(folder)
        folder.mkdir()
        tarpipe.unpack(str(folder), self.sandbox.pack())

    def _event(self, katas: Event, files: VisibleFiles, seed: Seed | None = None) -> TestEvent:
        return TestEvent(EventRequest(files), katas, self.sandbox, seed=seed)
