"""Timed out: past the limit, it is as if the attempt was never made.

There is no tag, and the katas are as they were; as the notes say, only the visible files may be
those that were copied in before the run. None of its processes is left.

An example is a run that does not end, seen from outside, and an ordinary test event after it.
Several avatars play at once, since they mostly wait for a limit: half a second each on Docker.
Where test events are cheap, what these runs do to the sandbox is drawn as well.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from hypothesis import strategies as st

from harness.engines import Engine
from harness.inside.layout import Avatar
from harness.katas.visible import VisibleFiles
from harness.runners.base import BaseRunner
from harness.runners.run import Outcome
from harness.verify.proofs.shared.avatar_state import avatar_state, changed
from harness.verify.proofs.shared.processes import alive, marker
from harness.verify.proofs.shared.search import Search
from harness.verify.proofs.shared.subject import Subject, complete
from harness.verify.proofs.shared.verdict import Refuted
from harness.verify.proofs.shared.waiting import at_once, eventually
from harness.verify.testing.sessions import WRITE, Change, Model
from harness.verify.testing.strategies import deeds, several

SECONDS, CHEAP_SECONDS = 0.7, 0.15
"""The limit of a run that does not end, in seconds; the second where containers start at once."""

DRAWN, LONGEST = 10, 9
"""Sessions of drawn runs where that is cheap, and the runs in nearly every session. The katas are
read twice for each run, and their histories grow.
"""

_MADE = tuple(Change(WRITE, name, b"1\n") for name in (b"made", b"goes", b"turns", b"a/x/z", b"b"))
"""What a run makes for the next one to find."""

FOUND = os.fsdecode(Model().run(_MADE))
"""The script that makes it."""

WRITES = {
    "changes all that it finds": "echo 2 >made; rm -rf goes turns; mkdir turns late",
    "deletes what was sent": "rm -f edit sub/edit",
    "makes what was sent something else": "rm -rf edit sub; mkdir edit; ln -s edit sub",
    "moves what it finds away": "mv sub elsewhere; mv made moved",
    "touches it into the future": "touch -d '+1 hour' made edit sub/edit",
    "shuts it": "chmod 0 made goes edit sub",
}
"""What a run does to the sandbox before it hangs."""

_AT_ONCE = 5
"""Avatars that play at once."""

ENDLESS = {
    "loops": "while :; do :; done",
    "prints": "while :; do echo x; done",
    "writes": "while :; do echo $((n += 1)) >>made; done",
    "leaves children": (
        "sleep MARK & setsid sleep MARK & "
        "(setsid sh -c 'sleep MARK & wait' >/dev/null 2>&1 &); wait"
    ),
    "ignores signals": (
        "trap '' HUP INT QUIT TERM USR1 USR2 PIPE; exec >/dev/null 2>&1; "
        "while :; do sleep MARK; done"
    ),
}
"""How a run goes on without end; MARK is a number of seconds to sleep."""


def prove(subject: Subject, search: Search) -> None:
    """Refute by the first run that is not ended, or leaves a trace."""
    seconds = CHEAP_SECONDS if subject.engine.quick else SECONDS
    with subject.runner(observe=False) as runner:

        def begin() -> _Table:
            return _Table(
                [_Player(runner, subject.avatar(), seconds) for _ in range(_AT_ONCE)], runner.engine
            )

        def session(rounds: Sequence[Sequence[Sequence[Change]]]) -> None:
            table = begin()
            for drawn in rounds:
                table.play([_script(changes) for changes in drawn])

        players = begin()
        search.listed(
            "endless",
            search.some(WRITES),
            lambda writes: players.play([WRITES[writes]] * _AT_ONCE),
            show=lambda writes: f"of runs that do not end each {writes}",
            weigh=lambda writes: _AT_ONCE,
        )
        if subject.engine.quick:
            a_round = st.lists(st.lists(deeds(), max_size=4), min_size=_AT_ONCE, max_size=_AT_ONCE)
            search.drawn(
                "drawn",
                several(a_round, most=LONGEST),
                session,
                most=DRAWN,
                weigh=lambda rounds: _AT_ONCE * len(rounds),
            )


def _script(drawn: Sequence[Change]) -> str:
    """Return a script that does `drawn` to what a run finds."""
    model = Model()
    model.run(_MADE)
    return os.fsdecode(model.run(drawn))


class _Table:
    """Avatars that play side by side."""

    def __init__(self, players: Sequence[_Player], engine: Engine) -> None:
        self._players, self._engine = players, engine
        at_once(players, _Player.begin)
        # Each avatar may have one more idle keeper later. What one run leaves, six runs leave.
        self._settled = _places(engine) + len(players)

    def play(self, writes: Sequence[str]) -> None:
        """Play a run that does not end for each avatar, then an ordinary test event."""
        at_once(list(zip(self._players, writes, ENDLESS, strict=True)), _time_out)
        if not eventually(lambda: not alive(*(player.mark for player in self._players))):
            left = [
                how
                for player, how in zip(self._players, ENDLESS, strict=True)
                if alive(player.mark)
            ]
            raise Refuted(f"a process of a run that {' or '.join(left)} is still running")
        if not eventually(lambda: _places(self._engine) <= self._settled):
            raise Refuted(f"it left behind: {', '.join(self._engine.traces())}")
        at_once(self._players, _Player.go_on)


class _Player:
    """One avatar."""

    def __init__(self, runner: BaseRunner, avatar: Avatar, seconds: float) -> None:
        self._runner, self._avatar, self._seconds = runner, avatar, seconds
        self.mark = marker()
        self._old = _files(FOUND, "0")

    def begin(self) -> None:
        complete(self._runner, self._avatar, self._old)
        # What stands by for the next test event is not left over.
        self._runner.prepare(self._avatar)

    def time_out(self, writes: str, how: str) -> None:
        before = avatar_state(self._runner.katas, self._avatar)
        sent = _files(f"{writes}\n{ENDLESS[how].replace('MARK', self.mark)}", how)
        run = self._runner.run(self._avatar, sent, max_seconds=self._seconds)
        if run.outcome is not Outcome.TIMED_OUT or run.tag is not None:
            why = run.reason or "no reason was given"
            raise Refuted(f"a run that {how} was {run.outcome} past its limit: {why}")
        if difference := changed(
            before, avatar_state(self._runner.katas, self._avatar), self._old, sent
        ):
            raise Refuted(f"a run that {how} left a trace in the katas: {difference}")
        self._tag, self._how = before.tag, how

    def go_on(self) -> None:
        self._old = _files(f"{FOUND}\ncat edit", self._how)
        again = complete(self._runner, self._avatar, self._old)
        if again.tag != self._tag + 1 or again.stdout != self._how:
            raise Refuted(
                f"the next test event after a run that {self._how} got the tag {again.tag} "
                f"after {self._tag}, and saw {again.stdout!r}"
            )
        self._runner.prepare(self._avatar)


def _time_out(attempt: tuple[_Player, str, str]) -> None:
    player, writes, how = attempt
    player.time_out(writes, how)


def _places(engine: Engine) -> int:
    """Count containers and sandbox folders; the number of their processes changes all the time."""
    return sum(not trace.startswith("process ") for trace in engine.traces())


def _files(script: str, edit: str) -> VisibleFiles:
    files: dict[str, str | bytes] = {"edit": edit, "sub/edit": edit}
    return VisibleFiles({"cyber-dojo.sh": os.fsencode(f"#!/bin/sh\n{script}\n"), **files})
