"""Mistakes in how a run is carried out."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker

from harness.engines import Limits, Sandbox, SandboxSpec, cgroups, seccomp
from harness.engines.bubblewrap import bubblewrap_problem
from harness.engines.cgroups import Group
from harness.engines.docker import DockerEngine
from harness.engines.local import LocalEngine
from harness.errors import EngineError
from harness.runners.event import TestEvent
from tests.mutants.mutant import Honest


class KilledIsTimedOut(Honest):
    """Exit status 137 read as a time-out: that is what a killed container gives, but also what a script gives whose child was
    killed for want of memory, or that says `exit 137`; its player would never see the output.
    """

    name = "killed-is-timed-out"

    def ran(self, event: TestEvent) -> bool:
        if not event.run():
            return False
        assert event.execution is not None
        if event.execution.status == 137:
            event.execution = replace(event.execution, status=None, timed_out=True)
            return False
        return True


class KeptSandbox(Sandbox):
    """One that is not closed when its runner closes it, but kept for the next test event."""

    def __init__(self, engine: ReusingEngine, spec: SandboxSpec) -> None:
        super().__init__(lambda: engine._open(spec), spec.limits)
        self.spec = spec
        self._engine = engine
        self._killed = False

    def kill(self) -> None:
        self._killed = True
        super().kill()

    def close(self) -> None:
        if self._killed or self._engine.kept:
            self.really_close()
        else:
            self._engine.kept = self

    def really_close(self) -> None:
        super().close()


EMPTY = "chmod -R u+rwx . && find . -mindepth 1 -delete && chmod 755 ."


class ReusingEngine(DockerEngine):
    """Serves one test event after the other in the same run-container, as long as it answers."""

    kept: KeptSandbox | None = None

    def open(self, spec: SandboxSpec) -> Sandbox:
        kept, self.kept = self.kept, None
        if kept and kept.spec == spec:
            kept.begin()
            with contextlib.suppress(EngineError):  # it was cut off, or has killed itself
                if kept.execute(EMPTY, 60).status == 0:
                    return kept
        if kept:
            kept.really_close()
        return KeptSandbox(self, spec)

    def close(self) -> None:
        if self.kept:
            self.kept.really_close()
        super().close()


class Reuses(Honest):
    """A reused container, emptied but not fresh: it saves 230 ms, and what a run left in /tmp, or still has running, is there
    for the next one, another avatar's too.
    """

    name = "reused-container"


class SocketEngine(DockerEngine):
    """Shows its own socket to the player."""

    def _start(self, what: str, *, mounts: list[Any], **options: Any) -> Any:
        socket = self.host.removeprefix("unix://")
        mount = docker.types.Mount("/var/run/docker.sock", socket, type="bind")
        return super()._start(what, mounts=[*mounts, mount], **options)


class SocketMounted(Honest):
    """The engine's socket mounted into the run-container, "so that tests can use Docker": whoever reaches it is root on the
    host.
    """

    name = "socket-mounted"


class OpenEngine(LocalEngine):
    """Lets a run make whatever system call it likes."""

    def _calls(self, folder: Path) -> Path | None:
        return None


class CallsUnfiltered(Honest):
    """No filter of system calls, since namespaces keep a run apart already, as this project's local engine had it for long: a run
    makes namespaces of its own in which it is root, mounts 64 GB of memory, and has io_uring, userfaultfd, AF_VSOCK and the
    kernel's keyrings, which outlive it and are those of the next avatar too.
    """

    name = "calls-unfiltered"


class LooseEngine(LocalEngine):
    """Bounds what it can for each process, and nothing for all of a run."""

    def _group(self, label: str, limits: Limits) -> Group | None:
        return None


class BoundsForEach(Honest):
    """Limits of each process in place of a control group, as this project's local engine had it for long: the kernel counts
    processes over all runs of a uid, so that one avatar's bomb breaks another's run, and files in memory count for nobody.
    """

    name = "bounds-for-each"


def no_bounds() -> str:
    """Why the local engine does not bound and filter here, mistake or not."""
    return bubblewrap_problem() or seccomp.problem() or cgroups.problem()


class ForgetfulEngine(LocalEngine):
    """Looks for another label when it cleans up than the one that it gives."""

    def sweep(self) -> Sequence[str]:
        return []


class LabelForgotten(Honest):
    """A label forgotten at clean-up, after it was renamed where containers are made: what a crash of the harness leaves is
    passed by, test event after test event, until the disk is full.
    """

    name = "label-forgotten"


def no_docker() -> str:
    try:
        DockerEngine().close()
    except EngineError as error:
        return str(error)
    return ""
