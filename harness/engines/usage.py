"""What the processes of a run-container have used: the shell words that ask for it, and their answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

CONTROL_GROUP = """
group=/sys/fs/cgroup
if [ -e $group/cpu.stat ]; then
    while read -r name value; do [ $name != usage_usec ] || echo "processor ${value}000"; done <$group/cpu.stat
    echo "memory $(cat $group/memory.peak)"
else
    echo "processor $(cat $group/cpuacct/cpuacct.usage)"
    echo "memory $(cat $group/memory/memory.max_usage_in_bytes)"
fi"""
"""Where the container has control groups of its own, of version 2 or 1."""

CHILDREN = "times"
"""Elsewhere: the processes that the guest has waited for, to a hundredth of a second; nobody counts their memory."""

_WORDS = re.compile(rb"(processor|memory) (\d+)")
_TIMES = re.compile(rb"(\d+)m(\d+(?:\.\d+)?)s")


@dataclass(frozen=True)
class Usage:
    """What was used so far; None where it is not counted."""

    processor_ns: int | None = None
    memory: int | None = None  # bytes at most at once, of all processes together, with the files of a tmpfs

    @classmethod
    def parse(cls, answer: bytes) -> Usage:
        """From what CONTROL_GROUP or CHILDREN printed."""
        words = {word: int(number) for word, number in _WORDS.findall(answer)}
        if times := _TIMES.findall(answer):
            seconds = sum(int(minutes) * 60 + float(rest) for minutes, rest in times)
            return cls(processor_ns=round(seconds * 1e9))
        return cls(words.get(b"processor"), words.get(b"memory"))
