"""The processes of the local engine: there is no daemon that keeps track. What a guest started is found below it; what a crash
left is found by a label in its environment.
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
"""Environment variables by which processes are found when nothing else keeps track of them; a player in bubblewrap, which
ends with the first process there, has neither.
"""

SWEEP = f"""
read -r self _ </proc/self/stat
adopted() {{
    read -r children <"/proc/$$/task/$$/children"
    for each in $children; do
        case " $self ${{out-}} ${{err-}} " in *" $each "*) continue ;; esac
        ! grep -qsz '^{GUEST}=' "/proc/$each/environ" && grep -qs ') [^ZX] ' "/proc/$each/stat" && echo "$each"
    done
}}
clear=0
while [ $clear -lt 2 ]; do
    found=$(grep -lsz '^{PLAYER}=%s$' /proc/[0-9]*/environ | cut -d/ -f3; adopted 2>/dev/null)
    [ -n "$found" ] || {{ clear=$((clear + 1)); continue; }}
    clear=0
    kill -9 $found 2>/dev/null || :
done"""
"""Ends the player's processes, repeated since they take a while to end, and until two looks in a row find none: one whose parent
ends between the two halves of a look is in neither. It looks for those with its label, and those that the guest has
adopted since their parents ended. What the guest itself has started has the guest's label, but for an instant in what reads the
player's output.
"""

ENDED = ("X", "Z")
"""States of a process that has ended (proc(5), field 3 of stat), waited for or not."""

STOP_SECONDS = 1.0
"""How long a process may take to stop. One that waits for a disk takes longer, and starts no other meanwhile."""


def limit(process: int, limits: Limits, *, together: bool) -> None:
    """Bound a process and all that it will start; `together`: a control group bounds how many they are.

    Nothing here bounds memory: a limit of address space stops what reserves much and uses little (sanitizers, the JVM, wasm), and
    does not count files in memory.
    """
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: limits.file,
        resource.RLIMIT_NOFILE: limits.open_files,
    }
    if not together:
        # The kernel counts all processes of a uid, those of other sandboxes and of a desktop too.
        running = sum(each.name.isdigit() for each in Path("/proc").iterdir())
        bounds[resource.RLIMIT_NPROC] = running + limits.processes
    for kind, bound in bounds.items():
        hard = resource.prlimit(process, kind)[1]
        most = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.prlimit(process, kind, (most, most))


def strays() -> set[int]:
    """Processes whose owner has gone."""
    return {process for process, owner in owners() if owner.has_gone()}


def owners() -> Iterator[tuple[int, Owner]]:
    """The processes of guests, players and keepers, and whose they are."""
    for process, label in labels():
        if owner := Owner.parse(label.rpartition("/")[0]):
            yield process, owner


def labels() -> Iterator[tuple[int, str]]:
    """The processes of guests, players and keepers, by the label in their environment."""
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


def end_tree(root: int) -> tuple[bool, set[int]]:
    """Kill a child of this process, not waited for yet, with all that descends from it; returns when all of it has ended, with
    what it was. False if the child had ended before: then what it had started may be anywhere.

    Each is stopped before its children are looked for, so that none is started in between; the child last, so that what it
    adopts is found below it.
    """
    seen: set[int] = set()
    spared: set[int] = set()
    _signal(root, signal.SIGSTOP)
    _settle({root}, "RSD")
    found = _state(root) not in ENDED
    while doomed := _freeze(root, spared):
        seen |= doomed
        spared |= {each for each in doomed if not _signal(each, signal.SIGKILL)}
        _settle(doomed - spared, "RSDTtI")
    seen |= _children(root)  # that had ended already
    _signal(root, signal.SIGKILL)
    return found, seen


def reap(adopted: Collection[int]) -> None:
    """Wait for processes whose parents have gone, where this process has become their parent: as the first of a container it
    does, and they would stay in the list of processes for ever.
    """
    for each in adopted:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(each, os.WNOHANG)


def _freeze(root: int, spared: set[int]) -> set[int]:
    """Stop what descends from a process, until nothing new is found; returns all of it that has not ended."""
    frozen = {root} | spared
    while new := _below(root) - frozen:
        spared |= {each for each in new if not _signal(each, signal.SIGSTOP)}
        frozen |= new
        _settle(new - spared, "RS")
    return _below(root) - spared


def _below(root: int) -> set[int]:
    """What descends from a process and has not ended."""
    found: set[int] = set()
    waiting = [root]
    while waiting:
        below = {each for each in _children(waiting.pop()) if _state(each) not in ENDED} - found
        found |= below
        waiting += below
    return found


def _signal(process: int, number: int) -> bool:
    """False for a program that became another user: it is not ours to end."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        return False
    return True


def _settle(processes: set[int], states: str) -> None:
    """Wait a while until none of them is in one of these states."""
    deadline = time.monotonic() + STOP_SECONDS
    while any(_state(each) in states for each in processes) and time.monotonic() < deadline:
        time.sleep(0.0005)


def _state(process: int) -> str:
    """One of ENDED for a process of which no thread is left, whichever of them is the one that ended last."""
    try:
        fields = (
            Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return ENDED[0]
    return "other threads" if fields[0] in ENDED and int(fields[17]) > 1 else fields[0]


def _children(process: int) -> set[int]:
    """Those that have ended are among them, where the kernel tells the children of a process; else there is a walk."""
    if not _tells_children():
        return {each for each, parent in _parents().items() if parent == process}
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):
            with contextlib.suppress(ProcessLookupError):
                found.update(
                    map(int, Path(f"/proc/{process}/task/{thread}/children").read_text().split())
                )
    return found


@functools.cache
def _tells_children() -> bool:
    return os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")


def _line(process: int, parents: Mapping[int, int]) -> Iterator[int]:
    """The process and its ancestors."""
    while process in parents:
        yield process
        process = parents[process]


def _parents() -> dict[int, int]:
    """Each process that has not ended, and its parent."""
    found = {}
    for process in _processes():
        with contextlib.suppress(OSError):
            status = (
                Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
            )
            if status[0] not in ENDED or int(status[17]) > 1:
                found[process] = int(status[1])
    return found
