"""The local engine: no daemon. Bubblewrap keeps a run apart where it works, a filter refuses system calls, and control groups
bound what it takes; without bubblewrap this measures but does not isolate.
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
from harness.engines.local.bubblewrap import SANDBOX, become, bubblewrap_problem, enclose, unshare
from harness.engines.local.cgroups import ControlGroup
from harness.engines.local.launch import launch
from harness.engines.local.mounts import (
    bind,
    bind_problem,
    empty,
    empty_problem,
    overlay,
    overlay_problem,
)
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
from harness.engines.overlays import overlay_options
from harness.engines.owner import KATAS, OWNER_LABEL, TEMPORARY, Owner
from harness.engines.spec import (
    NOBODY,
    Limits,
    Mount,
    Overlay,
    PartOfVolume,
    SandboxSpec,
    WholeVolume,
)
from harness.engines.streams import ProcessStream, Stream
from harness.engines.streams.forks import Origin
from harness.engines.usage import CHILDREN
from harness.inside.errors import EngineError, ImageError, KatasError, UsageError

_ANOTHER_USERS = "it belongs to another user"

RUN = "sandbox"
"""The kind of temporary folder that a run-container lives in."""


class LocalEngine:
    """Runs on this machine itself."""

    name = "local"

    def __init__(self, home: Path | None = None, *, bubblewrap: bool | None = None) -> None:
        """Sandboxes and volumes are kept under `home`; `bubblewrap` None takes it where it works.

        Raises EngineError when the machine lacks GNU tar, or bubblewrap was asked for and does not work.
        """
        if "GNU tar" not in _first_line(["tar", "--version"]):
            raise EngineError(
                "this machine's tar is not GNU tar: stamps would be cut to whole seconds; install GNU tar"
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
            else f"plain processes, which measures but does not isolate ({why_not})"
        )
        self.gaps = tuple(_gaps(isolates=self.isolates))
        self.player: tuple[int, int] | None = (NOBODY, NOBODY) if become(SandboxSpec()) else None
        self.home = home or state_home()
        self._origin = Origin()
        self._owner = Owner.current()
        self._folders = ThreadPoolExecutor(max_workers=2, thread_name_prefix="harness-local")
        if self.isolates and not seccomp.filter_problem():
            self._folders.submit(seccomp.program)  # before it is needed

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
        if issubclass(mount, Path):
            if self.isolates or self.player is None:
                return ""  # bubblewrap mounts it, or the player is who owns it
            what, why = "folder", bind_problem()
        elif issubclass(mount, Overlay):
            what, why = "overlay", overlay_problem(self._volumes_home())
        else:
            what, why = "volume", bind_problem()
        return (
            f"no {what} can be mounted here ({why}); be root, allow user namespaces, or take Docker"
            if why
            else ""
        )

    def create_volume(self, name: str, *, temporary: bool, katas: str = "") -> None:
        folder = self._volume(name)
        if (folder / OWNER_LABEL).exists():  # and stays its owner's, who may outlive this process
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
                f"{folder} is in the way of the volume {name}: the harness has not made it"
            )

    def volumes(self) -> Sequence[Volume]:
        with contextlib.suppress(FileNotFoundError), self._volumes() as shelf:
            return [
                Volume(each.name, each.temporary, part_of(each.name, each.katas))
                for each in shelf.labelled()
                if not each.under_way
            ]
        return []

    def remove_volume(self, name: str) -> None:
        folder = self._volume(name)
        with contextlib.suppress(FileNotFoundError), self._volumes() as shelf:
            _remove(shelf, "volume", folder.name)

    def traces(self) -> Sequence[str]:
        own = str(self._owner)
        found = [
            f"process {process}" for process, label in labels() if label.rpartition("/")[0] == own
        ]
        with contextlib.suppress(OSError), Shelf(sandboxes_home()) as shelf:
            found += [
                f"folder {shelf.path / each.name}"
                for each in shelf.labelled()
                if each.owner == own and (each.under_way or each.name.startswith(f"{RUN}-"))
            ]
        return found

    def leftovers(self) -> Sequence[str]:
        left = [
            f"{what} {shelf.path / each.name}"
            for what, shelf in self._shelves()
            for each in _temporary(what, shelf)
            if _has_gone(each)
        ]
        return [
            *left,
            *(f"process {each}" for each in sorted(strays())),
            *(f"control group {each.label}" for each in _abandoned()),
        ]

    def sweep(self) -> Sequence[str]:
        doomed = strays()
        end(strays)
        removed = [f"process {each}" for each in sorted(doomed)]
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
                for each in filter(_has_gone, _temporary(what, shelf)):
                    try:
                        _remove(shelf, what, each.name)
                    except KatasError as error:
                        failures.append(error)  # and what else there is goes all the same
                    else:
                        removed.append(f"{what} {shelf.path / each.name}")
        if failures:
            raise failures[0]
        return removed

    def left_alone(self) -> Sequence[tuple[str, str]]:
        found = [(f"process {process}", owner.fate().doubt) for process, owner in owners()]
        for what, shelf in self._shelves(ours=False):
            if not shelf.ours:
                found.append((f"{what}s in {shelf.path}", _ANOTHER_USERS))
                continue
            for each in _temporary(what, shelf):
                owner = Owner.parse(each.owner)
                doubt = owner.fate().doubt if owner else "its label is not the harness's"
                found.append(
                    (f"{what} {shelf.path / each.name}", doubt if each.ours else _ANOTHER_USERS)
                )
        return [(what, doubt) for what, doubt in found if doubt]

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
        closed = folder / "closed"  # to every other user of this machine
        closed.mkdir(mode=0o700)
        if identity:  # the player passes, and can neither rename nor replace what is in it
            os.chown(closed, -1, spec.gid)
            closed.chmod(0o710)
        mount, at, inside, enter = spec.mount, SANDBOX, "", list(unshare())
        sandbox = shown = closed / "sandbox"
        if isinstance(mount, WholeVolume):
            at, inside, shown = "/katas", mount.sandbox, closed / "katas"
            sandbox = shown / inside
            enter = bind(self._katas(mount.volume), shown)
        elif isinstance(mount, PartOfVolume):
            enter = bind(self._katas(mount.volume) / mount.folder, shown)
        elif isinstance(mount, Overlay):
            enter = overlay(overlay_options(str(self._katas(mount.volume)), mount), shown)
        elif (
            mount and identity and not isolated
        ):  # whose folders above it may be closed to the player
            enter = bind(mount, shown)
        elif mount:
            sandbox = shown = mount
        elif isolated:  # else a run could fill the host's disk
            enter = empty(sandbox, spec.limits.sandbox, (spec.uid, spec.gid) if identity else None)
        if shown != mount:
            shown.mkdir(mode=0o755)
        if mount is None:
            sandbox.chmod(0o755)  # whatever the umask
            os.chown(sandbox, spec.uid if identity else -1, spec.gid if identity else -1)
        label = f"{self._owner}/{folder.name}"
        group = self._group(label, spec.limits)
        player = (
            enclose(shown, identity, spec.limits, at=at, inside=inside, calls=self._calls(folder))
            if isolated
            else identity
        )
        arguments = guest_arguments(
            sandbox=str(sandbox),
            private=str(private),
            shown=os.path.join(at, inside) if isolated else str(sandbox),
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
            start = partial(_LocalStream, [*enter, *arguments], label, group, adopts=not isolated)
            stream = self._bounded(start, group, spec.limits)
        except BaseException:
            if group:
                with contextlib.suppress(OSError):
                    group.remove()
            raise
        stream.on_close = lambda: self._discard(folder, group)
        return stream

    def _calls(self, folder: Path) -> Path | None:
        """A file with the filter of system calls; None where none can be compiled."""
        if seccomp.filter_problem():
            return None
        calls = folder / "calls"
        calls.write_bytes(seccomp.program())
        return calls

    def _group(self, label: str, limits: Limits) -> ControlGroup | None:
        """The control group of a run-container; None where none can be made."""
        return None if cgroups.cgroup_problem() else cgroups.create(label, limits)

    def _bounded(
        self, start: Callable[[], _LocalStream], group: ControlGroup | None, limits: Limits
    ) -> _LocalStream:
        """A guest without the keys of this session that is bounded before it is spoken to: until then it starts nothing of the
        player's.
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
                with contextlib.suppress(OSError):  # `harness clean` finds it
                    group.remove()
            remove_folder(folder)

        try:
            self._folders.submit(discard)
        except RuntimeError:  # the engine was closed meanwhile
            discard()

    def _volume(self, name: str) -> Path:
        if not name or name.startswith(".") or "/" in name:
            raise UsageError(f"{name!r} is no name for a volume: letters, digits, - and _")
        return self.home / "volumes" / name

    def _katas(self, volume: str) -> Path:
        """The katas in a volume, beside which it has its labels."""
        return self._volume(volume) / "katas"

    def _volumes(self) -> Shelf:
        return Shelf(self._volumes_home())

    def _volumes_home(self) -> Path:
        return Path(
            os.path.realpath(self.home / "volumes")
        )  # a user may keep it elsewhere, by a link of his own

    def _shelves(self, *, ours: bool = True) -> Iterator[tuple[str, Shelf]]:
        """Where things lie that go with their owners, if it is this user's: what, and the folder."""
        for what, path in (("folder", sandboxes_home()), ("volume", self._volumes_home())):
            try:
                shelf = Shelf(path)
            except OSError:  # there is none, or what is there is no folder
                continue
            with shelf:
                if shelf.ours or not ours:
                    yield what, shelf


