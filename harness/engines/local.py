"""The local engine: no daemon. Bubblewrap keeps a run apart where it works; else this measures but does not
isolate.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs

from harness.disk import remove_tree
from harness.engines import Volume
from harness.engines.bootstrap import BOOTSTRAP, send_program
from harness.engines.owner import LABEL, TEMPORARY, Owner
from harness.engines.sandbox import Sandbox, guest_arguments
from harness.engines.spec import NOBODY, Limits, SandboxSpec
from harness.errors import EngineError, ImageError, KatasError, UsageError
from harness.streams import ProcessStream, Stream

GUEST, PLAYER = "HARNESS_GUEST", "HARNESS_PLAYER"
"""Environment variables by which processes are found when nothing else keeps track of them; a player in bubblewrap, which
ends with its guest, has neither.
"""

SWEEP = f"""
while found=$(grep -lsz '^{PLAYER}=%s$' /proc/[0-9]*/environ | cut -d/ -f3) && [ -n "$found" ]; do
    kill -9 $found 2>/dev/null || :
done"""
"""Ends the player's processes, repeated since they take a while to end."""

INIT = '"$@"; exit $?'
"""The first process in bubblewrap: bubblewrap itself ends only when this one has, and all others with it."""

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/tmp", "LC_ALL": "C.UTF-8"}

SETPRIV = "setpriv"

SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SYSTEM_FILES = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/passwd",
)
"""All that a run sees of the host: programs and libraries, read-only."""


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
        why_not = bubblewrap_problem() if bubblewrap is not False else "not asked for"
        if bubblewrap and why_not:
            raise EngineError(f"bubblewrap does not work here: {why_not}")
        self.isolates = not why_not
        self.note = (
            "bubblewrap"
            if self.isolates
            else f"plain processes, which measures but does not isolate ({why_not})"
        )
        self.home = home or state_home()
        self._owner = Owner.current()
        self._folders = ThreadPoolExecutor(max_workers=2, thread_name_prefix="harness-local")

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
        command = [*_unshare(), sys.executable, "-I", "-c", BOOTSTRAP, str(self._volume(volume) / "katas")]
        stream = ProcessStream(command, environment=ENVIRONMENT)
        stream.write(send_program(program), time.monotonic() + 30)
        return stream

    def create_volume(self, name: str, *, temporary: bool) -> None:
        folder = self._volume(name)
        try:
            (folder / "katas").mkdir(parents=True, exist_ok=True, mode=0o700)
            (folder / LABEL).write_text(str(self._owner))
            if temporary:
                (folder / TEMPORARY).touch()
        except OSError as error:
            raise KatasError(f"the volume {name} cannot be made in {folder}: {error.strerror}") from error

    def volumes(self) -> Sequence[Volume]:
        return [Volume(each.name, (each / TEMPORARY).exists()) for each in _labelled(self.home / "volumes")]

    def remove_volume(self, name: str) -> None:
        _remove("volume", self._volume(name))

    def leftovers(self) -> Sequence[str]:
        return [f"{what} {path}" for what, path in self._left()] + [
            f"process {each}" for each in sorted(_strays())
        ]

    def sweep(self) -> Sequence[str]:
        strays = _strays()
        _end(_strays)
        removed = [f"process {each}" for each in sorted(strays)]
        for what, path in self._left():
            _remove(what, path)
            removed.append(f"{what} {path}")
        return removed

    def close(self) -> None:
        self._folders.shutdown(wait=True)

    def _open(self, spec: SandboxSpec) -> Stream:
        folder = temporary_folder("sandbox")
        try:
            return self._start(spec, folder)
        except BaseException as error:
            remove_tree(folder)
            if isinstance(error, OSError):
                raise EngineError(f"no sandbox can be made in {folder}: {error.strerror}") from error
            raise

    def _start(self, spec: SandboxSpec, folder: Path) -> Stream:
        sandbox, private = spec.mount or folder / "sandbox", folder / "private"
        private.mkdir(mode=0o700)
        label = f"{self._owner}/{folder.name}"
        become = _become(spec)
        isolated = self.isolates and not spec.in_place
        player = (
            _bubblewrap(sandbox, become, spec.limits)
            if isolated
            else [*become, "env", f"--unset={GUEST}", f"{PLAYER}={label}"]
        )
        arguments = guest_arguments(
            sandbox=str(sandbox),
            private=str(private),
            limits=spec.limits,
            sweep=":" if isolated else SWEEP % label,
            unpack_as=become,
            player=player,
        )
        if spec.mount is None:
            sandbox.mkdir()
            sandbox.chmod(0o755)
            os.chown(sandbox, spec.uid if become else -1, spec.gid if become else -1)
        stream = _LocalStream([*_unshare(), *arguments], label)
        try:
            _limit(stream.process.pid, spec.limits)
        except BaseException:
            stream.close()
            raise
        stream.on_close = lambda: self._folders.submit(remove_tree, folder)
        return stream

    def _volume(self, name: str) -> Path:
        if not name or name.startswith(".") or "/" in name:
            raise UsageError(f"{name!r} is no name for a volume: letters, digits, - and _")
        return self.home / "volumes" / name

    def _left(self) -> Iterator[tuple[str, Path]]:
        for what, base in (("folder", sandboxes_home()), ("volume", self.home / "volumes")):
            for folder in _labelled(base):
                owner = None
                with contextlib.suppress(FileNotFoundError):  # its living owner has just removed it
                    owner = Owner.parse((folder / LABEL).read_text())
                if owner and owner.has_gone() and (what == "folder" or (folder / TEMPORARY).exists()):
                    yield what, folder


