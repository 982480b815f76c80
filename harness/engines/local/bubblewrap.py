"""Bubblewrap: namespaces without a daemon, a read-only root with nothing but the system's programs, and no network."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

from harness.engines.folders import scratch
from harness.engines.guest.caches import TELL
from harness.engines.local.processes import GUEST
from harness.engines.spec import NOBODY, Limits, SandboxSpec

INIT = f'unset {GUEST}; "$@" 4>&-; status=$?; {TELL}; exit $status'
"""The first process in bubblewrap: bubblewrap itself ends only when this one has, and all others with it. It keeps the label
that its own processes do not get: bubblewrap may be killed in the instant before it asks to take this one along. And it is the
last to see HOME.
"""

SETPRIV = "setpriv"

SANDBOX = "/sandbox"

SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SYSTEM_FILES = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/passwd",
)
"""All that a run sees of the host: programs and libraries, read-only."""

MASKED = (
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/timer_list",
)
"""What the kernel tells there of others than the run; Docker covers the same."""

FILTERED = 'exec "$@" 9<"$0"'
"""Opens the filter of system calls anew for each bubblewrap, which reads it to its end."""


@functools.cache
def bubblewrap_problem() -> str:
    """Why bubblewrap cannot be used here; empty when it can."""
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed"
    identity = become(SandboxSpec())
    if os.geteuid() == 0 and not identity:
        return "setpriv, of util-linux, is not installed"
    with scratch("probe") as folder:
        command = [*unshare(), *enclose(folder, identity, Limits()), "true"]
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
    return tried.stderr.strip().partition("\n")[0] if tried.returncode else ""


def become(spec: SandboxSpec) -> list[str]:
    """Words that a command is put behind to run as the player: only root can become somebody else."""
    if os.geteuid() != 0 or not shutil.which(SETPRIV):
        return []
    return [SETPRIV, f"--reuid={spec.uid}", f"--regid={spec.gid}", "--clear-groups"]


def enclose(
    shown: Path,
    identity: list[str],
    limits: Limits,
    *,
    at: str = SANDBOX,
    inside: str = "",
    calls: Path | None = None,
) -> list[str]:
    """Words that a command is put behind to see the folder `shown`, which is `at` to it, and nothing else; `identity` is what
    `become` gave, `inside` the part of the folder that is the player's, `calls` a filter of system calls.
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
    for file in MASKED:
        if Path(file).exists():
            words += ["--ro-bind", "/dev/null", file]
    for folder in ("/tmp", "/dev/shm"):
        words += ["--perms", "1777", "--size", str(limits.temporary), "--tmpfs", folder]
    words += [*_mounted(shown, at, "" if identity else inside), "--chdir", "/"]
    words += ["--remount-ro", "/dev", "--remount-ro", "/", "--", "sh", "-c", INIT, "init"]
    # setpriv inside, where the capabilities to do so are the last thing that is given up.
    if identity:
        words += [*identity, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
    return words


def _mounted(shown: Path, at: str, inside: str) -> list[str]:
    """All of it to be written to, or only what is `inside`: a player who has the uid of the katas is kept by no owner from
    their histories, and from putting links where a keeper writes.
    """
    if not inside:
        return ["--bind", str(shown), at]
    return ["--ro-bind", str(shown), at, "--bind", str(shown / inside), f"{at}/{inside}"]


@functools.cache
def unshare() -> tuple[str, ...]:
    """Words by which a user who is not root reads what its own runs made unreadable, in a user namespace of
    its own.
    """
    words = ("unshare", "--user", "--map-root-user")
    if os.geteuid() == 0 or not shutil.which(words[0]):
        return ()
    tried = subprocess.run([*words, "true"], capture_output=True, check=False)
    return () if tried.returncode else words