class _LocalStream(ProcessStream):
    """A guest whose processes are all ended with it, those that left its process group included."""

    def __init__(
        self, arguments: list[str], label: str, group: ControlGroup | None, *, adopts: bool
    ) -> None:
        super().__init__(arguments, environment={**TRUSTED, GUEST: label}, adopts=adopts)
        self._label = label
        self._group = group
        self._ending = threading.Lock()
        self._adopted: set[int] | None = None  # what has ended with it, once all has
        self.on_close: Callable[[], object] = lambda: None

    def kill(self) -> None:
        with self._ending:
            if self._adopted is not None or not self.origin.is_here():
                return
            found, self._adopted = False, set()
            if self._group:
                self._adopted = self._group.kill()
                return
            if self.process.poll() is None:
                found, self._adopted = end_tree(self.process.pid)
            if not found:  # it died, and what it had started is nobody's now
                end(lambda: {process for process, label in labels() if label == self._label})

    def close(self) -> None:
        self.kill()
        super().close()
        if self.origin.is_here():
            reap(self._adopted or ())
            self.on_close()


def _gaps(*, isolates: bool) -> Iterator[str]:
    """What bounds runs elsewhere and does not here, with the reason."""
    if isolates and (why := seccomp.filter_problem()):
        yield f"system calls are not filtered ({why})"
    if why := cgroups.cgroup_problem():
        yield f"memory, processes and processor time of a run are not bounded together ({why})"


def _abandoned() -> Iterator[ControlGroup]:
    """This user's groups whose owner has gone."""
    for group in cgroups.harness_groups():
        owner = Owner.parse(group.label.rpartition("/")[0])
        if owner and owner.has_gone() and group.is_ours():
            yield group


def _temporary(what: str, shelf: Shelf) -> list[Labelled]:
    """What goes with its owner: each folder, and the volumes that are not kept for a user."""
    return [each for each in shelf.labelled() if what == "folder" or each.temporary]


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
