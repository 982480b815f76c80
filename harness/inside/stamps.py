"""Which stamps an edit gets, so that make neither misses it nor compiles more than it would in place.

- A first test event keeps the stamps of the player's folder; one ahead of the clock is brought to it.
- Later, what changed is stamped later than all that is in the sandbox, since anything there may depend on it, and in the order
  of the player's stamps: an object that was made on the player's machine from the source beside it stays the newer one.
- Files without a stamp, from a browser, are all of one age, the newest.

All stamps are nanoseconds since 1970.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

REALTIME_COARSE = 5
"""The clock that the kernel stamps files from (linux/time.h); Python does not name it."""

TICK_NS = 20_000_000
"""The kernel stamps files from a clock that moves every 4 ms, up to 10 on slow kernels; twice that is waited
for.
"""


class Moved(NamedTuple):
    """A stamp that was ahead of the clock."""

    to: int
    back: int  # what it was


Ahead = dict[bytes, Moved]
"""What was brought back to the clock, by its path in the sandbox."""


def file_time() -> int:
    """Now, in nanoseconds since 1970, as the kernel would stamp a file: a few milliseconds behind other clocks."""
    return time.clock_gettime_ns(REALTIME_COARSE)


def is_ahead(stamp: int) -> bool:
    """Whether it is further ahead of the clock than to wait for."""
    return stamp - file_time() > TICK_NS


def next_stamp(latest: int) -> int:
    """A stamp later than `latest`: now, if need be after the clock's next tick; else the next nanosecond."""
    deadline = time.monotonic_ns() + TICK_NS
    while (now := file_time()) <= latest:
        if latest - now > TICK_NS or time.monotonic_ns() > deadline:
            return latest + 1  # from a clock that runs ahead
        time.sleep(0.0005)
    return now


def in_order(ages: Mapping[bytes, int | None], latest: int) -> dict[bytes, int]:
    """A stamp for each name, later than `latest`, in the order of their ages, where None is the newest; equal ages get equal
    stamps. The newest is now.
    """
    return up_to(next_stamp(latest + len({*ages.values()} - {None})), ages)


def up_to(now: int, ages: Mapping[bytes, int | None]) -> dict[bytes, int]:
    """The same, where the newest of them all is `now`."""
    known = sorted({age for age in ages.values() if age is not None})
    rank: dict[int | None, int] = {age: place for place, age in enumerate(known)}
    rank[None] = len(known)
    last = max((rank[age] for age in ages.values()), default=0)
    return {name: now - last + rank[age] for name, age in ages.items()}


def as_sent(ages: Mapping[bytes, int | None], now: int) -> dict[bytes, int]:
    """Their own ages as stamps; those that have none, or one after `now`, come next, in their order, up to the clock."""
    past = {name: age for name, age in ages.items() if age is not None and age <= now}
    rest = {name: age for name, age in ages.items() if name not in past}
    return {**past, **in_order(rest, max(past.values(), default=0))}