class _LocalStream(ProcessStream):
    """A guest whose processes are all ended with it, those that left its process group included."""

    def __init__(self, arguments: list[str], label: str) -> None:
        super().__init__(arguments, environment={**ENVIRONMENT, GUEST: label})
        self._label = label
        self.on_close: Callable[[], object] = lambda: None

    def kill(self) -> None:
        _end(self._processes)

    def close(self) -> None:
        super().close()
        _end(self._processes)
        self.on_close()

    def _processes(self) -> set[int]:
        return {process for process, label in _labels() if label == self._label}


@functools.cache
def bubblewrap_problem() -> str:
    """Why bubblewrap cannot be used here; empty when it can."""
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed"
    become = _become(SandboxSpec())
    if os.geteuid() == 0 and not become:
        return "setpriv, of util-linux, is not installed"
    with tempfile.TemporaryDirectory() as folder:
        command = [*_unshare(), *_bubblewrap(Path(folder), become, Limits()), "true"]
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
    return tried.stderr.strip().partition("\n")[0] if tried.returncode else ""


def state_home() -> Path:
    """Where katas and volumes are kept between sessions; HARNESS_HOME names another place."""
    return Path(os.environ.get("HARNESS_HOME") or platformdirs.user_state_path("harness"))


def sandboxes_home() -> Path:
    """Where this user's sandboxes are made. Not below a home folder, which a run under another uid may not
    enter.
    """
    return Path(tempfile.gettempdir()) / f"harness-{os.geteuid()}"


def temporary_folder(kind: str) -> Path:
    """A fresh folder of this process's, where `harness clean` finds it should the process not come to remove it."""
    base = sandboxes_home()
    try:
        base.mkdir(exist_ok=True, parents=True)
        if base.lstat().st_uid != os.geteuid():
            raise EngineError(f"{base} is somebody else's; set TMPDIR to a folder of your own")
        folder = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=base))
        for each in (base, folder):
            each.chmod(0o711)  # whatever this process's umask: a player enters, though not to look around
        (folder / LABEL).write_text(str(Owner.current()))
    except OSError as error:
        raise EngineError(
            f"no {kind} folder can be made in {base}: {error.strerror}; set TMPDIR to one with room"
        ) from error
    return folder


def _become(spec: SandboxSpec) -> list[str]:
    """Words that a command is put behind to run as the player: only root can become somebody else."""
    if os.geteuid() != 0 or not shutil.which(SETPRIV):
        return []
    return [SETPRIV, f"--reuid={spec.uid}", f"--regid={spec.gid}", "--clear-groups"]


