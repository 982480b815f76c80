"""Incremental equals full: an incremental build gives what a full one gives, with the least work.

A player edits modules and headers, adds, renames and deletes them, turns headers into symlinks or
folders, and adds includes. Test events follow, some of which time out; the player also goes back to
what an old tag had. After every test event, the program must print what a build from nothing would
print, by a model of the project. The compiled files, seen by the stamps of their objects, must be
those that the #include lines call for.

An edit that restores what the last build saw does not count as an edit. If that build failed or
timed out, it may count or not. A runner that does not claim *timed-out* may have kept what such a
run compiled.

An example is a session of at most five test events; many run side by side in one sandbox, at half a
second each on Docker, and one second for a test event that times out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from harness.inside.layout import printable_name
from harness.katas.visible import VisibleFiles
from harness.runners.base import BaseRunner
from harness.runners.claims import Property
from harness.runners.run import Outcome, Run
from harness.verify.proofs.shared.c_project import (
    EDITS,
    GCC,
    SCRIPT,
    Files,
    Project,
    ProjectEdit,
    needs,
    sources,
    visible,
)
from harness.verify.proofs.shared.search import Search
from harness.verify.proofs.shared.side_by_side import join_projects, part
from harness.verify.proofs.shared.subject import Subject, complete, seen
from harness.verify.proofs.shared.verdict import Refuted, Untried
from harness.verify.testing.strategies import several

TIMES_OUT_AFTER = 1.0
"""Seconds."""

_STEPS = 4
"""Test events of a session, without the first and the one that times out."""

GCC_SESSION: Sequence[Sequence[ProjectEdit]] = (
    [],
    [ProjectEdit("header", 1, 7)],
    [ProjectEdit("shape", 1, 1), ProjectEdit("module includes", 1, 1)],
    [ProjectEdit("rename header", 1, 3), ProjectEdit("module", 2, 5)],
    [ProjectEdit("delete header", 3, 0)],
    [ProjectEdit("header", 3, 1), ProjectEdit("delete module", 0, 0)],
)
"""No edit; a header; a symlink and a dependency; a rename; a missing header; everything whole."""


@dataclass(frozen=True)
class _Step:
    """What a player does before a test event: edits, or going back to an old tag."""

    edits: Sequence[ProjectEdit] = ()
    # Picks a tag, modulo the number of tags.
    back: int | None = None


@dataclass(frozen=True)
class Game:
    """Sessions side by side, and the number (from 1) of the test event before which one hangs."""

    sessions: Sequence[Sequence[_Step]]
    times_out: int | None = None


_SESSIONS = several(
    st.lists(
        st.builds(_Step, EDITS) | st.builds(_Step, st.just(()), st.integers(0, 3)),
        min_size=1,
        max_size=_STEPS,
    ),
    most=16,
)
GAMES = st.builds(Game, _SESSIONS, st.none() | st.none() | st.integers(1, _STEPS))


def prove(subject: Subject, search: Search) -> None:
    """Refute by the first test event with another output, or that compiles too little or much."""
    with subject.runner() as runner:

        def with_gcc(session: Sequence[Sequence[ProjectEdit]]) -> None:
            table = Table(subject, runner, [_Play(subject, GCC)])
            for edits in session:
                table.plays[0].edit(edits)
                table.test()

        def together(game: Game) -> None:
            table = Table(subject, runner, [_Play(subject, SCRIPT) for _ in game.sessions])
            table.test()
            for press in range(max(map(len, game.sessions))):
                for play, session in zip(table.plays, game.sessions, strict=True):
                    if press < len(session):
                        play.step(session[press])
                if press + 1 == game.times_out:
                    table.time_out()
                table.test()

        def check(game: Game) -> None:
            for session in game.sessions:
                search.tally.label(*(edit.verb for step in session for edit in step.edits))
            if game.times_out:
                search.tally.label("times out")
            try:
                together(game)
            except Refuted:
                for session in game.sessions if len(game.sessions) > 1 else ():
                    together(replace(game, sessions=[session]))
                raise

        search.listed("gcc", [GCC_SESSION], with_gcc, show=lambda session: "a session with gcc")
        search.drawn(
            "sessions",
            GAMES,
            check,
            most=subject.most(25, 4),
            weigh=lambda game: len(game.sessions),
        )


class Table:
    """Players side by side in one sandbox."""

    def __init__(self, subject: Subject, runner: BaseRunner, plays: Sequence[_Play]) -> None:
        self.plays = plays
        self._subject, self._runner, self._avatar = subject, runner, subject.avatar()
        self._names = [str(number) for number in range(1, len(plays) + 1)]

    def test(self) -> None:
        """Play a test event, and check everything that must be true after it."""
        files = self._files(hang=False)
        for play in self.plays:
            play.tell("test")
        run = complete(self._runner, self._avatar, files, story=self.plays[0].told())
        self._subject.tally.compared(seen(run).before)
        runs = part(run, self._names)
        for name, play in zip(self._names, self.plays, strict=True):
            play.check(runs[name])

    def time_out(self) -> None:
        """Play a test event that builds, and then never ends."""
        files = self._files(hang=True)
        run = self._runner.run(self._avatar, files, max_seconds=TIMES_OUT_AFTER)
        for play in self.plays:
            play.tell("times out")
            play.timed_out(run)

    def _files(self, *, hang: bool) -> VisibleFiles:
        return join_projects(
            {name: play.send(hang=hang) for name, play in zip(self._names, self.plays, strict=True)}
        )


class _Play:
    """One player's session: what was sent, and what each object was last compiled from."""

    def __init__(self, subject: Subject, compiler: bytes) -> None:
        self._compiler = compiler
        self._rolls_back = subject.claims(Property.TIMED_OUT)
        self.project = Project()
        self.tags: list[Project] = []
        self._story: list[str] = []
        self._edits: list[str] = []
        self._sent: Files = {}
        # How often each file was written.
        self._versions: dict[bytes, int] = {}
        # Source to everything that its last compilation read.
        self._compiled: dict[bytes, dict[bytes, tuple[int, object]]] = {}
        # Whether the katas may hold what a run past its limit compiled.
        self._perhaps_kept = False

    def edit(self, edits: Sequence[ProjectEdit]) -> None:
        for edit in edits:
            self.project, words = edit.apply(self.project)
            self._edits += [words] if words else []

    def revert(self, which: int) -> None:
        if self.tags:
            tag = which % len(self.tags)
            self._edits = (
                [] if self.project == self.tags[tag] else [f"all is as at tag {tag + 1} again"]
            )
            self.project = self.tags[tag]

    def step(self, step: _Step) -> None:
        if step.back is None:
            self.edit(step.edits)
        else:
            self.revert(step.back)

    def timed_out(self, run: Run) -> None:
        """Check what must be true of a test event that did not end."""
        if run.outcome is not Outcome.TIMED_OUT:
            self._refute(f"it was {run.outcome}: {run.reason}")
        self._perhaps_kept = not self._rolls_back

    def check(self, run: Run) -> None:
        """Check everything that must be true after a test event."""
        if run.status == 127 or "gcc: not found" in run.stderr:
            raise Untried(f"the image lacks what a build needs: {' '.join(run.stderr.split())}")
        self._check_output(run)
        self._check_compiled(run)
        self.tags.append(self.project)

    def send(self, *, hang: bool) -> VisibleFiles:
        """Return what is sent with the next test event."""
        self._send()
        return visible(self._sent, self._compiler, hang=hang)

    def _send(self) -> None:
        files = self.project.files()
        for name, file in files.items():
            if self._sent.get(name) != file:
                self._versions[name] = self._versions.get(name, 0) + 1
        self._sent = files

    def tell(self, what: str) -> None:
        self._story.append(", ".join([*self._edits, what]))
        self._edits = []

    def _check_output(self, run: Run) -> None:
        expected = self.project.output()
        if expected is None and (run.status == 0 or run.stdout):
            self._refute(
                f"a build from nothing fails; this one printed {run.stdout!r} "
                f"and ended with {run.status}"
            )
        if expected is not None and (run.status, run.stdout) != (0, expected):
            said = " ".join(run.stderr.split())
            self._refute(
                f"a build from nothing prints {expected!r}, "
                f"this one printed {run.stdout!r} {said}".rstrip()
            )

    def _check_compiled(self, run: Run) -> None:
        observed = seen(run)
        compiled, must, may = set(), set(), set()
        for source in sources(self._sent):
            product = source.removesuffix(b".c") + b".o"
            now = observed.after.get(product)
            if now and now != observed.before.get(product):
                compiled.add(source)
            needed = needs(self._sent, source)
            if needed is None:
                continue
            deps: dict[bytes, tuple[int, object]] = {
                name: (self._versions[name], self._sent[name]) for name in needed
            }
            last = self._compiled.get(source)
            if last != deps:
                may.add(source)
            if last is None or {name: what for name, (_, what) in last.items()} != {
                name: what for name, (_, what) in deps.items()
            }:
                must.add(source)
            if source in compiled or last is None or self._perhaps_kept:
                self._compiled[source] = deps
        if too_many := sorted(compiled - may):
            self._refute(
                f"{_list(too_many)} compiled again, and nothing that is included was edited"
            )
        if not self._perhaps_kept and (too_few := sorted(must - compiled)):
            self._refute(f"{_list(too_few)} not compiled again")
        self._perhaps_kept = False

    def told(self) -> str:
        return "; ".join(f"{number}. {event}" for number, event in enumerate(self._story, 1))

    def _refute(self, what: str) -> None:
        raise Refuted(f"{self.told()}: {what}")


def _list(names: list[bytes]) -> str:
    return ", ".join(map(printable_name, names)) + (" was" if len(names) == 1 else " were")
