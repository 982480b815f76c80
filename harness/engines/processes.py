"""The processes of the local engine, found by a label in their environment: there is no daemon that keeps track."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from harness.engines.owner import Owner
from harness.engines.spec import Limits

GUEST, PLAYER = "HARNESS_GUEST", "HARNESS_PLAYER"
"""Environment variables by which processes are found when nothing else keeps track of them; a player in bubblewrap, which
ends with the first process there, has neither.
"""

SWEEP = f"""
while found=$(grep -lsz '^{PLAYER}=%s$' /proc/[0-9]*/environ | cut -d/ -f3) && [ -n "$found" ]; do
    kill -9 $found 2>/dev/null || :
done"""
"""Ends the player's processes, repeated since they take a while to end."""


def limit(process: int, limits: Limits) -> None:
    """Bound a process and all that it will start."""
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


def strays() -> set[int]:
    """Processes whose owner has gone."""
    found = set()
    for process, label in labels():
        owner = Owner.parse(label.rpartition("/")[0])
        if owner and owner.has_gone():
            found.add(process)
    return found


def labels() -> Iterator[tuple[int, str]]:
    """The processes of guests and players, by the label in their environment."""
    for process in _processes():
        with contextlib.suppress(OSError):
            for each in Path(f"/proc/{process}/environ").read_bytes().split(b"\0"):
                name, _, value = each.partition(b"=")
                if name in (GUEST.encode(), PLAYER.encode()):
                    yield process, value.decode(errors="replace")


def _processes() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]


def end(find: Callable[[], set[int]]) -> None:
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
