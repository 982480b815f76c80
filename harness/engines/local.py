"""The local engine: no daemon. Bubblewrap keeps a run apart where it works; else this measures but does not
isolate.
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
from pathlib import Path
from typing import Any

from harness.disk import remove_tree
from harness.engines import Volume, part_of
from harness.engines.bootstrap import BOOTSTRAP, send_program
from harness.engines.bubblewrap import SANDBOX, become, bubblewrap_problem, enclose, unshare
from harness.engines.folders import (
    labelled,
    owner_of,
    sandboxes_home,
    state_home,
    sweeping,
    temporary_folder,
)
from harness.engines.mounts import bind, bind_problem, empty, empty_problem, overlay, overlay_problem
from harness.engines.overlays import overlay_options
from harness.engines.owner import KATAS, LABEL, TEMPORARY, Owner
from harness.engines.processes import GUEST, PLAYER, SWEEP, end, labels, limit, strays
from harness.engines.sandbox import Sandbox, guest_arguments
from harness.engines.spec import NOBODY, Mount, Overlay, PartOfVolume, SandboxSpec, WholeVolume
from harness.engines.usage import CHILDREN
from harness.errors import EngineError, ImageError, KatasError, UsageError
from harness.streams import ProcessStream, Stream

RUN = "sandbox"
"""The kind of temporary folder that a run-container lives in."""

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/tmp", "LC_ALL": "C.UTF-8"}


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
        why_not = bubblewrap_problem() or empty_problem() if bubblewrap is not False else "not asked for"
        if bubblewrap and why_not:
            raise EngineError(f"bubblewrap does not work here: {why_not}")
        self.isolates = not why_not
        self.note = (
            "bubblewrap"
            if self.isolates
            else f"plain processes, which measures but does not isolate ({why_not})"
        )
        self.player: tuple[int, int] | None = (NOBODY, NOBODY) if become(SandboxSpec()) else None
        self.home = home or state_home()
        self._owner = Owner.current()
        self._folders = ThreadPoolExecutor(max_workers=2, thread_name_prefix="harness-local")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.home,), {"isolates": self.isolates, "note": self.note}

    def describe(self) -> Mapping[str, str]:
        return {
            "engine": "local, " + ("bubblewrap" if self.isolates else "plain processes"),
            "storage driver": "none",
            "kernel": platform.release(),
            "host": platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"),
            "processors": str(os.cpu_count()),
        }

    def check_image(self, image: str | None) -> str:
        if image is not None:
            raise ImageError(f"the local engine has no images: leave out {image}, or take --engine docker")
        return "none (the host's programs)"

    def open(self, spec: SandboxSpec) -> Sandbox:
        return Sandbox(lambda: self._open(spec), spec.limits)

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        command = [*unshare(), sys.executable, "-I", "-c", BOOTSTRAP, str(self._katas(volume))]
        stream = ProcessStream(command, environment=ENVIRONMENT)
        stream.write(send_program(program), time.monotonic() + 30)
        return stream

    def refusal(self, mount: type[Mount]) -> str:
        if issubclass(mount, Path):
            return ""
        if issubclass(mount, Overlay):
            what, why = "overlay", overlay_problem(self.home)
        else:
            what, why = "volume", bind_problem()
        return (
            f"no {what} can be mounted here ({why}); be root, allow user namespaces, or take Docker"
            if why
            else ""
        )

    def create_volume(self, name: str, *, temporary: bool, katas: str = "") -> None:
        folder = self._volume(name)
        if (folder / LABEL).exists():  # and stays its owner's, who may outlive this process
            return
        try:
            (folder / "katas").mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
            (folder / "katas").chmod(0o755)  # for a player who sees it mounted
            (folder / KATAS).write_text(katas or name)
            if temporary:
                (folder / TEMPORARY).touch()
            (folder / LABEL).write_text(str(self._owner))
        except OSError as error:
            raise KatasError(f"the volume {name} cannot be made in {folder}: {error.strerror}") from error

    def volumes(self) -> Sequence[Volume]:
        return [
            Volume(each.name, (each / TEMPORARY).exists(), part_of(each.name, _read(each / KATAS)))
            for each in labelled(self.home / "volumes")
        ]

    def remove_volume(self, name: str) -> None:
        _remove("volume", self._volume(name))

    def traces(self) -> Sequence[str]:
        own = str(self._owner)
        return [f"folder {each}" for each in labelled(sandboxes_home(), RUN) if owner_of(each) == own] + [
            f"process {process}" for process, label in labels() if label.rpartition("/")[0] == own
        ]

    def leftovers(self) -> Sequence[str]:
        return [f"{what} {path}" for what, path in self._left()] + [
            f"process {each}" for each in sorted(strays())
        ]

    def sweep(self) -> Sequence[str]:
        doomed = strays()
        end(strays)
        removed = [f"process {each}" for each in sorted(doomed)]
        with sweeping():
            for what, path in self._left():
                _remove(what, path)
                removed.append(f"{what} {path}")
        return removed

    def close(self) -> None:
        self._folders.shutdown(wait=True)

    def _open(self, spec: SandboxSpec) -> Stream:
        folder = temporary_folder(RUN)
        try:
            return self._start(spec, folder)
        except BaseException as error:
            remove_tree(folder)
            if isinstance(error, OSError):
                raise EngineError(f"no sandbox can be made in {folder}: {error.strerror}") from error
            raise

    def _start(self, spec: SandboxSpec, folder: Path) -> Stream:
        private = folder / "private"
        private.mkdir(mode=0o700)
        mount = spec.mount
        sandbox = shown = mount if isinstance(mount, Path) else folder / "sandbox"
        at, inside, enter = SANDBOX, "", list(unshare())
        if isinstance(mount, WholeVolume):
            at, inside, shown = "/katas", mount.sandbox, folder / "katas"
            sandbox = shown / inside
            shown.mkdir()
            enter = bind(self._katas(mount.volume), shown)
        elif isinstance(mount, PartOfVolume):
            shown.mkdir()
            enter = bind(self._katas(mount.volume) / mount.folder, shown)
        elif isinstance(mount, Overlay):
            shown.mkdir()
            enter = overlay(overlay_options(str(self._katas(mount.volume)), mount), shown)
        label = f"{self._owner}/{folder.name}"
        identity = become(spec)
        isolated = self.isolates and not spec.in_place
        player = (
            enclose(shown, identity, spec.limits, at=at, inside=inside)
            if isolated
            else [*identity, "env", f"--unset={GUEST}", f"{PLAYER}={label}"]
        )
        arguments = guest_arguments(
            sandbox=str(sandbox),
            private=str(private),
            limits=spec.limits,
            sweep=":" if isolated else SWEEP % label,
            usage=CHILDREN,
            unpack_as=identity,
            player=player,
        )
        if mount is None:
            sandbox.mkdir()
            sandbox.chmod(0o755)
            os.chown(sandbox, spec.uid if identity else -1, spec.gid if identity else -1)
            if isolated:  # else a run could fill the host's disk
                enter = empty(sandbox, spec.limits.sandbox, (spec.uid, spec.gid) if identity else None)
        stream = _LocalStream([*enter, *arguments], label)
        try:
            limit(stream.process.pid, spec.limits)
        except BaseException:
            stream.close()
            raise
        stream.on_close = lambda: self._folders.submit(remove_tree, folder)
        return stream

    def _volume(self, name: str) -> Path:
        if not name or name.startswith(".") or "/" in name:
            raise UsageError(f"{name!r} is no name for a volume: letters, digits, - and _")
        return self.home / "volumes" / name

    def _katas(self, volume: str) -> Path:
        """The katas in a volume, beside which it has its labels."""
        return self._volume(volume) / "katas"

    def _left(self) -> Iterator[tuple[str, Path]]:
        for what, base in (("folder", sandboxes_home()), ("volume", self.home / "volumes")):
            for folder in labelled(base):
                owner = Owner.parse(owner_of(folder))
                if owner and owner.has_gone() and (what == "folder" or (folder / TEMPORARY).exists()):
                    yield what, folder


class _LocalStream(ProcessStream):
    """A guest whose processes are all ended with it, those that left its process group included."""

    def __init__(self, arguments: list[str], label: str) -> None:
        super().__init__(arguments, environment={**ENVIRONMENT, GUEST: label})
        self._label = label
        self.on_close: Callable[[], object] = lambda: None

    def kill(self) -> None:
        end(self._processes)

    def close(self) -> None:
        super().close()
        end(self._processes)
        self.on_close()

    def _processes(self) -> set[int]:
        return {process for process, label in labels() if label == self._label}


def _remove(what: str, path: Path) -> None:
    try:
        remove_tree(path)
    except OSError as error:
        raise KatasError(f"the {what} {path} cannot be removed: {error.strerror}") from error


def _read(file: Path) -> str | None:
    try:
        return file.read_text()
    except FileNotFoundError:
        return None


def _first_line(command: list[str]) -> str:
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.partition("\n")[0]
    return ""
