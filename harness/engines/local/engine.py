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
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from harness.engines import Volume, seccomp
from harness.engines.bootstrap import BOOTSTRAP, send_program
from harness.engines.docker.images.recipe import ReportProgress
from harness.engines.folders import remove_folder, state_home, temporary_folder
from harness.engines.guest.caches import Caches
from harness.engines.guest.command_line import guest_arguments
from harness.engines.guest.environment import TRUSTED, players
from harness.engines.guest.sandbox import Sandbox
from harness.engines.local import cgroups
from harness.engines.local.bubblewrap import (
    become,
    bubblewrap_problem,
    enclose,
    image_problem,
    unshare,
)
from harness.engines.local.cgroups import ControlGroup
from harness.engines.local.guest import LocalGuest
from harness.engines.local.launch import launch
from harness.engines.local.leftovers import RUN, LocalLeftovers
from harness.engines.local.mounts import LOCAL_MOUNTS, Around, SandboxView, empty, empty_problem
from harness.engines.local.processes import GUEST, PLAYER, SWEEP, limit
from harness.engines.local.roots.provide import provide
from harness.engines.local.roots.store import Root, RootStore
from harness.engines.local.volumes import LocalVolumes
from harness.engines.owner import Owner
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
from harness.inside.errors import EngineError, ImageError


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
        self._volumes = LocalVolumes(self.home)
        self._roots = RootStore()
        self._images: dict[str, Root] = {}
        self._left = LocalLeftovers(self._volumes, self._roots)
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
        if image is None:
            return "none (the host's programs)"
        self.fetch_image(image)
        return image

    def fetch_image(self, image: str, report: ReportProgress = lambda line: None) -> None:
        """Find the image's root, unpack it if it is new, and try it. Tells `report` about it.

        Raises ImageError if there is none, or it cannot be used.
        """
        if image in self._images:
            return
        if not self.isolates:
            raise ImageError(
                f"the image {image} takes bubblewrap, and this engine has {self.note}; leave out "
                "the image, or take --engine docker"
            )
        root = provide(self._roots, image, report)
        if why := image_problem(root.folder):
            raise ImageError(f"the image {image} cannot be used on the local engine: {why}")
        self._images[image] = root

    def open(self, spec: SandboxSpec) -> Sandbox:
        self._origin.require("engine")
        return Sandbox(lambda: self._open(spec), spec.limits)

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        self._origin.require("engine")
        katas = str(self._volumes.katas(volume))
        command = [*unshare(), sys.executable, "-I", "-c", BOOTSTRAP, katas]
        stream = ProcessStream(command, environment={**TRUSTED, GUEST: f"{self._owner}/{volume}"})
        stream.write(send_program(program), time.monotonic() + 30)
        return stream

    def refusal(self, mount: type[Mount]) -> str:
        way = LOCAL_MOUNTS.get(mount)
        if way is None:
            return unknown_mount(self.name, mount)
        bare = not self.isolates and self.player is not None
        if not (why := way.problem(self._volumes.place(), bare)):
            return ""
        return (
            f"no {way.what} can be mounted here ({why}); be root, allow user namespaces, or use "
            "Docker"
        )

    def create_volume(self, name: str, *, temporary: bool, katas: str = "") -> None:
        self._volumes.create(name, self._owner, temporary=temporary, katas=katas)

    def volumes(self) -> Sequence[Volume]:
        return self._volumes.list()

    def remove_volume(self, name: str) -> None:
        self._volumes.remove(name)

    def traces(self) -> Sequence[str]:
        return self._left.traces(self._owner)

    def leftovers(self) -> Sequence[str]:
        return self._left.find()

    def sweep(self) -> Sequence[str]:
        return self._left.sweep()

    def left_alone(self) -> Sequence[tuple[str, str]]:
        return self._left.doubts()

    def close(self) -> None:
        if self._origin.is_here():
            self._folders.shutdown(wait=True)
            self._roots.close()

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
        root = self._image(spec.image)
        # In an image, bare make runs in the same root as all others.
        isolated = self.isolates and (root is not None or not spec.in_place)
        environment = players(root.variables if root else ())
        closed = folder / "closed"  # closed to all other users of this machine
        closed.mkdir(mode=0o700)
        if identity:  # the player may pass, but neither rename nor replace what is inside
            os.chown(closed, -1, spec.gid)
            closed.chmod(0o710)
        around = Around(closed, self._volumes.katas, bool(identity) and not isolated)
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
                root=root.folder if root else None,
                environment=environment,
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
            environment=environment if isolated else {**environment, PLAYER: label},
            player=player,
        )
        try:
            start = partial(
                LocalGuest, [*shown.enter, *arguments], label, group, adopts=not isolated
            )
            stream = self._bounded(start, group, spec.limits)
        except BaseException:
            if group:
                with contextlib.suppress(OSError):
                    group.remove()
            raise
        stream.on_close = lambda: self._discard(folder, group)
        return stream

    def _image(self, name: str | None) -> Root | None:
        """Return the root of an image. None: of none. Raises ImageError."""
        if name is None:
            return None
        self.fetch_image(name)
        return self._images[name]

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
        self, start: Callable[[], LocalGuest], group: ControlGroup | None, limits: Limits
    ) -> LocalGuest:
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


def _gaps(*, isolates: bool) -> Iterator[str]:
    """Say what cannot be limited or filtered here, with the reason."""
    if isolates and (why := seccomp.filter_problem()):
        yield f"system calls are not filtered ({why})"
    if why := cgroups.cgroup_problem():
        yield f"memory, processes and processor time of a run are not bounded together ({why})"


def _first_line(command: list[str]) -> str:
    with contextlib.suppress(OSError):
        return subprocess.run(
            command, capture_output=True, text=True, check=False
        ).stdout.partition("\n")[0]
    return ""
