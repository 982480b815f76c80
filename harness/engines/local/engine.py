"""The local engine: runs on this machine, without a daemon.

Bubblewrap isolates a run, a filter refuses system calls, and control groups limit its resources.
Without bubblewrap, this engine measures but does not isolate.
"""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from harness.engines import Volume, part_of, seccomp
from harness.engines.bootstrap import BOOTSTRAP, send_program
from harness.engines.folders import (
    Labelled,
    Shelf,
    remove_folder,
    sandboxes_home,
    state_home,
    temporary_folder,
)
from harness.engines.guest.caches import Caches
from harness.engines.guest.command_line import guest_arguments
from harness.engines.guest.environment import TRUSTED, players
from harness.engines.guest.sandbox import Sandbox
from harness.engines.local import cgroups
from harness.engines.local.bubblewrap import become, bubblewrap_problem, enclose, unshare
from harness.engines.local.cgroups import ControlGroup
from harness.engines.local.launch import launch
from harness.engines.local.mounts import LOCAL_MOUNTS, Around, SandboxView, empty, empty_problem
from harness.engines.local.processes import (
    GUEST,
    PLAYER,
    SWEEP,
    end,
    end_tree,
    labels,
    limit,
    owners,
    reap,
    strays,
)
from harness.engines.owner import KATAS, OWNER_LABEL, TEMPORARY, Owner
from harness.engines.spec import (
    NOBODY,
    Limits,
    Mount,
    SandboxSpec,
    unknown_mount,
)
from harness.engines.streams import ProcessStream, Stream
from harness.engines.streams.forks import Origin
from harness.engines.usage import CHILDREN
from harness.inside.errors import EngineError, ImageError, KatasError, UsageError

_ANOTHER_USERS = "it belongs to another user"

RUN = "sandbox"
"""The kind of temporary folder that holds a run-container."""


