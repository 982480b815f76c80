"""Control groups: limits of memory, processes and processor time for all processes of a run.

A group is created below this process's own, or below the nearest ancestor that allows it: root may,
and a user to whom systemd has delegated one. Its name is its label, so that `harness clean` finds
it after a crash.

In version 1, each controller has its own tree, and a single thread can enter a group, which costs
no time; what it starts is then in the group from the beginning. In version 2, only whole processes
move, after their start.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from harness.engines.local.launch import launch
from harness.engines.spec import Limits
from harness.engines.usage import group_usage
from harness.inside.errors import EngineError

_PREFIX = "harness."

PROC = Path("/proc/self")
"""What the kernel tells of this process."""

NEEDED = ("memory", "pids")
"""The controllers that limit a run. Without them there are no groups."""

WANTED = ("cpu", "cpuacct")
"""The controllers that share and count processor time, if the kernel has them."""

_CONNECTIONS = 16
"""Which part of the memory of a run may wait in its connections, beside it (version 1)."""

_KILL_SECONDS = 10.0
"""Seconds to wait for killed processes to end; one that hangs in a device never ends."""

_REMOVAL_SECONDS = 2.0
"""Seconds that a group may stay in use after its last process has ended."""


@dataclass(frozen=True)
class CgroupPlace:
    """Where groups can be created."""

    version: int
    """The version of control groups, 1 or 2."""

    folders: Mapping[str, Path]
    """The folder of each controller. In version 2, all are the same."""

    def group(self, label: str) -> ControlGroup:
        """Return the group with this label, which need not exist."""
        name = _PREFIX + quote(label, safe="")
        return ControlGroup(
            label, self.version, {what: folder / name for what, folder in self.folders.items()}
        )


@dataclass(frozen=True)
class ControlGroup:
    """The processes of one run-container."""

    label: str
    """Names the owner and the run-container."""

    version: int
    """The version of control groups, 1 or 2."""

    folders: Mapping[str, Path]
    """The group's folder of each controller. In version 2, all are the same."""

    def enter(self) -> None:
        """Put the calling thread, and what it starts, into the group. Version 2: do nothing."""
        if self.version == 1:
            for folder in self._folders():
                write_control(folder / "tasks", "0")

    def take(self, process: int) -> None:
        """Put a process that was started after `enter` into the group, before it starts others."""
        if self.version == 2:
            write_control(self.folders["memory"] / "cgroup.procs", str(process))

    def processes(self) -> set[int]:
        """Return the living processes, without this one, whose thread may not have ended yet."""
        with contextlib.suppress(FileNotFoundError):
            members = set(map(int, (self.folders["pids"] / "cgroup.procs").read_text().split()))
            return members - {0, os.getpid()}
        return set()

    def is_ours(self) -> bool:
        """Return whether this user created it."""
        with contextlib.suppress(FileNotFoundError):
            return all(
                folder.stat().st_uid == os.geteuid()
                for folder in self._folders()
                if folder.exists()
            )
        return False

    def kill(self) -> set[int]:
        """Kill all processes, however fast they fork. Returns their ids once they have ended."""
        ended: set[int] = set()
        if not self.processes():
            return ended
        for file, word in (("pids.max", "0"), ("cgroup.kill", "1")):
            # cgroup.kill exists in version 2, since Linux 5.14.
            with contextlib.suppress(FileNotFoundError):
                write_control(self.folders["pids"] / file, word)
        deadline = time.monotonic() + _KILL_SECONDS
        while (doomed := self.processes()) and time.monotonic() < deadline:
            for process in doomed:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process, signal.SIGKILL)
            ended |= doomed
            time.sleep(0.001)
        return ended

    def remove(self) -> None:
        """Remove the group. Raises OSError if processes are left in it."""
        deadline = time.monotonic() + _REMOVAL_SECONDS
        for folder in self._folders():
            while True:
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    pass
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)
                    continue
                break

    def usage_words(self) -> str:
        """Return shell words that print what its processes have used; see `engines.usage`."""
        if self.version == 2:
            return group_usage(str(self.folders["memory"]))
        return group_usage("", str(self.folders["memory"]), str(self.folders.get("cpuacct", "")))

    def _folders(self) -> Sequence[Path]:
        return list(dict.fromkeys(self.folders.values()))


def create(label: str, limits: Limits) -> ControlGroup:
    """Create an empty group with these limits. Raises EngineError if it cannot be created."""
    group = cgroup_place().group(label)
    try:
        _make(group, limits)
    except OSError as error:
        with contextlib.suppress(OSError):
            group.remove()
        raise EngineError(
            f"no control group can be made ({error.filename}: {error.strerror})"
        ) from error
    return group


@functools.cache
def cgroup_problem() -> str:
    """Say why no groups can be created here. Empty: they can."""
    try:
        cgroup_place()
    except EngineError as error:
        return str(error)
    return ""


