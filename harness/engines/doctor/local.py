"""Examine the local engine: whether it works, whether it isolates, and what it cannot bound."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path

from harness.engines import seccomp
from harness.engines.doctor.finding import (
    Finding,
    Fitness,
    explain,
    install_command,
    softly,
    toolchain,
)
from harness.engines.doctor.round_trip import RoundTrip, make_round_trip
from harness.engines.folders import sandboxes_home
from harness.engines.local import cgroups
from harness.engines.local.bubblewrap import bubblewrap_problem
from harness.engines.local.engine import LocalEngine
from harness.engines.local.roots.store import RootStore, unpack_problem
from harness.engines.spec import HostFolder

LACKED = {
    "mmdebstrap": "mmdebstrap, the harness's own comes only from Docker or a file",
    "zstd": "zstd, layers that it compressed are refused",
}
"""What of images does not work without a program."""

_SWITCHES = {
    "/proc/sys/user/max_user_namespaces": ("0", "sysctl -w user.max_user_namespaces=15000"),
    "/proc/sys/kernel/unprivileged_userns_clone": (
        "0",
        "sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
}
"""The settings that switch user namespaces off: the value that does so, and the command to undo
it.
"""


def examine() -> tuple[tuple[Finding, ...], Fitness]:
    """Return the findings, and what the engine can be used for."""
    try:
        trip, isolates, gaps, refused = _try()
    except Exception as error:
        mounts: tuple[Finding, ...] = ()
        fitness = Fitness(explain(error))
        first = Finding(
            "engine",
            "missing",
            fitness.problem,
            "Without it only Docker is left.",
            _cure(fitness.problem),
        )
    else:
        fitness = Fitness(trip.problem, trip.lacks, refuses=refused)
        first = engine_finding(trip, isolates=isolates, gaps=gaps)
        mounts = (mounts_finding(refused),)
    return (
        first,
        softly("bubblewrap", lambda: _bubblewrap(bubblewrap_problem())),
        softly("user namespaces", _namespaces),
        *mounts,
        softly("system calls", lambda: calls_finding(seccomp.filter_problem())),
        softly("control groups", lambda: groups_finding(cgroups.cgroup_problem())),
        softly(
            "images",
            lambda: roots_finding(bubblewrap_problem() or unpack_problem(), RootStore().names()),
        ),
    ), fitness


def engine_finding(trip: RoundTrip, *, isolates: bool, gaps: Sequence[str] = ()) -> Finding:
    """Say whether an engine that works is exact, isolates without gaps, and builds C."""
    if trip.problem:
        return Finding(
            "engine",
            "missing",
            trip.problem,
            "Builds would go stale.",
            f"GNU tar: {install_command('tar')}",
        )
    what = (
        "runs this machine's own programs; a sandbox answers after "
        f"{trip.start_seconds * 1000:.0f} ms"
    )
    follows = (
        "Bubblewrap isolates runs from the host and from each other."
        if isolates
        else "Plain processes measure but do not isolate: run only code that you trust."
    )
    if isolates and gaps:
        follows += " `isolated` is not claimed, because something is not bounded: see below."
    if trip.lacks:
        follows += f" It cannot build C without {' and '.join(trip.lacks)}."
    advice = toolchain() if trip.lacks else ""
    sound = isolates and not gaps and not trip.lacks
    return Finding("engine", "good" if sound else "fair", what, follows, advice)


def mounts_finding(refused: str) -> Finding:
    """Say whether a folder of this machine can be mounted for a run."""
    if not refused:
        return Finding("mounts", "good", "the katas' own folder can be mounted for a run")
    return Finding(
        "mounts",
        "missing",
        refused,
        "katas-volume cannot play; it is one of the three runners that `harness compare` takes.",
        "" if shutil.which("mount") else install_command("mount"),
    )


def calls_finding(problem: str) -> Finding:
    """Say whether a run's system calls are filtered."""
    if not problem:
        return Finding(
            "system calls",
            "good",
            "a run may make only those that Docker's default profile allows",
        )
    return Finding(
        "system calls",
        "missing",
        f"not filtered: {problem}",
        "A run can make namespaces in which it is root, and reach keyrings, io_uring and AF_VSOCK; "
        "`isolated` is not claimed.",
        install_command("libseccomp2" if shutil.which("apt-get") else "libseccomp"),
    )