class LocalEngine:
    """An engine that runs processes of this machine."""

    name = "local"
    makes_images = False
    quick = True
    removable = False
    mounts = frozenset(LOCAL_MOUNTS)

    def __init__(self, home: Path | None = None, *, bubblewrap: bool | None = None) -> None:
        """Find out what works here.

        - `home`: where to keep volumes. None: in the user's state folder.
        - `bubblewrap`: whether to use it. None: if it works.

        Raises EngineError if the machine lacks GNU tar, or `bubblewrap` is True and fails.
        """
        if "GNU tar" not in _first_line(["tar", "--version"]):
            raise EngineError(
                "this machine's tar is not GNU tar, and would cut stamps to whole seconds; install "
                "GNU tar"
            )
        why_not = (
            bubblewrap_problem() or empty_problem() if bubblewrap is not False else "not asked for"
        )
        if bubblewrap and why_not:
            raise EngineError(f"bubblewrap does not work here: {why_not}")
        self.isolates = not why_not
        self.note = (
            "bubblewrap"
            if self.isolates
            else f"plain processes, which measure but do not isolate ({why_not})"
        )
        """How it isolates, in a few words."""
        self.counts_memory = not cgroups.cgroup_problem()
        self.gaps = tuple(_gaps(isolates=self.isolates))
        self.player: tuple[int, int] | None = (NOBODY, NOBODY) if become(SandboxSpec()) else None
        self.home = home or state_home()
        """Where it keeps volumes."""
        self._origin = Origin()
        self._owner = Owner.current()
        self._folders = ThreadPoolExecutor(max_workers=2, thread_name_prefix="harness-local")
        if self.isolates and not seccomp.filter_problem():
            self._folders.submit(seccomp.program)  # compile it before it is needed

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.home,), {"isolates": self.isolates, "note": self.note}

    def describe(self) -> Mapping[str, str]:
        return {
            "engine": "local, " + ("bubblewrap" if self.isolates else "plain processes"),
            "isolation": "; ".join(("bubblewrap" if self.isolates else "none", *self.gaps)),
            "storage driver": "none",
            "kernel": platform.release(),
            "host": platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"),
            "processors": str(os.cpu_count()),
        }

    def check_image(self, image: str | None) -> str:
        if image is not None:
            raise ImageError(
                f"the local engine has no images: leave out {image}, or take --engine docker"
            )
        return "none (the host's programs)"

    def open(self, spec: SandboxSpec) -> Sandbox:
        self._origin.require("engine")
        return Sandbox(lambda: self._open(spec), spec.limits)

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        self._origin.require("engine")
        command = [*unshare(), sys.executable, "-I", "-c", BOOTSTRAP, str(self._katas(volume))]
        stream = ProcessStream(command, environment={**TRUSTED, GUEST: f"{self._owner}/{volume}"})
        stream.write(send_program(program), time.monotonic() + 30)
        return stream

    def refusal(self, mount: type[Mount]) -> str:
        way = LOCAL_MOUNTS.get(mount)
        if way is None:
            return unknown_mount(self.name, mount)
        bare = not self.isolates and self.player is not None
        if not (why := way.problem(self._volumes_home(), bare)):
            return ""
        return (
            f"no {way.what} can be mounted here ({why}); be root, allow user namespaces, or use "
            "Docker"
        )

    def create_volume(self, name: str, *, temporary: bool, katas: str = "") -> None:
        folder = self._volume(name)
        if (folder / OWNER_LABEL).exists():  # it keeps its owner, which may outlive this process
            return
        labels = {KATAS: katas or name, OWNER_LABEL: str(self._owner)} | (
            {TEMPORARY: ""} if temporary else {}
        )
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with self._volumes() as shelf:
                # A player sees the inner folder mounted.
                made = shelf.make(name, labels, mode=0o700, inside={"katas": 0o755})
        except OSError as error:
            raise KatasError(
                f"the volume {name} cannot be made in {folder}: {error.strerror}"
            ) from error
        if not made and not (folder / OWNER_LABEL).exists():
            raise KatasError(
                f"the volume {name} cannot be made: {folder} exists, and is not the harness's"
            )

    def volumes(self) -> Sequence[Volume]:
        with contextlib.suppress(FileNotFoundError), self._volumes() as shelf:
            return [
                Volume(volume.name, volume.temporary, part_of(volume.name, volume.katas))
                for volume in shelf.labelled()
                if not volume.under_way
            ]
        return []

    def remove_volume(self, name: str) -> None:
        folder = self._volume(name)
        with contextlib.suppress(FileNotFoundError), self._volumes() as shelf:
            _remove(shelf, "volume", folder.name)

    def traces(self) -> Sequence[str]:
        own = str(self._owner)
        traces = [
            f"process {process}" for process, label in labels() if label.rpartition("/")[0] == own
        ]
        with contextlib.suppress(OSError), Shelf(sandboxes_home()) as shelf:
            traces += [
                f"folder {shelf.path / folder.name}"
                for folder in shelf.labelled()
                if folder.owner == own and (folder.under_way or folder.name.startswith(f"{RUN}-"))
            ]
        return traces

    def leftovers(self) -> Sequence[str]:
        left = [
            f"{what} {shelf.path / folder.name}"
            for what, shelf in self._shelves()
            for folder in _temporary(what, shelf)
            if _has_gone(folder)
        ]
        return [
            *left,
            *(f"process {process}" for process in sorted(strays())),
            *(f"control group {group.label}" for group in _abandoned()),
        ]

    def sweep(self) -> Sequence[str]:
        doomed = strays()
        end(strays)
        removed = [f"process {process}" for process in sorted(doomed)]
        failures: list[KatasError] = []
        for group in _abandoned():
            group.kill()
            try:
                group.remove()
            except OSError as error:
                failures.append(
                    KatasError(
                        f"the control group {group.label} cannot be removed: {error.strerror}"
                    )
                )
            else:
                removed.append(f"control group {group.label}")
        for what, shelf in self._shelves():
            with shelf.alone():
                for folder in filter(_has_gone, _temporary(what, shelf)):
                    try:
                        _remove(shelf, what, folder.name)
                    except KatasError as error:
                        failures.append(error)  # raised after the rest is removed
                    else:
                        removed.append(f"{what} {shelf.path / folder.name}")
        if failures:
            raise failures[0]
        return removed

    def left_alone(self) -> Sequence[tuple[str, str]]:
        doubts = [(f"process {process}", owner.fate().doubt) for process, owner in owners()]
        for what, shelf in self._shelves(ours=False):
            if not shelf.ours:
                doubts.append((f"{what}s in {shelf.path}", _ANOTHER_USERS))
                continue
            for folder in _temporary(what, shelf):
                owner = Owner.parse(folder.owner)
                doubt = owner.fate().doubt if owner else "the harness did not write its label"
                doubts.append(
                    (f"{what} {shelf.path / folder.name}", doubt if folder.ours else _ANOTHER_USERS)
                )
        return [(what, doubt) for what, doubt in doubts if doubt]

    def close(self) -> None:
        if self._origin.is_here():
            self._folders.shutdown(wait=True)

    def _open(self, spec: SandboxSpec) -> Stream:
        folder = temporary_folder(RUN)
        try:
            return self._start(spec, folder)
        except BaseException as error:
            remove_folder(folder)
            if isinstance(error, OSError):
                raise EngineError(
                    f"no sandbox can be made in {folder}: {error.strerror}"
                ) from error
            raise

    def _start(self, spec: SandboxSpec, folder: Path) -> Stream:
        private = folder / "private"
        private.mkdir(mode=0o700)
        identity = become(spec)
        isolated = self.isolates and not spec.in_place
        closed = folder / "closed"  # closed to all other users of this machine
        closed.mkdir(mode=0o700)
        if identity:  # the player may pass, but neither rename nor replace what is inside
            os.chown(closed, -1, spec.gid)
            closed.chmod(0o710)
        around = Around(closed, self._katas, bool(identity) and not isolated)
        shown = self._shown(spec, around, as_player=bool(identity), bounded=isolated)
        sandbox = str(shown.sandbox)
        label = f"{self._owner}/{folder.name}"
        group = self._group(label, spec.limits)
        player = (
            enclose(
                shown.folder,
                identity,
                spec.limits,
                at=shown.at,
                inside=shown.inside,
                calls=self._calls(folder),
            )
            if isolated
            else identity
        )
        arguments = guest_arguments(
            sandbox=sandbox,
            private=str(private),
            shown=os.path.join(shown.at, shown.inside) if isolated else sandbox,
            limits=spec.limits,
            sweep=":" if isolated else SWEEP % label,
            swept=":",
            usage=group.usage_words() if group else CHILDREN,
            caches=Caches.passed_on() if isolated else Caches(),
            unpack_as=identity,
            environment=players() if isolated else {**players(), PLAYER: label},
            player=player,
        )
        try:
            start = partial(
                _LocalStream, [*shown.enter, *arguments], label, group, adopts=not isolated
            )
            stream = self._bounded(start, group, spec.limits)
        except BaseException:
            if group:
                with contextlib.suppress(OSError):
                    group.remove()
            raise
        stream.on_close = lambda: self._discard(folder, group)
        return stream

    def _shown(
        self, spec: SandboxSpec, around: Around, *, as_player: bool, bounded: bool
    ) -> SandboxView:
        """Return the sandbox of a run-container: what is mounted, or an empty folder.

        Raises EngineError for a mount of an unknown kind.
        """
        if spec.mount is not None:
            way = LOCAL_MOUNTS.get(type(spec.mount))
            if way is None:
                raise EngineError(unknown_mount(self.name, type(spec.mount)))
            return way.make(spec.mount, around)
        sandbox = around.target()
        sandbox.chmod(0o755)  # mkdir obeys the umask
        owner = (spec.uid, spec.gid) if as_player else None
        os.chown(sandbox, *(owner or (-1, -1)))
        # Without a bound, a run could fill the host's disk.
        limits = spec.limits
        enter = empty(sandbox, limits.sandbox, limits.files, owner) if bounded else unshare()
        return SandboxView(sandbox, sandbox, enter)

    def _calls(self, folder: Path) -> Path | None:
        """Write the filter of system calls to a file. Returns None if it cannot be compiled."""
        if seccomp.filter_problem():
            return None
        calls = folder / "calls"
        calls.write_bytes(seccomp.program())
        return calls

    def _group(self, label: str, limits: Limits) -> ControlGroup | None:
        """Create the control group of a run-container. Returns None if groups cannot be created."""
        return None if cgroups.cgroup_problem() else cgroups.create(label, limits)

    def _bounded(
        self, start: Callable[[], _LocalStream], group: ControlGroup | None, limits: Limits
    ) -> _LocalStream:
        """Start a guest without the session's keys, and set its limits before the first request.

        Until then, it starts nothing of the player's.
        """
        stream = launch(start, group.enter if group else lambda: None)
        try:
            if group:
                group.take(stream.process.pid)
            limit(stream.process.pid, limits, together=group is not None)
        except BaseException:
            stream.close()
            raise
        return stream

    def _discard(self, folder: Path, group: ControlGroup | None) -> None:
        def discard() -> None:
            if group:
                with contextlib.suppress(OSError):  # `harness clean` will find it
                    group.remove()
            remove_folder(folder)

        try:
            self._folders.submit(discard)
        except RuntimeError:  # the engine has been closed
            discard()

    def _volume(self, name: str) -> Path:
        if not name or name.startswith(".") or "/" in name:
            raise UsageError(f"{name!r} cannot name a volume; use letters, digits, - and _")
        return self.home / "volumes" / name

    def _katas(self, volume: str) -> Path:
        """Return the folder of the katas in a volume; the labels are beside it."""
        return self._volume(volume) / "katas"

    def _volumes(self) -> Shelf:
        return Shelf(self._volumes_home())

    def _volumes_home(self) -> Path:
        # A user may keep it elsewhere, by a symlink.
        return Path(os.path.realpath(self.home / "volumes"))

    def _shelves(self, *, ours: bool = True) -> Iterator[tuple[str, Shelf]]:
        """Yield the shelves of things that are removed with their owners, with what is on them.

        `ours`: only those that belong to this user.
        """
        for what, path in (("folder", sandboxes_home()), ("volume", self._volumes_home())):
            try:
                shelf = Shelf(path)
            except OSError:  # it is missing, or not a folder
                continue
            with shelf:
                if shelf.ours or not ours:
                    yield what, shelf


