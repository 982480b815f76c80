"""Which stamps the visible files get, so that make neither misses an edit nor compiles too much.

- In a first test event, files keep the stamps of the player's folder. Stamps ahead of the clock are
  moved back to it.
- In later ones, what changed is stamped later than everything in the sandbox, because anything
  there may depend on it. Edits keep the order of the player's stamps: an object that was built on
  the player's machine stays newer than its source.
- An edit that is older in the player's folder than an unchanged file stays the older one where it
  may be the product: see `against_time`.
- Files without a stamp, from a browser, all have the same age, the newest.

All stamps are nanoseconds since 1970.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from harness.inside.delta import Delta
from harness.inside.sent_record import Record, Sent

_REALTIME_COARSE = 5
"""The clock that the kernel stamps files with (linux/time.h); Python has no name for it."""

TICK_NS = 20_000_000
"""Twice the longest tick of the kernel's clock for files, in nanoseconds.

That clock moves every 4 ms, or every 10 ms on slow kernels.
"""


class Moved(NamedTuple):
    """A stamp that was ahead of the clock."""

    to: int
    """The stamp that it was given instead, in nanoseconds."""
    back: int
    """The stamp that it had before, in nanoseconds."""


Ahead = dict[bytes, Moved]
"""What was moved back to the clock, by its path in the sandbox."""


def file_time() -> int:
    """Return the time with which the kernel would stamp a file now.

    It is a few milliseconds behind other clocks.
    """
    return time.clock_gettime_ns(_REALTIME_COARSE)


def is_ahead(stamp: int) -> bool:
    """Return whether a stamp is further ahead of the clock than a tick."""
    return stamp - file_time() > TICK_NS


def _next_stamp(latest: int) -> int:
    """Return a stamp later than `latest`: the present time if possible, else the next nanosecond.

    Waits for the clock's next tick if that is enough.
    """
    deadline = time.monotonic_ns() + TICK_NS
    while (now := file_time()) <= latest:
        if latest - now > TICK_NS or time.monotonic_ns() > deadline:
            # `latest` comes from a clock that runs ahead.
            return latest + 1
        time.sleep(0.0005)
    return now


def in_order(ages: Mapping[bytes, int | None], latest: int) -> dict[bytes, int]:
    """Return a stamp later than `latest` for each name, in the order of their ages.

    The age None is the newest, and equal ages get equal stamps. The newest stamp is the present
    time.
    """
    return up_to(_next_stamp(latest + len({*ages.values()} - {None})), ages)


def up_to(now: int, ages: Mapping[bytes, int | None]) -> dict[bytes, int]:
    """Return stamps in the order of the ages, of which the newest is `now`."""
    known = sorted({age for age in ages.values() if age is not None})
    rank: dict[int | None, int] = {age: place for place, age in enumerate(known)}
    rank[None] = len(known)
    last = max((rank[age] for age in ages.values()), default=0)
    return {name: now - last + rank[age] for name, age in ages.items()}


def as_sent(ages: Mapping[bytes, int | None], now: int) -> dict[bytes, int]:
    """Return the ages themselves as stamps.

    Files that have no age, or one after `now`, follow in order, up to the clock.
    """
    past = {name: age for name, age in ages.items() if age is not None and age <= now}
    rest = {name: age for name, age in ages.items() if name not in past}
    return {**past, **in_order(rest, max(past.values(), default=0))}


class AgainstTime(NamedTuple):
    """The files that need other stamps than the newest for each edit."""

    older: dict[bytes, int]
    """The stamp of each edit that stays older than its sources."""
    newer: dict[bytes, int]
    """The age of each unchanged file that is stamped with the edits."""


def against_time(
    edits: Mapping[bytes, int | None],
    made: Mapping[bytes, int],
    sent: Record,
    ages: Mapping[bytes, int],
) -> AgainstTime:
    """Find the edits that are older in the player's folder than an unchanged file, as make sees it.

    `edits` are ages by name. `made` has the stamps of the files that they replace, as far as only
    runs wrote those so far. `ages` are those of the unchanged files. There are two cases:

    - An edit replaces a file that a run made, and is older than that or than a source: an object
      from a cache. It is stamped before every source that it is older than, so make builds it
      again.
    - A source was touched after an edit: the player built, then took an edit of the source back.
      The source is stamped after the edit, its product.

    If every unchanged file has a new stamp, the folder was written anew, say by a clone. Then the
    second case cannot be told, and an object is older than the sources only if it is older than all
    of them.
    """
    known = {name: age for name, age in edits.items() if age is not None}
    before = {name: sent[name] for name in ages if name in sent}
    if not known or not before:
        return AgainstTime({}, {})
    touched = {name for name, file in before.items() if file.age != ages[name]}
    seen = {name: ages[name] if name in touched else _age(file) for name, file in before.items()}
    anew = len(touched) == len(before)
    bound = min(seen.values()) if anew else max(seen.values())
    older = {}
    for name in made.keys() & known.keys():
        age = known[name]
        if age < bound:
            stamps = (before[source].stamp for source, other in seen.items() if other > age)
            older[name] = min(age, min(stamps) - 1)
        elif age < made[name]:
            older[name] = age
    oldest = min((age for name, age in known.items() if name not in older), default=None)
    newer = (
        {}
        if anew or oldest is None
        else {name: ages[name] for name in touched if oldest < ages[name]}
    )
    return AgainstTime(older, newer)


def _age(file: Sent) -> int:
    """Return its age; a source that was ahead of the clock is as old as the press that sent it."""
    return file.stamp if file.age is None else min(file.age, file.stamp)


def still_sent(record: Record, delta: Delta) -> dict[bytes, Sent]:
    """Return what stays in the record after this delta, with the ages of now.

    What is left out from now on stays too: the player may remove it, or send it again.
    """
    deleted, released, unchanged = {*delta.deleted}, {*delta.released}, {*delta.unchanged}
    return {
        name: file._replace(
            age=delta.ages.get(name, file.age),
            left_out=name in released or (file.left_out and name not in unchanged),
        )
        for name, file in record.items()
        if name not in deleted
    }
