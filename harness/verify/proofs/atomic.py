"""Atomic: whatever dies during a test event, the katas hold the state before it or the one after.

Either state is whole: the sandbox, the history and increments.json agree. The next test event is
an ordinary one, and nothing is left behind. As the notes say, only the visible files may have been
copied in before the run.

The proof plays a test event once and records its streams. Then it plays the test event again and
again, each time with one fault:

- The run-container or the keeper is killed, or cut off from the harness, after some byte that goes
  to one of them or comes from it.
- The harness itself, in a process of its own, is killed there.
- The keeper, or such a harness, is killed at a change that it makes to its disk, or its disk is
  full from that change on. Most of these faults are near the change that accepts the test event.

Last the power fails, on a file system that keeps renames in order. Whichever changes between two
renames have landed, the katas hold the state before or after; the newest test events may be lost
(see `proofs.power`; *durable* proves that none is).

An example costs two test events, a new keeper and a look at the katas: a second or two on Docker,
and another second if the harness dies.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar, cast

from harness.engines import Engine
from harness.inside.errors import HarnessError
from harness.katas.visible import VisibleFiles
from harness.runners.base import BaseRunner
from harness.verify.faults.breakable import FROM
from harness.verify.faults.course import Course
from harness.verify.faults.disk_faults import FULL, KILLED
from harness.verify.faults.faulty_engine import FaultyEngine
from harness.verify.faults.timed_fault import CUT, HARNESS, KEEPER, RUN, StreamPlace, TimedFault
from harness.verify.proofs.power import power_failures
from harness.verify.proofs.power.crash_model import CrashModel
from harness.verify.proofs.shared import killed_harness
from harness.verify.proofs.shared.avatar_state import (
    AvatarState,
    avatar_state,
    changed,
    holds,
    products,
)
from harness.verify.proofs.shared.search import Search
from harness.verify.proofs.shared.subject import SECONDS, Subject, complete
from harness.verify.proofs.shared.verdict import OwnKind, Refuted
from harness.verify.proofs.shared.waiting import eventually

STREAMS, DEATHS = 12, 6
"""Faults that are tried by default: in the streams, and deaths of the harness there."""

NEAR = 2
"""Changes of the disk before and after acceptance at which faults are tried by default."""

DISKS = 8
"""Other changes of the disk that are tried for each multiple of the default effort."""

_STATES = 1000
"""Power failures that are tried by default; one costs a hundredth of a test event."""

_SAID = 4000
"""Bytes that a run prints in the middle of its work, which leaves time to kill it."""

PARTS, LONG = 8, 1000
"""Into how many parts a turn is split by default, and the bytes that it must have for that."""

FIRST = 1000
"""The number before the first edit; all have four digits, so every test event has equal bytes."""

_EDITS = 20
"""Test events that an avatar plays before another one takes over."""

BIG = 400_000
"""Bytes of a product: enough to arrive in several pieces."""

_SCRIPT = f"""#!/bin/sh
was=$(cat product/number 2>/dev/null)
edit=$(cat edit)
mkdir -p product
rm -rf product/new.* swap
echo "$edit" >product/number
echo "$edit" >"product/new.$edit"
echo "$was then $edit"
head -c {_SAID} /dev/zero | tr '\\0' .
sleep 0.05
if [ $((edit % 2)) = 0 ]; then mkdir swap; echo 1 >swap/inside; else echo 1 >swap; fi
yes "$edit" | head -c {BIG} >product/big
"""
"""Changes what it finds in every way: contents, names, and a file that becomes a folder."""

_Item = TypeVar("_Item")


def prove(subject: Subject, search: Search) -> None:
    """Refute by a fault that leaves another state, or after which the next test event fails."""
    engine = FaultyEngine(subject.engine)
    with replace(subject, engine=cast(Engine, engine)).runner(observe=False) as runner:
        game = _Game(subject, engine, runner)
        search.listed(
            "faults", game.faults(search.effort.factor), game.check, parse=TimedFault.parse
        )
    with contextlib.suppress(OwnKind):
        power_failures.tried(
            subject, search, CrashModel.ORDERED, states=round(_STATES * search.effort.factor)
        )


class _Game:
    """One avatar, and its test events."""

    def __init__(self, subject: Subject, engine: FaultyEngine, runner: BaseRunner) -> None:
        self.subject, self.engine, self.runner = subject, engine, runner
        self.avatar = subject.avatar()
        self.edit = FIRST
        # None if it is not known.
        self.now: AvatarState | None = None
        self.files = _files(FIRST)
        # Whether the last test event with a fault was accepted.
        self.accepted = False
        # Whether the katas keep what a run makes.
        self.keeps = False
        # How many traces the engine has between two test events.
        self.settled = 0

    def begin(self) -> None:
        """Play the first two test events of an avatar, and take a new avatar now and then.

        A long history takes long to read. The first test event finds no product; the second finds
        one of another type.
        """
        if self.edit > FIRST + _EDITS:
            self.avatar, self.edit, self.now = self.subject.avatar(), FIRST, None
            self.files = _files(FIRST)
        if self.edit == FIRST:
            self.play()
            self.play()
            self.keeps = bool(products(self.state().sandbox, self.files))
            self.settled = len(self.runner.engine.traces())

    def state(self) -> AvatarState:
        with contextlib.suppress(HarnessError):
            # What stands by for the next test event is not left over; reading needs a keeper too.
            self.runner.prepare(self.avatar)
        return avatar_state(self.runner.katas, self.avatar)

    def play(self) -> str:
        """Play an ordinary test event and return what it printed."""
        self.edit, self.now = self.edit + 1, None
        self.files = _files(self.edit)
        return complete(self.runner, self.avatar, self.files).stdout

    def faults(self, factor: float) -> Iterator[TimedFault]:
        """Yield faults, spread evenly over a recorded test event."""
        self.begin()
        with self.engine.recording() as course:
            self.play()
        self.play()
        parts = PARTS if factor <= 1 else PARTS * 4
        yield from _half_a_tree(course)
        yield from _spread(list(_in_the_streams(course, parts)), round(STREAMS * factor))
        yield from self._at_the_disk(KEEPER, course.changes, factor)
        if not killed_harness.can_play(self.subject, self.runner):
            return
        deaths = [TimedFault(HARNESS, KILLED, place) for _, place in _places(course, parts)]
        yield from _spread(deaths, round(DEATHS * factor))
        self.edit, self.now = self.edit + 1, None
        self.files = _files(self.edit)
        told = killed_harness.play_with_fault(
            self.subject, self.runner, self.avatar, _plain(self.files), None
        )
        if told is None or told.outcome != "completed":
            why = told.reason if told else "killed"
            raise Refuted(f"a test event of another process was not completed: {why}")
        yield from self._at_the_disk(HARNESS, told.changes, factor)

    def _at_the_disk(self, whom: str, changes: int, factor: float) -> Iterator[TimedFault]:
        """Find the change that accepts the test event by halving, then try the changes near it.

        Mistakes in acceptance show there. Other changes are tried only with more effort.
        """
        # `early` is too early to be accepted; `late` is late enough.
        early, late = 0, changes + 1
        killed = set()
        while late - early > 1:
            change = (early + late) // 2
            killed.add(change)
            yield TimedFault(whom, KILLED, change=change)
            early, late = (early, change) if self.accepted else (change, late)
        reach = NEAR if factor >= 1 else 1
        near = range(max(1, late - reach), min(changes, late + reach) + 1)
        yield from (
            TimedFault(whom, KILLED, change=change) for change in near if change not in killed
        )
        yield from (TimedFault(whom, FULL, change=change) for change in near)
        if factor > 1:
            everywhere = [
                TimedFault(whom, action, change=change + 1)
                for change in range(changes)
                for action in (KILLED, FULL)
            ]
            yield from _spread(everywhere, round(DISKS * factor))

    def check(self, fault: TimedFault) -> None:
        self.begin()
        before, old = self.now or self.state(), self.files
        self.now = None
        self.edit += 1
        sent = _files(self.edit)
        reported = self._strike(fault, sent)
        after = self.state()
        self.accepted = after.tag > before.tag
        if after.tag == before.tag:
            if reported:
                raise Refuted("the test event was reported as accepted, and is not")
            if difference := changed(before, after, old, sent):
                raise Refuted(f"the test event was not accepted, but {difference}")
        elif after.commits[:-1] == before.commits:
            if difference := self._incomplete(after, sent):
                raise Refuted(f"the test event was accepted, but {difference}")
        else:
            raise Refuted(f"the tag {before.tag} became {after.tag}")
        self._next(before if after.tag == before.tag else after)

    def _strike(self, fault: TimedFault, sent: VisibleFiles) -> bool:
        """Play the test event with the fault; return whether it was reported as accepted."""
        if fault.victim == HARNESS:
            before = set(self.subject.engine.leftovers())
            told = killed_harness.play_with_fault(
                self.subject, self.runner, self.avatar, _plain(sent), fault
            )
            if told and told.outcome == "broken":
                raise Refuted(f"the harness broke off: {told.reason}")
            self._sweep(before)
            return told is not None and told.outcome == "completed"
        with self.engine.armed(fault):
            try:
                run = self.runner.run(self.avatar, sent, max_seconds=SECONDS)
            except HarnessError:
                return False
            finally:
                if fault.action == FULL:
                    # Wait until the keeper with the full disk has tidied up.
                    with contextlib.suppress(HarnessError):
                        self.runner.katas.list()
        return run.tag is not None

    def _sweep(self, before: set[str]) -> None:
        left = set(self.subject.engine.leftovers()) - before
        self.subject.engine.sweep()
        if not eventually(lambda: not left & set(self.subject.engine.leftovers())):
            raise Refuted(f"it left behind what is not swept: {', '.join(sorted(left))}")

    def _incomplete(self, after: AvatarState, sent: VisibleFiles) -> str:
        for name, file in sent.items():
            entry = after.sandbox.get(name)
            if not entry or not holds(entry, file.read()):
                return f"{name!r} is not as it was sent"
        expected = _made(self.edit) if self.keeps else {}
        found = products(after.sandbox, sent)
        for path in sorted({*expected, *found}):
            if path not in found or path not in expected or not expected[path](found[path]):
                return f"{path!r} is not as the run left it"
        return ""

    def _next(self, was: AvatarState) -> None:
        """Play an ordinary test event, which must find the state `was`."""
        number = was.sandbox.get(b"product/number")
        printed = self.play().partition("\n")[0]
        found = [
            edit for edit in range(FIRST, self.edit) if number and holds(number, b"%d\n" % edit)
        ]
        expected = f"{found[0] if found else ''} then {self.edit}"
        if printed != expected:
            raise Refuted(f"the next test event printed {printed!r} instead of {expected!r}")
        state = self.state()
        if state.tag != was.tag + 1:
            raise Refuted(f"the next test event got the tag {state.tag} after {was.tag}")
        if difference := self._incomplete(state, self.files):
            raise Refuted(f"after the next test event {difference}")
        self.now = state
        if not eventually(lambda: len(self.runner.engine.traces()) <= self.settled):
            raise Refuted(f"it left behind: {', '.join(self.runner.engine.traces())}")


def _files(edit: int) -> VisibleFiles:
    return VisibleFiles(
        {"cyber-dojo.sh": _SCRIPT, "edit": f"{edit}\n", f"source.{edit}": "1" * 5000}
    )


def _plain(files: VisibleFiles) -> dict[str, str | bytes]:
    return {name.decode(): file.read() for name, file in files.items()}


def _made(edit: int) -> dict[bytes, Callable[..., bool]]:
    """Return a check for each path that the run leaves."""
    line = b"%d\n" % edit
    contents = {
        b"product/number": line,
        b"product/new.%d" % edit: line,
        b"product/big": (line * (BIG // len(line) + 1))[:BIG],
        (b"swap/inside" if edit % 2 == 0 else b"swap"): b"1\n",
    }
    folders = [b"product"] + ([b"swap"] if edit % 2 == 0 else [])
    return {
        **{
            path: lambda entry, content=content: holds(entry, content)
            for path, content in contents.items()
        },
        **{path: lambda entry: entry.kind == "d" for path in folders},
    }


def _places(course: Course, parts: int) -> Iterator[tuple[int, StreamPlace]]:
    """Yield places in the streams, each with the number of its turn.

    They are the first and the last byte of each turn, and bytes that split a long turn.
    """
    for number, turn in enumerate(course.turns):
        size = turn.end - turn.start
        between = (
            {turn.start + size * part // parts for part in range(1, parts)}
            if size > LONG
            else set()
        )
        for byte in sorted({turn.start + 1, *between, turn.end}):
            yield number, StreamPlace(turn.stream, turn.way, byte)


def _half_a_tree(course: Course) -> Iterator[TimedFault]:
    """Yield a cut in the middle of the returning tree: the mistake that is made most often."""
    turns = [turn for turn in course.turns if (turn.stream, turn.way) == (RUN, FROM)]
    if turns:
        longest = max(turns, key=lambda turn: turn.end - turn.start)
        yield TimedFault(RUN, CUT, StreamPlace(RUN, FROM, (longest.start + longest.end) // 2))


def _in_the_streams(course: Course, parts: int) -> Iterator[TimedFault]:
    """Yield every fault that can happen at each place, each time in another order."""
    for number, (turn, place) in enumerate(_places(course, parts)):
        happens = [
            (whom, action)
            for whom in (RUN, KEEPER)
            for action in (KILLED, CUT)
            if course.opened.get(whom, turn + 1) <= turn
        ]
        for first in range(len(happens)):
            yield TimedFault(*happens[(first + number) % len(happens)], place)


def _spread(items: Sequence[_Item], most: int) -> list[_Item]:
    """Return at most `most` of the items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(number * (len(items) - 1) / max(1, most - 1))] for number in range(most)]
