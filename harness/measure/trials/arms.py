"""The arms of a comparison: each runner, and the floor beneath them all."""

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
from harness.runners.event import Look, TestEvent
from harness.runners.run import Outcome, Phase, Run
from harness.runners.seed import Seed

FLOOR = "bare-make"

COPY = "1st B -> sandbox (changed only)"


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

    The files get there too, but nobody waits for that: only the command is timed. What an edit means is for the runners'
    own code to say: the files are saved in katas of the floor's own, and go from there with the stamps that they have in
    them, as to a sandbox that stands by with the rest of the tree.
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
        return self.full(files, max_seconds)  # its container is a new one either way

    def full(self, files: VisibleFiles, max_seconds: float) -> Run:
        self.close()
        self._tree = _TreeInPlace(partial(self._engine.open, self._spec))
        return self._press(self._tree.lay_out, files, max_seconds)

    def incremental(self, files: VisibleFiles, max_seconds: float) -> Run:
        if self._tree is None:
            return self.full(
                files, max_seconds
            )  # the last build was stopped, and its container with it
        return self._press(self._tree.edit, files, max_seconds)

    def rest(self) -> None:
        """It waits as it is."""

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
        # As the runners take it: from before the request, so that a harness that reads late cannot make it too short.
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
    """A sandbox that stays, and katas of its own that say what an edit means for it."""

    def __init__(self, open_sandbox: Callable[[], Sandbox]) -> None:
        self._open = open_sandbox
        self.sandbox = open_sandbox()
        self._katas, self._avatar = TemporaryKatas(), Avatar()

    def lay_out(self, files: VisibleFiles) -> None:
        """All of them, into an empty sandbox."""
        with closing(self._katas.event(self._avatar)) as katas:
            self._event(katas, files).save(COPY)
            self.sandbox.unpack(katas.pack)

    def edit(self, files: VisibleFiles) -> None:
        """What the player did since, as it is sent to a sandbox that stands by with the rest of the tree. Where that cannot
        be, the whole tree goes home, is saved into, and comes back, as one does that is piped both ways.
        """
        with closing(self._katas.event(self._avatar)) as katas:
            edit = None
            with suppress(StreamCut):  # the image has no find that could list the tree
                # The kind of file system tells what a run changed, to whoever brings that back; here nobody does.
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
        return TestEvent(katas, self.sandbox, files, command="", max_seconds=0, seed=seed)
