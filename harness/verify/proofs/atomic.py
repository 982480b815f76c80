"""Atomic: at whatever moment of a test event something dies, the katas are the state before it or the state after it, whole:
the sandbox, the history and increments.json agree. The next test event is an ordinary one, and nothing is left behind. Only
the visible files, as the notes say, may have been copied in before the run.

A test event is played once and listened to. Then it is played again and again, and each time the run-container or the keeper
is killed, or the harness is cut off from it, after some byte that goes to one of them or comes from it; the harness itself is
killed there, in a process of its own; and the keeper, or such a harness, is killed at a change that it makes to its disk, or
finds that disk full from there on, most of all around the change that accepts the test event.

Last the power fails, on a file system that keeps renames in order: whatever landed of what lies between two of them, the katas
are the state before or after, the newest test events lost or not (see `proofs.power`; that none is lost is *durable*).

An example costs two test events, a keeper to be replaced and a look at the katas: on Docker a second or two, and another one
where the harness dies.
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
from harness.verify.proofs.faults import killed_harness
from harness.verify.proofs.faults.disk_faults import FULL, KILLED
from harness.verify.proofs.faults.faulty_engine import (
    CUT,
    FROM,
    HARNESS,
    KEEPER,
    RUN,
    Course,
    FaultyEngine,
    StreamPlace,
    TimedFault,
)
from harness.verify.proofs.power import power_failures
from harness.verify.proofs.power.crash_model import CrashModel
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
"""How many faults are tried by default in the streams, and how many deaths of the harness there."""

NEAR = 2
"""How many changes of the disk before and after acceptance are tried by default."""

DISKS = 8
"""How many others are tried for each time that the search is harder."""

_STATES = 1000
"""How many failures of the power are tried by default; one costs a hundredth of a test event."""

_SAID = 4000
"""Bytes that a run prints in the middle of its work, and gives whoever is to kill it some time."""

PARTS, LONG = 8, 1000
"""Into how many parts what goes by is parted by default, if it has so many bytes."""

FIRST = 1000
"""Number of the edit before the first one: they all have as many digits, so that a byte is the same in each test event."""

_EDITS = 20
"""How many test events an avatar plays before another one does."""

BIG = 400_000
"""Bytes of a product: enough for a stream to come in pieces."""

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
"""Changes what it finds in each way there is: contents, names, and a file that becomes a folder."""

_Item = TypeVar("_Item")


def prove(subject: Subject, search: Search) -> None:
    """Refuted by the first fault after which the katas are neither as before nor as after, or the next test event fails."""
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
        self.now: AvatarState | None = None  # where it is known
        self.files = _files(FIRST)
        self.accepted = False  # the last test event in which there was a fault
        self.keeps = False  # what a run has made
        self.settled = 0  # how much an engine has running between two test events

    def begin(self) -> None:
        """Now and then with another avatar, since a long history takes long to be looked at: the first test event finds no
        product, the second one of another type.
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
            # What stands by for the next test event was not left behind; and this look would take another keeper.
            self.runner.prepare(self.avatar)
        return avatar_state(self.runner.katas, self.avatar)

    def play(self) -> str:
        """An ordinary test event; what it printed."""
        self.edit, self.now = self.edit + 1, None
        self.files = _files(self.edit)
        return complete(self.runner, self.avatar, self.files).stdout

    def faults(self, factor: float) -> Iterator[TimedFault]:
        """Spread evenly over a test event that was listened to."""
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
            raise Refuted(
                f"a test event of another process was not completed: {told.reason if told else 'killed'}"
            )
        yield from self._at_the_disk(HARNESS, told.changes, factor)

    def _at_the_disk(self, whom: str, changes: int, factor: float) -> Iterator[TimedFault]:
        """Where acceptance is, found by halving: what is wrong about it shows there. The rest only if there is time."""
        early, late = 0, changes + 1  # too early to be accepted, and late enough
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
                TimedFault(whom, action, change=each + 1)
                for each in range(changes)
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
        """Play the test event with the fault in it; whether it is said to be accepted."""
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
                    with contextlib.suppress(HarnessError):
                        self.runner.katas.list()  # until the keeper whose disk is full has tidied up
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
        """An ordinary test event, which finds the state."""
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
    """What the run leaves, and how it is told."""
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
    """The first and the last byte of what one side says until another does, and those that part a long one; with the number
    of this turn.
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
    """The stream that brings the tree back, cut in its middle: the mistake that is made most."""
    turns = [turn for turn in course.turns if (turn.stream, turn.way) == (RUN, FROM)]
    if turns:
        longest = max(turns, key=lambda turn: turn.end - turn.start)
        yield TimedFault(RUN, CUT, StreamPlace(RUN, FROM, (longest.start + longest.end) // 2))


def _in_the_streams(course: Course, parts: int) -> Iterator[TimedFault]:
    """At each place all that can happen there, each time in another order."""
    for number, (turn, place) in enumerate(_places(course, parts)):
        happens = [
            (whom, action)
            for whom in (RUN, KEEPER)
            for action in (KILLED, CUT)
            if course.opened.get(whom, turn + 1) <= turn
        ]
        for each in range(len(happens)):
            yield TimedFault(*happens[(each + number) % len(happens)], place)


def _spread(items: Sequence[_Item], most: int) -> list[_Item]:
    """At most so many of them, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(number * (len(items) - 1) / max(1, most - 1))] for number in range(most)]
