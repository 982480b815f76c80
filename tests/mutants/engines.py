"""Mistakes in how a run is carried out."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import docker

from harness.engines import Limits, Sandbox, SandboxSpec, seccomp
from harness.engines.docker.engine import DockerEngine
from harness.engines.local import cgroups
from harness.engines.local import engine as local
from harness.engines.local.bubblewrap import bubblewrap_problem, enclose
from harness.engines.local.cgroups import ControlGroup
from harness.engines.local.engine import LocalEngine
from harness.engines.system_calls import RULES, Rule
from harness.inside.errors import EngineError
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

    def _group(self, label: str, limits: Limits) -> ControlGroup | None:
        return None


class BoundsForEach(Honest):
    """Limits of each process in place of a control group, as this project's local engine had it for long: the kernel counts
    processes over all runs of a uid, so that one avatar's bomb breaks another's run, and files in memory count for nobody.
    """

    name = "bounds-for-each"


class LeakyEngine(LocalEngine):
    """Whose filter lets some calls through, whatever their arguments."""

    lets_through: tuple[str, ...]

    def _calls(self, folder: Path) -> Path | None:
        kept = (
            replace(rule, names=tuple(each for each in rule.names if each not in self.lets_through))
            for rule in RULES
        )
        rules = (*(rule for rule in kept if rule.names), Rule(self.lets_through))
        with mock.patch.object(seccomp, "RULES", rules):
            program = seccomp.program.__wrapped__()
        (folder / "calls").write_bytes(program)
        return folder / "calls"


class VsockEngine(LeakyEngine):
    lets_through = ("socket",)


class VsockLetThrough(Honest):
    """AF_VSOCK let through, as Docker 20.10's own profile does: no network namespace keeps a run from it, and whoever listens
    there on the host, or beside its virtual machine, takes the run for a neighbour.
    """

    name = "vsock-let-through"


class RingEngine(LeakyEngine):
    lets_through = ("io_uring_enter", "io_uring_register", "io_uring_setup")


class RingLetThrough(Honest):
    """io_uring let through, as Docker's own profile did until version 25: what is asked of it passes by any filter of system
    calls, and a large part of the kernel is behind it that no build needs.
    """

    name = "io-uring-let-through"


class NamespaceEngine(LeakyEngine):
    lets_through = ("clone", "clone3", "setns", "unshare")


class NamespacesLetThrough(Honest):
    """User namespaces let through, since a run is nobody in them all the same: there it is root, mounts what it likes, and has
    all that the kernel lets none but root try.
    """

    name = "namespaces-let-through"


class KeysEngine(LeakyEngine):
    lets_through = ("add_key", "keyctl", "request_key")


class KeysLetThrough(Honest):
    """The kernel's keyrings let through, where each run has a session keyring of its own: that of the user is the same for all
    runs, and what one avatar leaves there the next one finds.
    """

    name = "keys-let-through"


class NewCallEngine(LeakyEngine):
    lets_through = ("mount_setattr",)


class NewCallLetThrough(Honest):
    """One call let through that is newer than the list of those that are refused, as a table that refuses by name does with each
    new kernel: mount_setattr, of Linux 5.12, does what mount does.
    """

    name = "new-call-let-through"


class AddressEngine(LocalEngine):
    """Bounds the address space of each process, and how many they are."""

    def _group(self, label: str, limits: Limits) -> ControlGroup | None:
        return super()._group(label, replace(limits, memory=1 << 50))

    def _bounded(self, start: Callable[[], Any], group: ControlGroup | None, limits: Limits) -> Any:
        stream = super()._bounded(start, group, limits)
        resource.prlimit(stream.process.pid, resource.RLIMIT_AS, (limits.memory, limits.memory))
        return stream


class MemoryByAddressSpace(Honest):
    """Memory bounded by address space, as this project's local engine did for long: a file of memfd_create is in none, so that a
    run took 2 GB with a limit of 256 MB; and sanitizers, JVMs and wasm, which reserve much and use little, do not start.
    """

    name = "memory-by-address-space"


class UserEngine(LocalEngine):
    """Has the kernel count the processes of a run's user."""

    def __init__(self, home: Path | None = None) -> None:
        super().__init__(home)
        self._running = len(
            list(Path("/proc").glob("[0-9]*"))
        )  # all of them: some may be the user's

    def _group(self, label: str, limits: Limits) -> ControlGroup | None:
        return super()._group(label, replace(limits, processes=1 << 20))

    def _bounded(self, start: Callable[[], Any], group: ControlGroup | None, limits: Limits) -> Any:
        stream = super()._bounded(start, group, limits)
        most = self._running + limits.processes
        resource.prlimit(stream.process.pid, resource.RLIMIT_NPROC, (most, most))
        return stream


class ProcessesByUser(Honest):
    """Processes counted by the user that runs have, as this project's local engine did for long: one avatar's fork bomb breaks
    another's build, and that failure is accepted and has a tag.
    """

    name = "processes-by-user"


class CommonEngine(LocalEngine):
    """Gives a run the System V memory of the host."""

    def _start(self, spec: SandboxSpec, folder: Path) -> Any:
        def common(*arguments: Any, **options: Any) -> list[str]:
            return [word for word in enclose(*arguments, **options) if word != "--unshare-ipc"]

        with mock.patch.object(local, "enclose", common):
            return super()._start(spec, folder)


class SharedMemoryKept(Honest):
    """No namespace of IPC: no file tells of System V's shared memory, and it stays until the machine is started anew."""

    name = "shared-memory-kept"


def no_bounds() -> str:
    """Why the local engine does not bound and filter here, mistake or not."""
    return bubblewrap_problem() or seccomp.filter_problem() or cgroups.cgroup_problem()


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
