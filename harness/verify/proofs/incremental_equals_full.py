"""Incremental equals full: a build from where the last one left off is one from nothing, and compiles no more than it must.

A session of a player's: edits of modules and headers, new ones, renamed and deleted ones, headers that become symlinks or
folders, new includes; test events, some of which time out; and going back to what an old tag had. After every test event the
program prints what one built from nothing would (worked out from a model of the project), and those files were compiled
again, seen by the stamps of the objects, that the #include lines of the tree say.

An edit that restores what was there at the last build is no edit; one that restores it after a build that failed or timed out
may be one or not. A runner that does not claim that a run past its limit leaves no trace may have kept what it compiled.

An example is a session of at most five test events, many of them side by side in one sandbox: half a second each on Docker, and
one that times out takes a second.
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

_STEPS = 4
"""Test events of a session, but for the first and one that times out."""

GCC_SESSION: Sequence[Sequence[ProjectEdit]] = (
    [],
    [ProjectEdit("header", 1, 7)],
    [ProjectEdit("shape", 1, 1), ProjectEdit("module includes", 1, 1)],
    [ProjectEdit("rename header", 1, 3), ProjectEdit("module", 2, 5)],
    [ProjectEdit("delete header", 3, 0)],
    [ProjectEdit("header", 3, 1), ProjectEdit("delete module", 0, 0)],
)
"""No edit; a header's; a symlink and a new dependency; a new name; a header too few; and all whole again."""


@dataclass(frozen=True)
class _Step:
    """What a player does before a test event: some edits, or all is as at an old tag again."""

    edits: Sequence[ProjectEdit] = ()
    back: int | None = None


@dataclass(frozen=True)
class Game:
    """Sessions side by side, and before which of their test events there is one that times out."""

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
    """Refuted by the first test event of a session that built something else, compiled too little or too much."""
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
    """Players who play side by side, in one sandbox."""

    def __init__(self, subject: Subject, runner: BaseRunner, plays: Sequence[_Play]) -> None:
        self.plays = plays
        self._subject, self._runner, self._avatar = subject, runner, subject.avatar()
        self._names = [str(number) for number in range(1, len(plays) + 1)]

    def test(self) -> None:
        """A test event, and all that must be true after it."""
        files = self._files(hang=False)
        for play in self.plays:
            play.tell("test")
        run = complete(self._runner, self._avatar, files, story=self.plays[0].told())
        self._subject.tally.compared(seen(run).before)
        runs = part(run, self._names)
        for name, play in zip(self._names, self.plays, strict=True):
            play.check(runs[name])

    def time_out(self) -> None:
        """A test event that builds, and does not come to an end."""
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
        self._versions: dict[bytes, int] = {}  # how often each file was written
        self._compiled: dict[
            bytes, dict[bytes, tuple[int, object]]
        ] = {}  # source to all it needed then
        self._perhaps_kept = False  # what a run past its limit compiled

    def edit(self, edits: Sequence[ProjectEdit]) -> None:
        for each in edits:
            self.project, words = each.apply(self.project)
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
        """What must be true of a test event that did not come to an end."""
        if run.outcome is not Outcome.TIMED_OUT:
            self._refute(f"it was {run.outcome}: {run.reason}")
        self._perhaps_kept = not self._rolls_back

    def check(self, run: Run) -> None:
        """All that must be true after a test event."""
        if run.status == 127 or "gcc: not found" in run.stderr:
            raise Untried(f"the image lacks what a build needs: {' '.join(run.stderr.split())}")
        self._check_output(run)
        self._check_compiled(run)
        self.tags.append(self.project)

    def send(self, *, hang: bool) -> VisibleFiles:
        """What is sent with the next test event."""
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
                f"a build from nothing fails; this one printed {run.stdout!r} and ended with {run.status}"
            )
        if expected is not None and (run.status, run.stdout) != (0, expected):
            said = " ".join(run.stderr.split())
            self._refute(
                f"a build from nothing prints {expected!r}, this one printed {run.stdout!r} {said}".rstrip()
            )

    def _check_compiled(self, run: Run) -> None:
        observed = seen(run)
        compiled, must, may = set(), set(), set()
        for source in sources(self._sent):
            thing = source.removesuffix(b".c") + b".o"
            now = observed.after.get(thing)
            if now and now != observed.before.get(thing):
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
        return "; ".join(f"{number}. {each}" for number, each in enumerate(self._story, 1))

    def _refute(self, what: str) -> None:
        raise Refuted(f"{self.told()}: {what}")


def _list(names: list[bytes]) -> str:
    return ", ".join(map(printable_name, names)) + (" was" if len(names) == 1 else " were")
