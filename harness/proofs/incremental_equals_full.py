"""Incremental equals full: a build from where the last one left off is one from nothing, and compiles no more than it must.

A session of a player's: edits of modules and headers, new ones, renamed and deleted ones, headers that become symlinks or
folders, new includes; test events, some of which time out; and going back to what an old tag had. After every test event the
program prints what one built from nothing would (worked out from a model of the project), and those files were compiled
again, seen by the stamps of the objects, that the #include lines of the tree say.

An edit that restores what was there at the last build is no edit; one that restores it after a build that failed or timed out
may be one or not. A runner that does not claim that a run past its limit leaves no trace may have kept what it compiled.

An example is a session of a test event for each step, half a second each on Docker, and one that times out takes a second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from harness.katas.layout import show
from harness.proofs.project import EDITS, GCC, SCRIPT, Edit, Files, Project, needs, sources, visible
from harness.proofs.search import Search
from harness.proofs.subject import Subject, complete, seen
from harness.proofs.verdict import Refuted, Untried
from harness.runners.base import BaseRunner
from harness.runners.claims import Property
from harness.runners.run import Outcome, Run

TIMES_OUT_AFTER = 1.0

GCC_SESSION: Sequence[Sequence[Edit]] = (
    [],
    [Edit("header", 1, 7)],
    [Edit("shape", 1, 1), Edit("module includes", 1, 1)],
    [Edit("rename header", 1, 3), Edit("module", 2, 5)],
    [Edit("delete header", 3, 0)],
    [Edit("header", 3, 1), Edit("delete module", 0, 0)],
)
"""No edit; a header's; a symlink and a new dependency; a new name; a header too few; and all whole again."""


def prove(subject: Subject, search: Search) -> None:
    """Refuted by the first test event of a session that built something else, compiled too little or too much."""
    with subject.runner() as runner:

        def with_gcc(session: Sequence[Sequence[Edit]]) -> None:
            play = Play(subject, runner, GCC)
            for edits in session:
                play.edit(edits)
                play.test()

        search.played(
            "sessions",
            lambda: Session(Play(subject, runner, SCRIPT), search),
            most=subject.most(10, 3),
            steps=5,
        )
        search.listed("gcc", [GCC_SESSION], with_gcc, show=lambda session: "a session with gcc")


class Play:
    """One player's session: what was sent, and what each object was last compiled from."""

    def __init__(self, subject: Subject, runner: BaseRunner, compiler: bytes) -> None:
        self._runner, self._compiler, self._avatar = runner, compiler, subject.avatar()
        self._rolls_back = subject.claims(Property.TIMED_OUT)
        self.project = Project()
        self.tags: list[Project] = []
        self._story: list[str] = []
        self._edits: list[str] = []
        self._sent: Files = {}
        self._versions: dict[bytes, int] = {}  # how often each file was written
        self._compiled: dict[bytes, dict[bytes, tuple[int, object]]] = {}  # source to all it needed then
        self._perhaps_kept = False  # what a run past its limit compiled

    def edit(self, edits: Sequence[Edit]) -> None:
        for each in edits:
            self.project, words = each.apply(self.project)
            self._edits += [words] if words else []

    def revert(self, which: int) -> None:
        if self.tags:
            tag = which % len(self.tags)
            self._edits = [] if self.project == self.tags[tag] else [f"all is as at tag {tag + 1} again"]
            self.project = self.tags[tag]

    def time_out(self) -> None:
        """A test event that builds, and does not come to an end."""
        self._send()
        files = visible(self._sent, self._compiler, hang=True)
        run = self._runner.run(self._avatar, files, max_seconds=TIMES_OUT_AFTER)
        self._tell("times out")
        if run.outcome is not Outcome.TIMED_OUT:
            self._refute(f"it was {run.outcome}: {run.reason}")
        self._perhaps_kept = not self._rolls_back

    def test(self) -> None:
        """A test event, and all that must be true after it."""
        self._send()
        files = visible(self._sent, self._compiler, hang=False)
        self._tell("test")
        run = complete(self._runner, self._avatar, files, story=self._told())
        if run.status == 127 or "gcc: not found" in run.stderr:
            raise Untried(f"the image lacks what a build needs: {' '.join(run.stderr.split())}")
        self._check_output(run)
        self._check_compiled(run)
        self.tags.append(self.project)

    def _send(self) -> None:
        files = self.project.files()
        for name, file in files.items():
            if self._sent.get(name) != file:
                self._versions[name] = self._versions.get(name, 0) + 1
        self._sent = files

    def _tell(self, what: str) -> None:
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
            self._refute(f"{_list(too_many)} compiled again, and nothing that is included was edited")
        if not self._perhaps_kept and (too_few := sorted(must - compiled)):
            self._refute(f"{_list(too_few)} not compiled again")
        self._perhaps_kept = False

    def _told(self) -> str:
        return "; ".join(f"{number}. {each}" for number, each in enumerate(self._story, 1))

    def _refute(self, what: str) -> None:
        raise Refuted(f"{self._told()}: {what}")


class Session(RuleBasedStateMachine):
    """What Hypothesis lets a player do."""

    def __init__(self, play: Play, search: Search) -> None:
        super().__init__()
        self.play, self.search, self.timed_out = play, search, False

    @initialize()
    def build(self) -> None:
        self._try(self.play.test)

    @rule(edits=EDITS)
    def test(self, edits: list[Edit]) -> None:
        self.play.edit(edits)
        self._try(self.play.test)

    @rule(which=st.integers(0, 3))
    def revert(self, which: int) -> None:
        self.play.revert(which)
        self._try(self.play.test)

    @precondition(lambda self: not self.timed_out)
    @rule(edits=EDITS)
    def time_out(self, edits: list[Edit]) -> None:
        self.timed_out = True  # once is dear enough
        self.play.edit(edits)
        self._try(self.play.time_out)
        self._try(self.play.test)

    def _try(self, act: Callable[[], None]) -> None:
        with self.search.attempt() as wanted:
            if wanted:
                act()


def _list(names: list[bytes]) -> str:
    return ", ".join(map(show, names)) + (" was" if len(names) == 1 else " were")