class _LocalStream(ProcessStream):
    """A guest. All its processes end with it, even those that left its process group."""

    def __init__(
        self, arguments: list[str], label: str, group: ControlGroup | None, *, adopts: bool
    ) -> None:
        super().__init__(arguments, environment={**TRUSTED, GUEST: label}, adopts=adopts)
        self._label = label
        self._group = group
        self._ending = threading.Lock()
        self._adopted: set[int] | None = None  # the processes that ended with it, once all have
        self.on_close: Callable[[], object] = lambda: None
        """Called once, when all have ended and the stream is closed."""

    def kill(self) -> None:
        with self._ending:
            if self._adopted is not None or not self.origin.is_here():
                return
            alive, self._adopted = False, set()
            if self._group:
                self._adopted = self._group.kill()
                return
            if self.process.poll() is None:
                alive, self._adopted = end_tree(self.process.pid)
            if not alive:  # it died before, so what it had started has other parents now
                end(lambda: {process for process, label in labels() if label == self._label})

    def close(self) -> None:
        self.kill()
        super().close()
        if self.origin.is_here():
            reap(self._adopted or ())
            self.on_close()


def _gaps(*, isolates: bool) -> Iterator[str]:
    """Say what cannot be limited or filtered here, with the reason."""
    if isolates and (why := seccomp.filter_problem()):
        yield f"system calls are not filtered ({why})"
    if why := cgroups.cgroup_problem():
        yield f"memory, processes and processor time of a run are not bounded together ({why})"


def _abandoned() -> Iterator[ControlGroup]:
    """Yield this user's groups whose owner has ended."""
    for group in cgroups.harness_groups():
        owner = Owner.parse(group.label.rpartition("/")[0])
        if owner and owner.has_gone() and group.is_ours():
            yield group


def _temporary(what: str, shelf: Shelf) -> list[Labelled]:
    """Return what is removed with its owner: each folder, and temporary volumes."""
    return [folder for folder in shelf.labelled() if what == "folder" or folder.temporary]


def _has_gone(folder: Labelled) -> bool:
    owner = Owner.parse(folder.owner)
    return folder.ours and owner is not None and owner.has_gone()


def _remove(shelf: Shelf, what: str, name: str) -> None:
    try:
        shelf.remove(name)
    except OSError as error:
        raise KatasError(
            f"the {what} {shelf.path / name} cannot be removed: {error.strerror}"
        ) from error


def _first_line(command: list[str]) -> str:
    with contextlib.suppress(OSError):
        return subprocess.run(
            command, capture_output=True, text=True, check=False
        ).stdout.partition("\n")[0]
    return ""
