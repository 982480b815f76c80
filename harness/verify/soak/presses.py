"""Draws what an avatar does in its n-th test event, and which fault happens.

A press depends only on the seed, the number of the player and n. So the same seed plays the same
again, whatever came of the events before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from harness.engines import Engine
from harness.inside.layout import printable_name
from harness.verify.faults.disk_faults import FULL, KILLED
from harness.verify.faults.timed_fault import HARNESS, KEEPER, REMOVED, RUN, STOPPED
from harness.verify.testing.sessions import (
    APPEND,
    FOLDER,
    HARD,
    LINKS,
    MODE,
    MOVE,
    REMOVE,
    RENAME,
    SPARSE,
    TOUCH,
    WRITE,
    Change,
)
from harness.verify.testing.strategies import PLACES

LIFE = 60
"""Test events of an avatar before another takes its place: first presses are worth playing."""

ROOMS = (*PLACES, b"b/y", b"e/f/g")
"""Paths of edits and deeds: so few that one is soon in the way of another."""

_FOLDERS = (b"a", b"b", b"e", b"a/x", b"e/f")

SOURCES = (b"p/1.txt", b"p/2.txt")
"""What the product is made of; most edits keep the size of these files."""

FUTURE = (b"2191-02-03 04:05:06.987654321", b"+1 hour", b"+2 seconds")
PAST = (b"1999-12-31 23:59:59.123456789", b"-1 hour")


class Ending(StrEnum):
    """How a run ends."""

    PASSES = "passes"
    # With exit status 3.
    FAILS = "fails"
    # Before it has done anything.
    LEAVES = "leaves at once"
    # Past the limit.
    HANGS = "hangs"


class SoakFault(StrEnum):
    """What goes wrong in a test event, or just before it."""

    HARNESS_KILLED = f"{HARNESS} {KILLED}"
    RUN_KILLED = f"{RUN} {KILLED}"
    RUN_STOPPED = f"{RUN} {STOPPED}"
    RUN_REMOVED = f"{RUN} {REMOVED}"
    KEEPER_KILLED = f"{KEEPER} {KILLED}"
    KEEPER_STOPPED = f"{KEEPER} {STOPPED}"
    KEEPER_REMOVED = f"{KEEPER} {REMOVED}"
    IDLE_KILLED = f"{KEEPER} {KILLED} while it was idle"
    DISK_FULL = "disk full"

    @property
    def victim(self) -> str:
        """Whom it strikes, in the words of `harness.verify.faults`; the disk is a keeper's."""
        return KEEPER if self is SoakFault.DISK_FULL else self.partition(" ")[0]

    @property
    def action(self) -> str:
        """What happens to the victim."""
        return FULL if self is SoakFault.DISK_FULL else self.split(" ")[1]


def possible_faults(engine: Engine, *, keepers: bool) -> Sequence[SoakFault]:
    """Return the faults that can happen on this engine; `keepers`: whether the runner has some."""
    return [
        fault
        for fault in SoakFault
        if (keepers or fault.victim != KEEPER) and (engine.removable or fault.action != REMOVED)
    ]


@dataclass(frozen=True)
class PressPlan:
    """One test event, as it was drawn."""

    # Of the player, from 0.
    number: int
    # Whether the same files are sent once more.
    again: bool = False
    edits: Sequence[Change] = ()
    deeds: Sequence[Change] = ()
    # Sources that the run makes anew before make looks at them.
    before: Sequence[bytes] = ()
    # What the run touches after the build, and with which date.
    late: Sequence[tuple[bytes, bytes]] = ()
    ending: Ending = Ending.PASSES
    # Whether gcc builds something too.
    compiles: bool = False
    fault: SoakFault | None = None
    # When the fault comes, as a part of the time that a test event takes.
    moment: float = 0.0
    # The change of the keeper's disk from which on it is full.
    change: int = 0
    # Whether the references of the history are packed before it.
    packs: bool = False
    # Whether it is the first of its avatar.
    fresh: bool = False
    # Seeds the stamps in the player's folder.
    stamps: int = 0

    def __str__(self) -> str:
        said = [f"the player {change}" for change in self.edits]
        said += [f"the run {change}" for change in self.deeds]
        said += [f"the run makes {printable_name(path)} anew" for path in self.before]
        said += [
            f"the run touches {printable_name(path)} with {date.decode()}"
            for path, date in self.late
        ]
        if self.packs:
            said.insert(0, "references are packed")
        if self.again:
            said.append("the same is sent again")
        if self.fault:
            said.append(f"{self.fault} at {self.moment:.2f}")
        return ", ".join([*said, f"it {self.ending}"])


