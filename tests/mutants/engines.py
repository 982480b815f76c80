"""Mistakes of engines, in how they carry out a run."""

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
    """Exit status 137 is read as a time-out.

    A killed container gives it, but so does a script that says `exit 137`, or whose child was
    killed for want of memory. The player would never see the output.
    """

    name = "killed-is-timed-out"

    def ran(self, event: TestEvent) -> bool:
        if not event.run():
            return False
        assert event.progress.execution is not None
        if event.progress.execution.status == 137:
            event.progress.execution = replace(
                event.progress.execution, status=None, timed_out=True
            )
            return False
        return True


class KeptSandbox(Sandbox):
    """A sandbox that its runner closes, and that stays for the next test event."""

    def __init__(
        self, engine: ReusingEngine, spec: SandboxSpec, open_stream: Callable[[], Any]
    ) -> None:
        super().__init__(open_stream, spec.limits)
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
    """Serves all test events in one run-container, as long as it answers."""

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
        return KeptSandbox(self, spec, lambda: self._open(spec))

    def close(self) -> None:
        if self.kept:
            self.kept.really_close()
        super().close()


class Reuses(Honest):
    """A container is emptied and used again, which saves 230 ms.

    What a run left in /tmp, or still has running, is there for the next one, even another avatar's.
    """

    name = "reused-container"


class SocketEngine(DockerEngine):
    """Shows its own socket to the player."""

    def __init__(self, host: str | None = None) -> None:
        super().__init__(host)
        socket = self.host.removeprefix("unix://")
        mount = docker.types.Mount("/var/run/docker.sock", socket, type="bind")
        start = self.containers.start

        def start_with_it(what: str, *, mounts: list[Any], **options: Any) -> Any:
            return start(what, mounts=[*mounts, mount], **options)

        self.containers.start = start_with_it  # type: ignore[method-assign]


class SocketMounted(Honest):
    """The engine's socket is mounted into the run-container, "so that tests can use Docker".

    Anybody who reaches it is root on the host.
    """

    name = "socket-mounted"


class OpenEngine(LocalEngine):
    """Lets a run make any system call."""

    def _calls(self, folder: Path) -> Path | None:
        return None


class CallsUnfiltered(Honest):
    """System calls are not filtered, since namespaces already isolate a run.

    The local engine of this project did so for long. A run makes its own namespaces, in which it is
    root, and mounts 64 GB of memory. It has io_uring, userfaultfd, AF_VSOCK and the kernel's
    keyrings, which outlive the run and also belong to the next avatar.
    """

    name = "calls-unfiltered"


class LooseEngine(LocalEngine):
    """Limits each process where it can, and nothing for the whole run."""

    def _group(self, label: str, limits: Limits) -> ControlGroup | None:
        return None


class BoundsForEach(Honest):
    """Each process has limits, instead of a control group for the run.

    The local engine of this project did so for long. The kernel counts processes over all runs of a
    uid, so one avatar's bomb breaks another's run; nobody counts files in memory.
    """

    name = "bounds-for-each"


class BufferEngine(LocalEngine):
    """Leaves out the bound of TCP."""

    def _group(self, label: str, limits: Limits) -> ControlGroup | None:
        group = super()._group(label, limits)
        if group and group.version == 1:
            bound = group.folders["memory"] / "memory.kmem.tcp.limit_in_bytes"
            cgroups.write_control(bound, "-1")
        return group


class BuffersUncounted(Honest):
    """Connections have no bound, which control groups of version 1 do not count as memory.

    A run that connects to itself and reads nothing holds 1.2 GB with a limit of 256 MB.
    """

    name = "buffers-uncounted"


class LeakyEngine(LocalEngine):
    """Has a filter that lets some calls through, whatever their arguments."""

    lets_through: tuple[str, ...]

    def _calls(self, folder: Path) -> Path | None:
        kept = (
            replace(rule, names=tuple(name for name in rule.names if name not in self.lets_through))
            for rule in RULES
        )
        rules = (*(rule for rule in kept if rule.names), Rule(self.lets_through))
        with mock.patch.object(seccomp, "RULES", rules):
            program = seccomp.program.__wrapped__()
        (folder / "calls").write_bytes(program)
        return folder / "calls"


class FamilyEngine(LeakyEngine):
    lets_through = ("socket",)


class VsockLetThrough(Honest):
    """AF_VSOCK is let through, as by the profile of Docker 20.10.

    No network namespace covers it. A listener on the host, or beside its virtual machine, takes the
    run for a neighbour.
    """

    name = "vsock-let-through"


