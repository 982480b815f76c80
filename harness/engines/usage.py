"""The resources that a run-container has used: shell words that print them, and a parser."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

_COUNT = 'read -r value <{file} && echo "{word} $value"'
_FIND = (
    'while read -r name value; do [ $name != {name} ] || echo "{word} $value{zeros}"; done <{file}'
)
# Shell builtins only: after a run, there may be no process left to fork.


def group_usage(unified: str, memory: str = "", processor: str = "") -> str:
    """Return shell words that print the usage of a control group.

    `unified` is its folder in version 2; `memory` and `processor` are its folders in version 1.
    """
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
"""Shell words that print the usage of the container that they run in, for both versions."""

CHILDREN = "times"
"""Shell words for where there is no control group. They print the processor time of the processes
that the guest has waited for, to 10 ms, and no memory.
"""

_WORDS = re.compile(rb"(processor|memory|killed) (\d+)")
_TIMES = re.compile(rb"(\d+)m(\d+(?:\.\d+)?)s")


@dataclass(frozen=True)
class ResourceUsage:
    """What was used so far. None: not counted here."""

    processor_ns: int | None = None
    """Nanoseconds of processor time."""

    memory: int | None = None
    """Peak bytes of memory, all processes together, with the files of a tmpfs."""

    killed: int | None = None
    """Processes that the kernel killed because the run-container reached its memory limit."""

    @classmethod
    def parse(cls, answer: bytes) -> ResourceUsage:
        """Parse what the words of `group_usage`, or CHILDREN, printed."""
        words = {word: int(number) for word, number in _WORDS.findall(answer)}
        if times := _TIMES.findall(answer):
            seconds = sum(int(minutes) * 60 + float(rest) for minutes, rest in times)
            return cls(processor_ns=round(seconds * 1e9))
        return cls(words.get(b"processor"), words.get(b"memory"), words.get(b"killed"))
