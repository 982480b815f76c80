"""What the processes of a run-container have used: the shell words that ask for it, and their answer."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

_COUNT = 'read -r value <{file} && echo "{word} $value"'
_FIND = (
    'while read -r name value; do [ $name != {name} ] || echo "{word} $value{zeros}"; done <{file}'
)
# All of it built into the shell: a run may have left no process to be had.


def group_usage(unified: str, memory: str = "", processor: str = "") -> str:
    """Shell words for a control group in the folder `unified`, of version 2, or else in those two of version 1."""
    if unified:
        words = (
            _FIND.format(
                name="usage_usec",
                word="processor",
                zeros="000",
                file=shlex.quote(f"{unified}/cpu.stat"),
            ),
            _COUNT.format(word="memory", file=shlex.quote(f"{unified}/memory.peak")),
            _FIND.format(
                name="oom_kill",
                word="killed",
                zeros="",
                file=shlex.quote(f"{unified}/memory.events"),
            ),
        )
    else:
        words = (
            _COUNT.format(word="processor", file=shlex.quote(f"{processor}/cpuacct.usage")),
            _COUNT.format(word="memory", file=shlex.quote(f"{memory}/memory.max_usage_in_bytes")),
            _FIND.format(
                name="oom_kill",
                word="killed",
                zeros="",
                file=shlex.quote(f"{memory}/memory.oom_control"),
            ),
        )
    return "\n".join(words)


_HERE = "/sys/fs/cgroup"

CONTAINER = f"""
if [ -e {_HERE}/cpu.stat ]; then
{group_usage(_HERE)}
else
{group_usage("", f"{_HERE}/memory", f"{_HERE}/cpuacct")}
fi"""
"""Where the container sees its own control groups, of version 2 or 1."""

CHILDREN = "times"
"""Elsewhere: the processes that the guest has waited for, to a hundredth of a second; nobody counts their memory."""

_WORDS = re.compile(rb"(processor|memory|killed) (\d+)")
_TIMES = re.compile(rb"(\d+)m(\d+(?:\.\d+)?)s")


@dataclass(frozen=True)
class ResourceUsage:
    """What was used so far; None where it is not counted."""

    processor_ns: int | None = None
    memory: int | None = (
        None  # bytes at most at once, of all processes together, with the files of a tmpfs
    )
    killed: int | None = (
        None  # processes that the kernel killed because all together wanted more memory than they may
    )

    @classmethod
    def parse(cls, answer: bytes) -> ResourceUsage:
        """From what the words of a control group or CHILDREN printed."""
        words = {word: int(number) for word, number in _WORDS.findall(answer)}
        if times := _TIMES.findall(answer):
            seconds = sum(int(minutes) * 60 + float(rest) for minutes, rest in times)
            return cls(processor_ns=round(seconds * 1e9))
        return cls(words.get(b"processor"), words.get(b"memory"), words.get(b"killed"))
