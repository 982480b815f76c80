"""The processes of the local engine, which has no daemon that keeps track of them.

The engine finds what a guest started among its descendants, and what a crash left by a label in the
environment.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from harness.engines.owner import Owner
from harness.engines.spec import Limits

GUEST, PLAYER = "HARNESS_GUEST", "HARNESS_PLAYER"
"""Environment variables with the label, of guests and keepers, and of players.

A player in bubblewrap has neither, because it ends with the first process there.
"""

SWEEP = f"""
read -r self _ </proc/self/stat
adopted() {{
    read -r children <"/proc/$$/task/$$/children"
    for child in $children; do
        case " $self ${{out-}} ${{err-}} " in *" $child "*) continue ;; esac
        ! grep -qsz '^{GUEST}=' "/proc/$child/environ" &&
            grep -qs ') [^ZX] ' "/proc/$child/stat" && echo "$child"
    done
}}
clear=0
while [ $clear -lt 2 ]; do
    doomed=$(grep -lsz '^{PLAYER}=%s$' /proc/[0-9]*/environ | cut -d/ -f3; adopted 2>/dev/null)
    [ -n "$doomed" ] || {{ clear=$((clear + 1)); continue; }}
    clear=0
    kill -9 $doomed 2>/dev/null || :
done"""
"""Shell words that kill the player's processes: those with its label, and those that the guest has
adopted because their parents ended.

They look again until two looks in a row find none: processes take a while to end, and one whose
parent ends between the two halves of a look is missed by both. Processes that the guest itself
started have the guest's label, except for an instant those that read the player's output.
"""

ENDED = ("X", "Z")
"""The states of a process that has ended, waited for or not (proc(5), field 3 of stat)."""

STOP_SECONDS = 1.0
"""Seconds to wait for a process to stop. One that waits for a disk takes longer, but starts no
other.
"""


def limit(process: int, limits: Limits, *, together: bool) -> None:
    """Limit a process and all that it will start.

    `together`: a control group limits the number of processes. This sets no limit of memory: a
    limit of address space stops programs that reserve much and use little (sanitizers, the JVM,
    wasm), and does not count files in memory.
    """
    bounds = {
        resource.RLIMIT_CORE: 1,  # core(5): with 0, the kernel may still start a program for it
        resource.RLIMIT_FSIZE: limits.file,
        resource.RLIMIT_NOFILE: limits.open_files,
    }
    if not together:
        # The kernel counts all processes of a uid, also those of other sandboxes and of a desktop.
        running = len(_processes())
        bounds[resource.RLIMIT_NPROC] = running + limits.processes
    for kind, bound in bounds.items():
        hard = resource.prlimit(process, kind)[1]
        most = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.prlimit(process, kind, (most, most))


def strays() -> set[int]:
    """Return the processes whose owner has ended."""
    return {process for process, owner in owners() if owner.has_gone()}


def owners() -> Iterator[tuple[int, Owner]]:
    """Yield the processes of guests, players and keepers, with their owners."""
    for process, label in labels():
        if owner := Owner.parse(label.rpartition("/")[0]):
            yield process, owner


def labels() -> Iterator[tuple[int, str]]:
    """Yield the processes of guests, players and keepers, with the label in their environment."""
    for process in _processes():
        with contextlib.suppress(OSError):
            for variable in Path(f"/proc/{process}/environ").read_bytes().split(b"\0"):
                name, _, value = variable.partition(b"=")
                if name in (GUEST.encode(), PLAYER.encode()):
                    yield process, value.decode(errors="replace")


def _processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]


def end(find: Callable[[], set[int]]) -> None:
    """Kill what `find` returns, with all descendants, until all of them have ended.

    It repeats, because a process may fork after it was listed, and takes a while to end.
    """
    doomed = find()
    while doomed:
        parents = _parents()
        doomed = {process for process in parents if not doomed.isdisjoint(_line(process, parents))}
        for process in list(doomed):
            try:
                os.kill(process, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                doomed.remove(process)  # not allowed to kill a program that became another user
        time.sleep(0.001)
        doomed |= find()


def end_tree(root: int) -> tuple[bool, set[int]]:
    """Kill a child of this process, not waited for yet, with all its descendants.

    Returns when all have ended: whether the child was alive, and the ids. If it was not, what it
    had started may be anywhere. Each process is stopped before its children are listed, so that it
    starts no more; the child is killed last, so that what it adopts is found below it.
    """
    seen: set[int] = set()
    spared: set[int] = set()
    _signal(root, signal.SIGSTOP)
    _settle({root}, "RSD")
    alive = _state(root) not in ENDED
    while doomed := _freeze(root, spared):
        seen |= doomed
        spared |= {process for process in doomed if not _signal(process, signal.SIGKILL)}
        _settle(doomed - spared, "RSDTtI")
    seen |= _children(root)  # those that had already ended
    _signal(root, signal.SIGKILL)
    return alive, seen


def reap(adopted: Collection[int]) -> None:
    """Wait for ended processes that this process has adopted.

    As the first process of a container it adopts all orphans, which would stay zombies.
    """
    for process in adopted:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process, os.WNOHANG)


def _freeze(root: int, spared: set[int]) -> set[int]:
    """Stop the descendants of a process until there are no new ones. Returns those still alive."""
    frozen = {root} | spared
    while new := _below(root) - frozen:
        spared |= {process for process in new if not _signal(process, signal.SIGSTOP)}
        frozen |= new
        _settle(new - spared, "RS")
    return _below(root) - spared


def _below(root: int) -> set[int]:
    """Return the descendants of a process that are alive."""
    below: set[int] = set()
    waiting = [root]
    while waiting:
        alive = {child for child in _children(waiting.pop()) if _state(child) not in ENDED}
        waiting += alive - below
        below |= alive
    return below


def _signal(process: int, number: int) -> bool:
    """Send a signal. Returns False if it is not allowed: the program became another user."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        return False
    return True


def _settle(processes: set[int], states: str) -> None:
    """Wait, but not for long, until none of the processes is in one of these states."""
    deadline = time.monotonic() + STOP_SECONDS
    while any(_state(process) in states for process in processes) and (time.monotonic() < deadline):
        time.sleep(0.0005)


def _state(process: int) -> str:
    """Return the state of a process: one of ENDED only if none of its threads is left."""
    try:
        fields = (
            Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return ENDED[0]
    return "other threads" if fields[0] in ENDED and int(fields[17]) > 1 else fields[0]


def _children(process: int) -> set[int]:
    """Return the children of a process, with ended ones if the kernel lists the children."""
    if not tells_children():
        return {child for child, parent in _parents().items() if parent == process}
    children: set[int] = set()
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):
            with contextlib.suppress(ProcessLookupError):
                children.update(
                    map(int, Path(f"/proc/{process}/task/{thread}/children").read_text().split())
                )
    return children


@functools.cache
def tells_children() -> bool:
    """Return whether this kernel lists the children of a process."""
    return os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")


def _line(process: int, parents: Mapping[int, int]) -> Iterator[int]:
    """Yield the process and its ancestors."""
    while process in parents:
        yield process
        process = parents[process]


def _parents() -> dict[int, int]:
    """Return the parent of each process that is alive."""
    parents = {}
    for process in _processes():
        with contextlib.suppress(OSError):
            status = (
                Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
            )
            if status[0] not in ENDED or int(status[17]) > 1:
                parents[process] = int(status[1])
    return parents