def groups_finding(problem: str) -> Finding:
    """Say whether a run's memory, processes and processor time are bounded together."""
    if not problem:
        return Finding(
            "control groups",
            "good",
            f"version {cgroups.cgroup_place().version}: memory and processes of a run are bounded",
        )
    return Finding(
        "control groups",
        "missing",
        f"none can be made: {problem}",
        "A run's memory is not bounded, and its processes only together with all of the user's; "
        "`isolated` is not claimed.",
        "be root, or start the harness by: systemd-run --user --scope -p Delegate=yes harness ..."
        if os.geteuid()
        else "inside a container: mount /sys/fs/cgroup writable",
    )


def roots_finding(problem: str, names: Collection[str]) -> Finding:
    """Say whether runs can see the root of an image, and which images are unpacked."""
    if problem:
        return Finding(
            "images",
            "missing",
            f"none can be shown to a run: {problem}",
            "`--image` needs Docker here.",
        )
    there = ", ".join(names) or "none yet"
    lacks = [program for program in ("mmdebstrap", "zstd") if not shutil.which(program)]
    follows = f"Without {' and '.join(map(LACKED.__getitem__, lacks))}." if lacks else ""
    return Finding("images", "good", f"`--image` works; unpacked so far: {there}", follows)


def _try() -> tuple[RoundTrip, bool, tuple[str, ...], str]:
    base = sandboxes_home()
    was_there = base.exists()
    try:
        with closing(LocalEngine()) as engine:
            return make_round_trip(engine), engine.isolates, engine.gaps, engine.refusal(HostFolder)
    finally:
        if not was_there:
            with contextlib.suppress(OSError):  # another process's sandboxes are in it by now
                base.rmdir()


def _cure(problem: str) -> str:
    if "GNU tar" in problem:
        return install_command("tar")
    return ""


def _bubblewrap(problem: str) -> Finding:
    if not problem:
        return Finding("bubblewrap", "good", f"{_first_line('bwrap', '--version')} works")
    if not shutil.which("bwrap"):
        return Finding("bubblewrap", "missing", problem, "", install_command("bubblewrap"))
    if "setpriv" in problem:
        return Finding("bubblewrap", "missing", problem, "", install_command("util-linux"))
    return Finding(
        "bubblewrap",
        "missing",
        f"it is installed but does not work: {problem}",
        "Usually a container or a hardened kernel forbids what it needs: see user namespaces.",
    )


def _namespaces() -> Finding:
    problem = _namespace_problem()
    if not problem:
        return Finding("user namespaces", "good", "a process may have its own")
    if os.geteuid() == 0:
        return Finding(
            "user namespaces", "fair", f"none: {problem}", "As root, bubblewrap does not need them."
        )
    cures = [cure for path, (off, cure) in _SWITCHES.items() if _content(path) == off]
    return Finding(
        "user namespaces",
        "missing",
        f"none: {problem}",
        "Without them bubblewrap works only for root, and a user's runs are not isolated.",
        f"sudo {cures[0]}"
        if cures
        else "inside a container: allow it more, or run the harness outside",
    )


def _namespace_problem() -> str:
    if not shutil.which("unshare"):
        return (
            ""
            if _content("/proc/sys/user/max_user_namespaces") not in ("", "0")
            else "the kernel has none"
        )
    tried = subprocess.run(
        ["unshare", "--user", "--map-root-user", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return tried.stderr.strip().partition("\n")[0] or "it failed" if tried.returncode else ""


def _content(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).partition("\n")[0].strip()