def _bubblewrap(sandbox: Path, become: list[str], limits: Limits) -> list[str]:
    words = ["bwrap", "--die-with-parent", "--as-pid-1", "--new-session", "--cap-drop", "ALL"]
    words += ["--unsetenv", GUEST]
    words += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if become:
        # The last is for the chdir alone, into a folder that may be the player's only.
        for capability in ("SETUID", "SETGID", "SETPCAP", "DAC_READ_SEARCH"):
            words += ["--cap-add", f"CAP_{capability}"]
    else:
        words += ["--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    for folder in SYSTEM_FOLDERS:
        path = Path(folder)
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), folder]
        else:
            words += ["--ro-bind-try", folder, folder]
    words += ["--dir", "/etc"]
    for file in SYSTEM_FILES:
        words += ["--ro-bind-try", file, file]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for folder in ("/tmp", "/dev/shm"):
        words += ["--perms", "1777", "--size", str(limits.temporary), "--tmpfs", folder]
    words += ["--bind", str(sandbox), "/sandbox", "--chdir", "/sandbox"]
    words += ["--remount-ro", "/dev", "--remount-ro", "/", "--", "sh", "-c", INIT, "init"]
    # setpriv inside, where the capabilities to do so are the last thing that is given up.
    if become:
        words += [*become, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
    return words


@functools.cache
def _unshare() -> tuple[str, ...]:
    """Words by which a user who is not root reads what its own runs made unreadable, in a user namespace of
    its own.
    """
    words = ("unshare", "--user", "--map-root-user")
    if os.geteuid() == 0 or not shutil.which(words[0]):
        return ()
    tried = subprocess.run([*words, "true"], capture_output=True, check=False)
    return () if tried.returncode else words


def _limit(process: int, limits: Limits) -> None:
    running = sum(each.name.isdigit() for each in Path("/proc").iterdir())
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: limits.file,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_AS: limits.memory,  # of each process: only control groups can bound them together
        # The kernel counts all processes of a uid, those of other sandboxes and of a desktop too.
        resource.RLIMIT_NPROC: running + limits.processes,
    }
    for kind, bound in bounds.items():
        hard = resource.prlimit(process, kind)[1]
        most = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.prlimit(process, kind, (most, most))


def _remove(what: str, path: Path) -> None:
    try:
        remove_tree(path)
    except OSError as error:
        raise KatasError(f"the {what} {path} cannot be removed: {error.strerror}") from error


def _labelled(base: Path) -> list[Path]:
    return sorted(each.parent for each in base.glob(f"*/{LABEL}"))


def _strays() -> set[int]:
    strays = set()
    for process, label in _labels():
        owner = Owner.parse(label.rpartition("/")[0])
        if owner and owner.has_gone():
            strays.add(process)
    return strays


def _labels() -> Iterator[tuple[int, str]]:
    """The processes of guests and players, by the label in their environment."""
    for process in _processes():
        with contextlib.suppress(OSError):
            for each in Path(f"/proc/{process}/environ").read_bytes().split(b"\0"):
                name, _, value = each.partition(b"=")
                if name in (GUEST.encode(), PLAYER.encode()):
                    yield process, value.decode(errors="replace")


def _processes() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]


def _end(find: Callable[[], set[int]]) -> None:
    """Kill what `find` finds with all that descends from it, until all of it has ended: a process may fork between being
    listed and being killed, and takes a while to end.
    """
    doomed = find()
    while doomed:
        parents = _parents()
        doomed = {process for process in parents if not doomed.isdisjoint(_line(process, parents))}
        for each in list(doomed):
            try:
                os.kill(each, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                doomed.remove(each)  # a program that became another user is not ours to end
        time.sleep(0.001)
        doomed |= find()


def _line(process: int, parents: Mapping[int, int]) -> Iterator[int]:
    """The process and its ancestors."""
    while process in parents:
        yield process
        process = parents[process]


def _parents() -> dict[int, int]:
    """Each process that has not ended, and its parent (proc(5), fields 3 and 4 of stat)."""
    found = {}
    for process in _processes():
        with contextlib.suppress(OSError):
            state, parent = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                found[process] = int(parent)
    return found


def _first_line(command: list[str]) -> str:
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.partition("\n")[0]
    return ""
