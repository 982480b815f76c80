"""Bubblewrap: namespaces, no network, and a read-only root.

The root is that of an image, or holds only the programs of this machine.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from harness.engines.folders import scratch
from harness.engines.guest.caches import tell
from harness.engines.guest.environment import TRUSTED
from harness.engines.local.processes import GUEST
from harness.engines.spec import NOBODY, Limits, SandboxSpec

SETPRIV = "setpriv"

SANDBOX = "/sandbox"
"""Where a run sees its sandbox."""

SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SYSTEM_FILES = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/passwd",
)
"""All that a run sees of the host, read-only: programs and libraries."""

OWN = ("dev", "proc", "tmp")
"""The folders of a run's root that never come from an image."""

HOSTNAME = "sandbox"
"""What the machine of a run in an image is called."""

MASKED = (
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/timer_list",
)
"""Files that tell about others than the run. Docker hides the same."""

MACHINE_SETTINGS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""Settings of the machine, which root may write without any capability. In an image they are
read-only, as on Docker, because the image's own programs begin as root, if the harness is root's.
"""

FILTERED = 'exec "$@" 9<"$0"'
"""Shell words that open the filter of system calls anew, because bubblewrap reads it to its end."""


@functools.cache
def bubblewrap_problem() -> str:
    """Say why bubblewrap cannot be used here. Empty: it can."""
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed"
    identity = become(SandboxSpec())
    if os.geteuid() == 0 and not identity:
        return "setpriv, of util-linux, is not installed"
    with scratch("probe") as folder:
        command = [*unshare(), *enclose(folder, identity, Limits()), "true"]
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
    return tried.stderr.strip().partition("\n")[0] if tried.returncode else ""


def image_problem(root: Path) -> str:
    """Say why no run can take place in this root file system. Empty: one can."""
    identity = become(SandboxSpec())
    with scratch("probe") as folder:
        words = [*unshare(), *enclose(folder, identity, Limits(), root=root)]
        tried = subprocess.run(
            [*words, "env", "-i", "--", "/bin/sh", "-c", ":"],
            capture_output=True,
            text=True,
            errors="replace",
            env=dict(TRUSTED),
            check=False,
        )
    if not tried.returncode:
        return ""
    needed = "sh and env" + (", and setpriv of util-linux" if identity else "")
    said = tried.stderr.strip().partition("\n")[0] or f"sh ends with {tried.returncode}"
    return f"a run needs {needed} in it, and this fails: {said}"


def become(spec: SandboxSpec) -> list[str]:
    """Return words before a command, so that it runs as the player; only root can do so."""
    if os.geteuid() != 0 or not shutil.which(SETPRIV):
        return []
    return [SETPRIV, f"--reuid={spec.uid}", f"--regid={spec.gid}", "--clear-groups"]


def first_process(environment: Mapping[str, str]) -> str:
    """Return the shell words of the first process there; when it ends, all others there end.

    Its environment keeps the label, in case bubblewrap is killed before it can take this process
    with it. Processes that it starts do not get the label. It reads the player's HOME last, which
    `environment` names.
    """
    return f'unset {GUEST}; "$@" 4>&-; status=$?; {tell(environment)}; exit $status'


def enclose(
    shown: Path,
    identity: list[str],
    limits: Limits,
    *,
    at: str = SANDBOX,
    inside: str = "",
    calls: Path | None = None,
    root: Path | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Return words before a command, so that it sees only the folder `shown`, at the path `at`.

    - `identity`: what `become` returned.
    - `inside`: the part of the folder that is the player's. Empty: all of it.
    - `calls`: a file with the filter of system calls. None: no filter.
    - `root`: the root file system that it sees beside that. None: this machine's programs.
    - `environment`: the player's.
    """
    words = ["sh", "-c", FILTERED, str(calls), "bwrap", "--seccomp", "9"] if calls else ["bwrap"]
    words += ["--die-with-parent", "--as-pid-1", "--new-session", "--cap-drop", "ALL"]
    words += [
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-uts",
        "--unshare-cgroup-try",
    ]
    if identity:
        for capability in ("SETUID", "SETGID", "SETPCAP"):
            words += ["--cap-add", f"CAP_{capability}"]
    else:
        words += ["--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    words += _host_s_programs() if root is None else _all_of(root, {*OWN, at.split("/")[1]})
    words += ["--proc", "/proc", "--dev", "/dev"]
    for file in MASKED:
        if Path(file).exists():
            words += ["--ro-bind", "/dev/null", file]
    for file in MACHINE_SETTINGS if root else ():
        if Path(file).exists():
            words += ["--ro-bind", file, file]
    for folder in ("/tmp", "/dev/shm"):
        words += ["--perms", "1777", "--size", str(limits.temporary), "--tmpfs", folder]
    words += [*_mounted(shown, at, inside if root or not identity else ""), "--chdir", "/"]
    words += ["--remount-ro", "/dev", "--remount-ro", "/", "--", "sh", "-c"]
    words += [first_process(environment), "init"]
    # setpriv runs inside, and gives up last the capabilities that it needs.
    if identity:
        words += [*identity, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
    return words


def _host_s_programs() -> Iterator[str]:
    """Show the programs of this machine, and of /etc only what they need."""
    for folder in SYSTEM_FOLDERS:
        path = Path(folder)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), folder)
        else:
            yield from ("--ro-bind-try", folder, folder)
    yield from ("--dir", "/etc")
    for file in SYSTEM_FILES:
        yield from ("--ro-bind-try", file, file)


def _all_of(root: Path, but: set[str]) -> Iterator[str]:
    """Show a root file system without the names in `but`, which are mounted on folders of ours.

    Each name in it is mounted by itself, on a root of bubblewrap's own. So bubblewrap can make the
    other folders beside them, and no symlink of the image is on the way to what it mounts.
    """
    yield from ("--hostname", HOSTNAME)
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if entry.name in but:
            continue
        if entry.is_symlink():
            yield from ("--symlink", os.readlink(entry.path), f"/{entry.name}")
        else:
            yield from ("--ro-bind", entry.path, f"/{entry.name}")


def _mounted(shown: Path, at: str, inside: str) -> list[str]:
    """Mount the folder writable, or only the part `inside`.

    A player with the uid of the katas, and a program of an image that begins as root, could
    otherwise change their histories, and put links where a keeper writes.
    """
    if not inside:
        return ["--bind", str(shown), at]
    return ["--ro-bind", str(shown), at, "--bind", str(shown / inside), f"{at}/{inside}"]


@functools.cache
def unshare() -> tuple[str, ...]:
    """Return words before a command, so that it is root in a user namespace.

    There, a user can read what its runs made unreadable. Empty for root, and if it does not work.
    """
    words = ("unshare", "--user", "--map-root-user")
    if os.geteuid() == 0 or not shutil.which(words[0]):
        return ()
    tried = subprocess.run([*words, "true"], capture_output=True, check=False)
    return () if tried.returncode else words