def draw(
    seed: str,
    player: int,
    number: int,
    faults: Sequence[SoakFault],
    *,
    cheap: bool,
    folder: bool = False,
) -> PressPlan:
    """Draw the test event of this number.

    With `cheap`, a real build takes a tenth of a second or so. With `folder`, the player has a
    folder, which may have empty folders in it.
    """
    random = Random(f"{seed}/{player}/{number}")
    fresh = number % LIFE == 0
    again = not fresh and random.random() < 0.15
    fault = random.choice(list(faults)) if faults and random.random() < 0.08 and not fresh else None
    ending = (
        Ending.PASSES if fresh else random.choices(list(Ending), (88, 6, 3, 0 if fault else 3))[0]
    )
    quiet = again or random.random() < 0.2
    late: list[tuple[bytes, bytes]] = []
    if random.random() < 0.1:
        late.append((random.choice((b"p/product", *SOURCES)), random.choice(FUTURE)))
    return PressPlan(
        number,
        again,
        []
        if again
        else [_edit(random, folder=folder) for _ in range(random.choice((0, 1, 1, 2, 4)))],
        [] if quiet else [deed(random) for _ in range(random.choice((0, 1, 2, 4)))],
        [random.choice(SOURCES)] if not quiet and random.random() < 0.1 else [],
        [] if quiet else late,
        ending,
        compiles=random.random() < (0.02 if cheap else 0.005),
        fault=fault,
        moment=random.random() * 1.2,
        change=random.randrange(1, 40),
        packs=not fresh and random.random() < 0.04,
        fresh=fresh,
        stamps=random.randrange(1 << 30),
    )


def _edit(random: Random, *, folder: bool) -> Change:
    """Draw what a player does; about two edits in three change what the product is made of."""
    digits = b"%03d\n" % random.randrange(1000)
    if random.random() < 0.6:
        return Change(WRITE, random.choice(SOURCES), digits)
    verb = random.choice(
        (WRITE, WRITE, REMOVE, MOVE, LINKS, MODE, RENAME, *((FOLDER,) if folder else ()))
    )
    if verb == RENAME:
        return Change(verb, random.choice(_FOLDERS), random.choice((b"e", b"renamed", b"b")))
    other = {
        WRITE: random.choice((b"", digits, digits * 20)),
        LINKS: random.choice((b"a", b"b", b"nowhere")),
        MOVE: random.choice(ROOMS),
    }.get(verb, b"")
    return Change(verb, random.choice(ROOMS), other)


def deed(random: Random) -> Change:
    """Draw what a run does in its sandbox."""
    # No content of an edit has this size.
    digits = b"run %05d\n" % random.randrange(10**5)
    verb = random.choice(
        (WRITE, WRITE, REMOVE, MOVE, RENAME, LINKS, FOLDER, HARD, APPEND, SPARSE, TOUCH, MODE)
    )
    path = random.choice(ROOMS)
    if verb == RENAME:
        return Change(
            verb, random.choice(_FOLDERS), random.choice((b"e", b"renamed", b"c", b"b/z"))
        )
    other = {
        WRITE: random.choice((b"", digits, digits * 50)),
        APPEND: digits,
        SPARSE: digits,
        LINKS: random.choice((b"a", b"b", b"nowhere", b"/nowhere")),
        MOVE: random.choice(ROOMS),
        HARD: random.choice(ROOMS),
        TOUCH: random.choice((*FUTURE, *PAST)),
        MODE: random.choice((b"600", b"755", b"640", b"4711", b"2755")),
    }.get(verb, b"")
    return Change(verb, path, other)
