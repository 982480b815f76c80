"""One fault of a test event, as a value that can be written down and read again."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.inside.errors import UsageError
from harness.verify.faults.breakable import FROM, TO
from harness.verify.faults.disk_faults import FULL, KILLED

RUN, KEEPER, HARNESS = "run-container", "keeper", "harness"
"""The victims."""

CUT, STOPPED, REMOVED = "cut off", "stopped", "removed"
"""What happens to one, besides the words of `disk_faults`. Cut off: it lives, and nothing reaches
it. Stopped or removed: by others, through the engine.
"""

_WORDS = re.compile(
    rf"the (?P<victim>{RUN}|{KEEPER}|{HARNESS}) is (?P<action>{KILLED}|{CUT}|{FULL}) "
    rf"(?:at byte (?P<byte>\d+) (?P<way>{TO}|{FROM}) the (?P<stream>{RUN}|{KEEPER})"
    rf"|at change (?P<change>\d+) of its disk)"
)


@dataclass(frozen=True)
class StreamPlace:
    """A byte of what goes to a container, or comes from it, in one test event."""

    # RUN or KEEPER.
    stream: str
    # TO or FROM.
    way: str
    # Counted from the start of the test event.
    byte: int


@dataclass(frozen=True)
class TimedFault:
    """One fault: its victim, what happens, and when.

    The fault comes after `place`, or before change number `change` (from 1) of the victim's disk.
    """

    # RUN, KEEPER or HARNESS.
    victim: str
    # KILLED, CUT or FULL.
    action: str
    place: StreamPlace | None = None
    change: int = 0

    def __str__(self) -> str:
        when = (
            f"byte {self.place.byte} {self.place.way} the {self.place.stream}" if self.place else ""
        )
        return (
            f"the {self.victim} is {self.action} at {when or f'change {self.change} of its disk'}"
        )

    @classmethod
    def parse(cls, words: str) -> TimedFault:
        """Return the fault that `str(fault)` wrote. Raises UsageError for any other text."""
        found = _WORDS.fullmatch(words)
        if not found:
            raise UsageError(f"{words!r} is not a fault: copy the token whole")
        if found["change"]:
            return cls(found["victim"], found["action"], change=int(found["change"]))
        return cls(
            found["victim"],
            found["action"],
            StreamPlace(found["stream"], found["way"], int(found["byte"])),
        )
