"""Fresh: nothing that a run leaves outside the sandbox survives into the next test event.

This holds for files, processes and the environment; for the same avatar's next test event and for
another avatar's; after a run that ended and after one past its limit.

One test event plants all examples and the next looks for them: four test events in all, three
seconds on Docker. What survives is removed again; on an engine that does not isolate, from the
host.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from harness.inside.layout import Avatar
from harness.runners.base import BaseRunner
from harness.runners.run import Outcome
from harness.verify.proofs.shared.processes import alive, marker
from harness.verify.proofs.shared.search import Search
from harness.verify.proofs.shared.subject import Subject, complete
from harness.verify.proofs.shared.verdict import Refuted
from harness.verify.proofs.shared.waiting import eventually

FOLDERS = (
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/dev/mqueue",
    "/run",
    "/var",
    "/home",
    "/root",
    "/etc",
    "/usr",
    "/",
    '"$HOME"',
    "..",
)
"""Folders in which a run leaves a file."""

LEAVES_PROCESSES = {
    "a process in the background": "sleep {} &",
    "a process in a session of its own": "setsid sleep {} &",
    "a process whose parent has ended": (
        "(setsid sh -c 'sleep {} & exit' >/dev/null 2>&1 </dev/null &)"
    ),
    "a process that ignores signals": (
        "(trap '' HUP INT TERM; exec nohup sleep {} >/dev/null 2>&1) &"
    ),
}

PLANT = """
for folder in {folders}; do echo 1 >"$folder/{token}"; done 2>/dev/null
ipcmk -M {size} >/dev/null 2>&1
{processes}
export {variable}=1 HOME=/{token}; umask 077; ulimit -n 64; cd /
"""

LOOK = """
for folder in {folders}; do
    [ ! -e "$folder/{token}" ] || {{ echo "a file in $folder"; rm -f "$folder/{token}"; }}
done
while read -r key id mode size rest; do
    [ "$size" != {size} ] || {{ echo "shared memory"; ipcrm -m "$id"; }}
done </proc/sysvipc/shm
for process in /proc/[0-9]*; do
    case $(tr '\\0' ' ' <"$process/cmdline") in
    {sleeps}) echo "a process"; kill -9 "${{process#/proc/}}" ;;
    esac
done 2>/dev/null
[ -z "${{{variable}+set}}" ] || echo "the environment"
echo "umask $(umask), HOME $HOME, open files $(ulimit -n), nice $(nice)" >&2
"""


@dataclass(frozen=True)
class _Case:
    """One thing that must not survive, and where it is looked for."""

    what: str
    after: str

    def __str__(self) -> str:
        return f"{self.what}, {self.after}"


AFTER = {
    "in the avatar's own next test event": False,
    "in another avatar's after a run past its limit": True,
}
"""Where survivors are looked for; True if the run that leaves them goes past its limit."""

STATE = "umask, environment and limits"

SURVIVORS: Mapping[str, str] = {
    **{f"a file in {folder}": "a file with a unique name" for folder in FOLDERS},
    "shared memory": "`ipcmk`, of a unique size",
    "the environment": "an exported variable",
    STATE: "another `umask`, HOME and current folder, and fewer open files, "
    "for the shell and its children",
    **{name: f"`{text.format('1000')}`" for name, text in LEAVES_PROCESSES.items()},
    "a process": "any of these, as the next run sees it",
}
"""What a run leaves, and how."""


def prove(subject: Subject, search: Search) -> None:
    """Refute by the first thing that survives."""
    cases = [_Case(what, after) for after in AFTER for what in SURVIVORS]
    with subject.runner(observe=False) as runner:

        @cache
        def survivors(after: str) -> Mapping[str, str]:
            return _survivors(runner, subject, AFTER[after])

        def check(case: _Case) -> None:
            if how := survivors(case.after).get(case.what):
                raise Refuted(how)

        search.listed("survivors", cases, check)


def _survivors(runner: BaseRunner, subject: Subject, too_long: bool) -> Mapping[str, str]:
    """Return what of a first test event is there in a second one, and how it shows."""
    marks = {name: marker() for name in LEAVES_PROCESSES}
    words = {
        "folders": " ".join(FOLDERS),
        "token": f"harness-proof-{secrets.token_hex(6)}",
        "variable": f"HARNESS_PROOF_{secrets.token_hex(6)}",
        "size": str(4096 + secrets.randbelow(10**6)),
        "processes": "\n".join(text.format(marks[name]) for name, text in LEAVES_PROCESSES.items()),
        "sleeps": "|".join(f"*{mark}*" for mark in marks.values()),
    }
    look: dict[str, str | bytes] = {"cyber-dojo.sh": f"#!/bin/sh\n{LOOK.format(**words)}"}
    plant = PLANT.format(**words) + ("sleep 1000\n" if too_long else "")
    avatar = subject.avatar()
    other = subject.avatar() if too_long else avatar
    before = complete(runner, other, look)
    _plant(runner, avatar, plant, too_long)
    outside = {name: "it is still running" for name, mark in marks.items() if _stays(mark)}
    runner.prepare(other)
    after = complete(runner, other, look)
    survivors = dict.fromkeys(after.stdout.splitlines(), "it is still there")
    if before.stderr != after.stderr:
        survivors[STATE] = f"{before.stderr.strip()} became {after.stderr.strip()}"
    return {**survivors, **outside}


def _stays(mark: str) -> bool:
    return not eventually(lambda: not alive(mark))


def _plant(runner: BaseRunner, avatar: Avatar, script: str, too_long: bool) -> None:
    files: dict[str, str | bytes] = {"cyber-dojo.sh": f"#!/bin/sh\n{script}"}
    if not too_long:
        complete(runner, avatar, files)
        return
    run = runner.run(avatar, files, max_seconds=1.0)
    if run.outcome is not Outcome.TIMED_OUT:
        raise Refuted(f"a run past its limit was {run.outcome}")
