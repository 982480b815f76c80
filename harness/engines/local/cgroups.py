"""Control groups: the kernel's bounds of memory, processes and processor time for all processes of a run together.

A group is made below the one that this process is in, or below the nearest above it where that is allowed: by root, or by a user
to whom systemd has delegated one. Its name is its label, so `harness clean` finds it after a crash.

Where memory is of version 1, each controller has a tree of its own, and a thread enters a group alone, which takes the kernel
no time; what it starts is in the group from its beginning. In version 2 only whole processes move, after their start.
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

NEEDED = ("memory", "pids")
WANTED = ("cpu", "cpuacct")
"""What is bounded; and what is fairly shared, and counted, where it can be."""

_KILL_SECONDS = 10.0
"""How long to wait for killed processes to end: one that hangs in a device never does."""

_REMOVAL_SECONDS = 2.0
"""How long a group may go on being in use when its last process has ended."""


@dataclass(frozen=True)
class CgroupPlace:
    """Where groups can be made: a folder for each controller, in version 2 always the same."""

    version: int
    folders: Mapping[str, Path]

    def group(self, label: str) -> ControlGroup:
        """The group of this label, whether it is there or not."""
        name = _PREFIX + quote(label, safe="")
        return ControlGroup(
            label, self.version, {what: folder / name for what, folder in self.folders.items()}
        )


@dataclass(frozen=True)
class ControlGroup:
    """The processes of one run-container."""

    label: str
    version: int
    folders: Mapping[str, Path]

    def enter(self) -> None:
        """Let what the calling thread starts from now on be in the group, where threads can."""
        if self.version == 1:
            for folder in self._folders():
                _write(folder / "tasks", "0")

    def take(self, process: int) -> None:
        """Take a process in that was started after `enter`, with what it will start; it should have started nothing yet."""
        if self.version == 2:
            _write(self.folders["memory"] / "cgroup.procs", str(process))

    def processes(self) -> set[int]:
        """Those that have not ended, without this process: a thread of its own that entered may not quite have gone."""
        with contextlib.suppress(FileNotFoundError):
            found = set(map(int, (self.folders["pids"] / "cgroup.procs").read_text().split()))
            return found - {0, os.getpid()}
        return set()

    def is_ours(self) -> bool:
        """Whether this user made it."""
        with contextlib.suppress(FileNotFoundError):
            return all(
                folder.stat().st_uid == os.geteuid()
                for folder in self._folders()
                if folder.exists()
            )
        return False

    def kill(self) -> set[int]:
        """End all of them, however fast they fork; returns when they have ended, with what they were."""
        ended: set[int] = set()
        if not self.processes():
            return ended
        for file, word in (("pids.max", "0"), ("cgroup.kill", "1")):
            with contextlib.suppress(
                FileNotFoundError
            ):  # the second is of version 2, since Linux 5.14
                _write(self.folders["pids"] / file, word)
        deadline = time.monotonic() + _KILL_SECONDS
        while (doomed := self.processes()) and time.monotonic() < deadline:
            for each in doomed:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(each, signal.SIGKILL)
            ended |= doomed
            time.sleep(0.001)
        return ended

    def remove(self) -> None:
        """Raises OSError when processes are left in it."""
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
        """Shell words that tell what its processes have used: see `harness.engines.usage`."""
        if self.version == 2:
            return group_usage(str(self.folders["memory"]))
        return group_usage("", str(self.folders["memory"]), str(self.folders.get("cpuacct", "")))

    def _folders(self) -> Sequence[Path]:
        return list(dict.fromkeys(self.folders.values()))


def create(label: str, limits: Limits) -> ControlGroup:
    """A group without processes, which `limits` bound. Raises EngineError where none can be made."""
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
    """Why no groups can be made here; empty when they can."""
    try:
        cgroup_place()
    except EngineError as error:
        return str(error)
    return ""


@functools.cache
def cgroup_place() -> CgroupPlace:
    """Where this process makes groups. Raises EngineError where it may not."""
    mounts, own = list(_mounts()), _own()
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
    """All groups on this machine that harnesses have made, this one and others."""
    seen: dict[str, tuple[int, dict[str, Path]]] = {}
    for mount in _mounts():
        what = [
            each for each in (*NEEDED, *WANTED) if mount.version == 2 or each in mount.controllers
        ]
        for folder, inside, _ in os.walk(mount.point) if what else ():
            for name in inside:
                if name.startswith(_PREFIX):
                    _, folders = seen.setdefault(name, (mount.version, {}))
                    folders.update(dict.fromkeys(what, Path(folder, name)))
    for name, (version, folders) in seen.items():
        # One that is half made or half removed lacks some, which does not keep the others from being removed.
        whole = dict.fromkeys(NEEDED, next(iter(folders.values()))) | folders
        yield ControlGroup(unquote(name.removeprefix(_PREFIX)), version, whole)


@dataclass(frozen=True)
class _Mount:
    version: int
    controllers: tuple[str, ...]  # of version 1
    root: str  # which group is mounted
    point: Path  # where


def _mounts() -> Iterator[_Mount]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind == "cgroup":
            yield _Mount(1, tuple(options.split(",")), root, Path(point))
        elif kind == "cgroup2":
            yield _Mount(2, (), root, Path(point))


def _own() -> Mapping[str, str]:
    """The groups that this process is in, by controller; that of version 2 has no name."""
    found = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _below(mount: _Mount, path: str) -> Path:
    """Where a group is seen; the topmost there is where it is not."""
    inside = os.path.relpath(path, mount.root)
    return mount.point if inside.startswith("..") else mount.point / inside


def _upwards(folder: Path, top: Path) -> Iterator[Path]:
    yield folder
    while folder not in (top, folder.parent):
        folder = folder.parent
        yield folder


def _enable(folder: Path) -> str:
    """Let groups in this one of version 2 be bounded; returns why they cannot be."""
    switch = folder / "cgroup.subtree_control"
    try:
        for each in (*NEEDED, *WANTED):
            if each not in switch.read_text().split():
                with contextlib.nullcontext() if each in NEEDED else contextlib.suppress(OSError):
                    _write(switch, f"+{each}")
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return ""


def _try(place: CgroupPlace) -> str:
    """Why a process cannot be put into a group there; empty when it can."""
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
        _write(group.folders[name.partition(".")[0]] / name, str(bound))


def _bounds_1(group: ControlGroup, limits: Limits) -> Mapping[str, int]:
    bounds = {"memory.limit_in_bytes": limits.memory, "pids.max": limits.processes}
    if (group.folders["memory"] / "memory.memsw.limit_in_bytes").exists():
        bounds["memory.memsw.limit_in_bytes"] = limits.memory  # with what was swapped
    return bounds


def _bounds_2(group: ControlGroup, limits: Limits) -> Mapping[str, int]:
    bounds = {"memory.max": limits.memory, "pids.max": limits.processes}
    if (group.folders["memory"] / "memory.swap.max").exists():
        bounds["memory.swap.max"] = 0
    return bounds


def _write(file: Path, text: str) -> None:
    """At once, as the kernel wants it; an error names the file."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        error.filename = str(file)
        raise