@functools.cache
def cgroup_place(proc: Path = PROC) -> CgroupPlace:
    """Return where the process of `proc` may create groups. Raises EngineError if it may not."""
    mounts, own = list(cgroup_mounts(proc)), _own(proc)
    first = {
        what: _below(mount, own[what])
        for mount in mounts
        for what in mount.controllers
        if mount.version == 1 and what in (*NEEDED, *WANTED) and what in own
    }
    if set(NEEDED) <= set(first):
        tried = CgroupPlace(1, first)
        if why := _try(tried):
            raise EngineError(why)
        return tried
    why = "the kernel has none for memory and processes"
    for mount in mounts:
        if mount.version == 2:
            for folder in _upwards(_below(mount, own.get("", "/")), mount.point):
                tried = CgroupPlace(2, dict.fromkeys(NEEDED, folder))
                why = _enable(folder) or _try(tried)
                if not why:
                    return tried
    raise EngineError(why)


def harness_groups() -> Iterator[ControlGroup]:
    """Yield all groups on this machine that any harness has created."""
    seen: dict[str, tuple[int, dict[str, Path]]] = {}
    for mount in cgroup_mounts():
        what = [
            controller
            for controller in (*NEEDED, *WANTED)
            if mount.version == 2 or controller in mount.controllers
        ]
        for folder, inside, _ in os.walk(mount.point) if what else ():
            for name in inside:
                if name.startswith(_PREFIX):
                    _, folders = seen.setdefault(name, (mount.version, {}))
                    folders.update(dict.fromkeys(what, Path(folder, name)))
    for name, (version, folders) in seen.items():
        # A group that is half created or half removed lacks some folders; the others can be
        # removed.
        whole = dict.fromkeys(NEEDED, next(iter(folders.values()))) | folders
        yield ControlGroup(unquote(name.removeprefix(_PREFIX)), version, whole)


@dataclass(frozen=True)
class CgroupMount:
    """One tree of control groups."""

    version: int
    """The version of control groups, 1 or 2."""

    controllers: tuple[str, ...]
    """Its controllers, in version 1."""

    root: str
    """The group that is mounted."""

    point: Path
    """Where it is mounted."""


def cgroup_mounts(proc: Path = PROC) -> Iterator[CgroupMount]:
    """Yield where control groups are mounted, as the process of `proc` sees it."""
    for line in (proc / "mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind == "cgroup":
            yield CgroupMount(1, tuple(options.split(",")), root, Path(point))
        elif kind == "cgroup2":
            yield CgroupMount(2, (), root, Path(point))


def _own(proc: Path) -> Mapping[str, str]:
    """Return the group of the process for each controller; the key of version 2 is empty."""
    groups = {}
    for line in (proc / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), path))
    return groups


def _below(mount: CgroupMount, path: str) -> Path:
    """Return the folder of a group, or the top of the mount if the group is not below it."""
    inside = os.path.relpath(path, mount.root)
    return mount.point if inside.startswith("..") else mount.point / inside


def _upwards(folder: Path, top: Path) -> Iterator[Path]:
    yield folder
    while folder not in (top, folder.parent):
        folder = folder.parent
        yield folder


def _enable(folder: Path) -> str:
    """Allow limits on the groups in a folder of version 2, or say why it fails. Empty: it works."""
    switch = folder / "cgroup.subtree_control"
    try:
        for controller in (*NEEDED, *WANTED):
            if controller not in switch.read_text().split():
                needed = controller in NEEDED
                with contextlib.nullcontext() if needed else contextlib.suppress(OSError):
                    write_control(switch, f"+{controller}")
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return ""


def _try(place: CgroupPlace) -> str:
    """Say why a process cannot be put into a group there. Empty: it can."""
    group = place.group(f"try/{os.getpid()}")
    try:
        _make(group, Limits())
        process = launch(
            lambda: subprocess.Popen(["/bin/sh", "-c", "read -r end"], stdin=subprocess.PIPE),
            group.enter,
        )
        try:
            group.take(process.pid)
        finally:
            process.communicate()
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    finally:
        with contextlib.suppress(OSError):
            group.remove()
    return ""


def _make(group: ControlGroup, limits: Limits) -> None:
    for folder in group._folders():
        folder.mkdir()
    bounds: Callable[[ControlGroup, Limits], Mapping[str, int]] = (
        _bounds_1 if group.version == 1 else _bounds_2
    )
    for name, bound in bounds(group, limits).items():
        write_control(group.folders[name.partition(".")[0]] / name, str(bound))


def _bounds_1(group: ControlGroup, limits: Limits) -> Mapping[str, int]:
    bounds = {"memory.limit_in_bytes": limits.memory, "pids.max": limits.processes}
    if (group.folders["memory"] / "memory.memsw.limit_in_bytes").exists():
        bounds["memory.memsw.limit_in_bytes"] = limits.memory  # with what was swapped
    if (group.folders["memory"] / "memory.kmem.tcp.limit_in_bytes").exists():
        # Without it, this version does not count what waits in connections.
        bounds["memory.kmem.tcp.limit_in_bytes"] = limits.memory // _CONNECTIONS
    return bounds


def _bounds_2(group: ControlGroup, limits: Limits) -> Mapping[str, int]:
    bounds = {"memory.max": limits.memory, "pids.max": limits.processes}
    if (group.folders["memory"] / "memory.swap.max").exists():
        bounds["memory.swap.max"] = 0
    return bounds


def write_control(file: Path, text: str) -> None:
    """Write in one call, as the kernel requires. An error names the file."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        error.filename = str(file)
        raise