class NetlinkLetThrough(Honest):
    """AF_NETLINK is let through, as by Docker's own profile.

    No control group counts what waits in its sockets: a run holds 1.3 GB with a limit of 256 MB,
    and hears what the kernel tells of the host's devices.
    """

    name = "netlink-let-through"


class RingEngine(LeakyEngine):
    lets_through = ("io_uring_enter", "io_uring_register", "io_uring_setup")


class RingLetThrough(Honest):
    """io_uring is let through, as by Docker's profile until version 25.

    Its requests pass any filter of system calls, and it opens a large part of the kernel that no
    build needs.
    """

    name = "io-uring-let-through"


class NamespaceEngine(LeakyEngine):
    lets_through = ("clone", "clone3", "setns", "unshare")


class NamespacesLetThrough(Honest):
    """User namespaces are let through, since a run is nobody outside them anyway.

    Inside it is root, mounts what it likes, and may try everything that the kernel reserves for
    root.
    """

    name = "namespaces-let-through"


class KeysEngine(LeakyEngine):
    lets_through = ("add_key", "keyctl", "request_key")


class KeysLetThrough(Honest):
    """The kernel's keyrings are let through, since each run has its own session keyring.

    All runs share the user's keyring: the next avatar finds what one leaves there.
    """

    name = "keys-let-through"


class NewCallEngine(LeakyEngine):
    lets_through = ("mount_setattr",)


class NewCallLetThrough(Honest):
    """One system call that is newer than the list of refused ones is let through.

    This happens to a list of refused names with each new kernel: mount_setattr, of Linux 5.12, does
    what mount does.
    """

    name = "new-call-let-through"


class AddressEngine(LocalEngine):
    """Limits the address space of each process, and the number of processes."""

    def _group(self, label: str, limits: Limits) -> ControlGroup | None:
        return super()._group(label, replace(limits, memory=1 << 50))

    def _bounded(self, start: Callable[[], Any], group: ControlGroup | None, limits: Limits) -> Any:
        stream = super()._bounded(start, group, limits)
        resource.prlimit(stream.process.pid, resource.RLIMIT_AS, (limits.memory, limits.memory))
        return stream


class MemoryByAddressSpace(Honest):
    """Memory is limited by address space, which files of memfd_create do not use.

    The local engine of this project did so for long. A run took 2 GB with a limit of 256 MB, while
    sanitizers, JVMs and wasm, which reserve much and use little, do not start.
    """

    name = "memory-by-address-space"


class UserEngine(LocalEngine):
    """Lets the kernel count the processes of the run's user."""

    def __init__(self, home: Path | None = None) -> None:
        super().__init__(home)
        # All of them, since some may be the user's.
        self._running = len(list(Path("/proc").glob("[0-9]*")))

    def _group(self, label: str, limits: Limits) -> ControlGroup | None:
        return super()._group(label, replace(limits, processes=1 << 20))

    def _bounded(self, start: Callable[[], Any], group: ControlGroup | None, limits: Limits) -> Any:
        stream = super()._bounded(start, group, limits)
        most = self._running + limits.processes
        resource.prlimit(stream.process.pid, resource.RLIMIT_NPROC, (most, most))
        return stream


class ProcessesByUser(Honest):
    """Processes are counted by the user of the runs, as the local engine did for long.

    One avatar's fork bomb breaks another's build, and that failure is accepted with a tag.
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
    """IPC has no namespace: System V's shared memory, which no file shows, stays until a reboot."""

    name = "shared-memory-kept"


def no_bounds() -> str:
    """Return why the local engine cannot limit and filter here, with or without a mistake."""
    return bubblewrap_problem() or seccomp.filter_problem() or cgroups.cgroup_problem()


def no_version_1() -> str:
    """Return why no connection goes uncounted here: version 2 of control groups counts all."""
    if why := no_bounds():
        return why
    version = cgroups.cgroup_place().version
    return "" if version == 1 else "control groups of version 2 count connections"


class ForgetfulEngine(LocalEngine):
    """Sweeps by another label than the one that it gives."""

    def sweep(self) -> Sequence[str]:
        return []


class LabelForgotten(Honest):
    """The sweep still looks for an old label, which was renamed where containers are made.

    What a crash of the harness leaves stays, test event after test event, until the disk is full.
    """

    name = "label-forgotten"


def no_docker() -> str:
    try:
        DockerEngine().close()
    except EngineError as error:
        return str(error)
    return ""
