"""Edits: an edit means what it means in place.

No answer is stale, no more is compiled than in place, and no input has two answers.

Make builds a small project: objects from sources and a generated header, a program from the
objects. The player's folder holds it with stamps in every order, and with objects and products of
the host; some stamps are ahead of the clock. Bare make builds its twin in place, on this machine,
where an edit is stamped later than everything else. The runner must give the twin's output, and
build what the twin builds. That holds too if a runner that keeps nothing plays on the same katas.

Runs rewrite what the player sent, delete it, touch it into the future, and fail. Edits keep the
size of the file, come within one second, or while a run goes on. The player takes an edit back
after a build on the host, and unpacks an object from a cache. An example is a session of some three
presses; several sessions share one sandbox.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from harness.katas.visible import VisibleFiles
from harness.verify.proofs.edit_cases import EDIT_CASES
from harness.verify.proofs.shared.player_folders import twin_folders, write_file_at
from harness.verify.proofs.shared.search import Search, alone_too
from harness.verify.proofs.shared.subject import Subject, complete, seen
from harness.verify.proofs.shared.switching import build_elsewhere, forgetful
from harness.verify.proofs.shared.verdict import Refuted, Untried
from harness.verify.testing.strategies import several

_SECOND = 10**9

_MAKEFILE = b"""\
program: a.o b.o
\t@cat a.o b.o >$@ && echo built $@ >&2
a.o: a.c gen.h
\t@cat a.c gen.h >$@ && echo built $@ >&2
b.o: b.c
\t@cat b.c >$@ && echo built $@ >&2
gen.h: gen.src
\t@(printf gen; cat gen.src) >$@ && echo built $@ >&2
"""

_SOURCES = (b"a.c", b"b.c", b"gen.src")
_MADE = (b"gen.h", b"a.o", b"b.o", b"program")

_AGES = (-3600 * _SECOND, -_SECOND, -1000, -1, 0, 2 * _SECOND, 3600 * _SECOND)
"""Stamps of files in the player's folder, in nanoseconds from now."""

DEEDS = {
    "nothing": b"",
    "rewrites a source": b"printf 'run\\n' >b.c",
    "deletes a source": b"rm -f b.c",
    "makes a source a folder": b"rm -f b.c; mkdir b.c",
    "deletes an object": b"rm -f a.o",
    "touches the program into the future": b"touch -d '2191-02-03 04:05:06.987654321' program",
    "touches an object into the future": b"touch -d '+1 hour' a.o",
    "touches a source into the future": b"touch -d '+1 hour' a.c",
    "formats a source": b"(tr -d '\\n' <a.c; echo ' ') >a.new && mv a.new a.c",
    "fails": b"exit 3",
}
"""Shell commands that a run executes after its build, by name."""


UNDOES = "takes an edit back after a build on the host"
UNPACKS = "unpacks an object from a cache"
_HOST = ("nothing", UNDOES, UNPACKS)
"""What the player does with products on the host before a press."""


@dataclass(frozen=True)
class Start:
    """A player's folder before the first press. Ages are nanoseconds from now."""

    # Of the sources.
    ages: Mapping[bytes, int]
    # Of what the host has built already.
    made: Mapping[bytes, int]


@dataclass(frozen=True)
class _Step:
    """What the player edits before a press, and what its run does."""

    edits: frozenset[bytes]
    deed: str
    host: str = "nothing"


STARTS = st.builds(
    Start,
    st.fixed_dictionaries({name: st.sampled_from(_AGES) for name in _SOURCES}),
    st.dictionaries(st.sampled_from(_MADE), st.sampled_from(_AGES), max_size=4),
)
_STEPS = st.lists(
    st.builds(
        _Step,
        st.frozensets(st.sampled_from(_SOURCES), max_size=2),
        st.sampled_from(sorted(DEEDS, key=list(DEEDS).index)),
        st.sampled_from(_HOST),
    ),
    min_size=1,
    max_size=3,
)
_SESSIONS = several(st.tuples(STARTS, _STEPS))


Session = tuple[Start, Sequence[_Step]]

OLD = Start({b"a.c": -10 * _SECOND, b"b.c": -10 * _SECOND, b"gen.src": -10 * _SECOND}, {})
BUILT = Start(
    OLD.ages,
    {b"gen.h": -9 * _SECOND, b"a.o": -8 * _SECOND, b"b.o": -8 * _SECOND, b"program": -7 * _SECOND},
)
_AHEAD = Start({**OLD.ages, b"a.c": 3600 * _SECOND}, BUILT.made)
STALE = Start({**OLD.ages, b"b.c": -_SECOND}, BUILT.made)

NOTHING = frozenset[bytes]()
ONE = frozenset({b"b.c"})


def _steps(*steps: tuple[frozenset[bytes], str] | tuple[frozenset[bytes], str, str]) -> list[_Step]:
    return [_Step(*step) for step in steps]


_KINDS: Mapping[str, Session] = {
    "objects that are older than a source": (STALE, _steps((NOTHING, "nothing"))),
    "a source from the future": (_AHEAD, _steps((NOTHING, "nothing"), (NOTHING, "nothing"))),
    "a run that rewrites a source": (
        OLD,
        _steps((NOTHING, "rewrites a source"), (NOTHING, "nothing"), (NOTHING, "nothing")),
    ),
    "a run that takes a source away": (
        BUILT,
        _steps(
            (NOTHING, "deletes a source"),
            (NOTHING, "makes a source a folder"),
            (NOTHING, "nothing"),
        ),
    ),
    "a program from the future": (
        OLD,
        _steps(
            (NOTHING, "touches the program into the future"),
            (ONE, "nothing"),
            (NOTHING, "nothing"),
            (ONE, "fails"),
        ),
    ),
    "an object from the future": (
        OLD,
        _steps(
            (NOTHING, "touches an object into the future"), (ONE, "nothing"), (NOTHING, "nothing")
        ),
    ),
    "an edit of the same size within the same second": (
        OLD,
        _steps((NOTHING, "nothing"), (ONE, "nothing"), (ONE, "nothing")),
    ),
    "an edit that is taken back after a build on the host": (
        OLD,
        _steps((NOTHING, "nothing"), (NOTHING, "nothing", UNDOES), (NOTHING, "nothing")),
    ),
    "an edit that is taken back where the objects were sent": (
        BUILT,
        _steps((NOTHING, "nothing"), (NOTHING, "nothing", UNDOES), (NOTHING, "nothing")),
    ),
    "an object from a cache": (
        OLD,
        _steps((NOTHING, "nothing"), (NOTHING, "nothing", UNPACKS), (ONE, "nothing")),
    ),
}
"""A session for each kind of fault that was ever found."""


class Twin:
    """One project: the player's folder, and its twin, which is built in place."""

    def __init__(self, folder: Path, twin: Path, start: Start) -> None:
        self.folder, self.twin = folder, twin
        self.version = 0
        self.brought: dict[Path, tuple[int, int]] = {}
        # Stamps of the player's files in the twin.
        self.stamps: dict[bytes, int] = {}
        now = time.time_ns()
        both = {**start.ages, **start.made}
        ahead = sorted({age for age in both.values() if age > 0})
        for name, age in both.items():
            content = b"000\n" if name in _SOURCES else b"host " + name + b"\n"
            write_file_at(folder / os.fsdecode(name), content, now + age)
            # Stamps ahead of the clock are brought to it, in order: in place they would hide edits.
            self.stamps[name] = now + (1 + ahead.index(age) if age > 0 else age)
            write_file_at(twin / os.fsdecode(name), content, self.stamps[name])
        for root in (folder, twin):
            write_file_at(root / "Makefile", _MAKEFILE, now - 7200 * _SECOND)

    def edit(self, names: frozenset[bytes], *, others: bool) -> None:
        """Edit files in both folders, without changing their size.

        In the twin, an edit is stamped later than everything else. Stamps ahead of the clock would
        hide it, so they are brought to the clock until the build is over. This also happens when
        `others` were edited, of which make knows nothing.
        """
        self.brought = self._bring_to_clock() if names or others else {}
        for name in sorted(names):
            self.version += 1
            content = b"%03d\n" % self.version
            write_file_at(self.folder / os.fsdecode(name), content, None)
            path = self.twin / os.fsdecode(name)
            if path.is_dir():
                path.rmdir()
            newest = max(path.lstat().st_mtime_ns for path in self.twin.iterdir())
            self.stamps[name] = 1 + max(time.time_ns(), newest)
            write_file_at(path, content, self.stamps[name])

    def host(self, deed: str) -> None:
        """Do what the player does on the host with the object of a.c, in both folders."""
        if deed == "nothing" or not (self.twin / "a.c").is_file():
            return
        self.version += 1
        content = b"host %03d\n" % self.version
        if deed == UNDOES:
            now = time.time_ns()
            newest = max(path.lstat().st_mtime_ns for path in self.twin.iterdir())
            self._both(b"a.o", content, now - _SECOND, max(now, newest) + 1)
            # The source has the content that it had before, in each folder.
            self.stamps[b"a.c"] = max(now, newest) + 2
            os.utime(self.folder / "a.c", ns=(now, now))
            os.utime(self.twin / "a.c", ns=(self.stamps[b"a.c"], self.stamps[b"a.c"]))
        elif self._is_made(b"a.o"):
            here = (self.folder / "a.c").lstat().st_mtime_ns
            there = (self.twin / "a.c").lstat().st_mtime_ns
            self._both(b"a.o", content, min(here, there) - _SECOND, there - _SECOND)

    def _is_made(self, name: bytes) -> bool:
        """Whether the build made this file, and the player never sent it."""
        return name not in self.stamps and (self.twin / os.fsdecode(name)).is_file()

    def _both(self, name: bytes, content: bytes, here: int, there: int) -> None:
        """Write a file with its stamp in the player's folder, and that in the twin."""
        write_file_at(self.folder / os.fsdecode(name), content, here)
        write_file_at(self.twin / os.fsdecode(name), content, there)
        self.stamps[name] = there

    def _bring_to_clock(self) -> dict[Path, tuple[int, int]]:
        stamps = {path: path.lstat().st_mtime_ns for path in self.twin.iterdir()}
        now = time.time_ns()
        ahead = sorted((stamp, path) for path, stamp in stamps.items() if stamp > now)
        last = max((stamp for stamp in stamps.values() if stamp <= now), default=0)
        for place, (_, path) in enumerate(ahead, 1):
            os.utime(path, ns=(last + place, last + place))
        return {path: (stamp, last + place) for place, (stamp, path) in enumerate(ahead, 1)}

    def put_back(self) -> None:
        """Put back player's files that a run removed, with the stamps that they had."""
        for name, stamp in self.stamps.items():
            path = self.twin / os.fsdecode(name)
            if path.is_dir():
                path.rmdir()
            if not path.exists():
                write_file_at(path, (self.folder / os.fsdecode(name)).read_bytes(), stamp)

    def build(self, deed: str, *, succeeds: bool) -> tuple[str, set[str]]:
        """Build by bare make, then run `deed`; return the output and the names that were built.

        Only if the whole run `succeeds`, that of the other projects too, do stamps go ahead again,
        and only those of files that the player never sent.
        """
        script = b"make -s program && cat program && { " + (DEEDS[deed] or b":") + b"; }"
        done = subprocess.run(
            ["sh", "-c", script], cwd=self.twin, capture_output=True, text=True, check=False
        )
        if succeeds and done.returncode == 0:
            for path, (was, now) in self.brought.items():
                left = path.exists() and path.lstat().st_mtime_ns == now
                if left and os.fsencode(path.name) not in self.stamps:
                    os.utime(path, ns=(was, was))
        return done.stdout, _built(done.stderr)


def prove(subject: Subject, search: Search) -> None:
    """Refute by the first press that gives another answer, or builds more, than make in place."""
    if not shutil.which("make"):
        raise Untried("the oracle is make in place, and this machine has no make")
    with subject.runner() as runner:

        def check(sessions: Sequence[Session]) -> None:
            with twin_folders() as (folder, other):
                avatar = subject.avatar()
                twins = []
                for number, (start, steps) in enumerate(sessions):
                    places = (folder / str(number), other / str(number))
                    for place in places:
                        place.mkdir()
                    twins.append(Twin(*places, start))
                    search.tally.label(*_labels(start, steps))
                story, before = "", b""
                for press in range(max(len(steps) for _, steps in sessions)):
                    going = [
                        (twin, steps[press])
                        for twin, (_, steps) in zip(twins, sessions, strict=True)
                        if press < len(steps)
                    ]
                    script = _script(going)
                    others = script != before
                    before = script
                    wanted = []
                    for twin, step in going:
                        twin.put_back()
                        edited = step.edits if press else frozenset[bytes]()
                        host = step.host if press else "nothing"
                        twin.edit(edited, others=press > 0 and (others or host != "nothing"))
                        twin.host(host)
                        wanted.append(twin.build(step.deed, succeeds=not _fails(going)))
                    write_file_at(folder / "cyber-dojo.sh", script, None)
                    story += _tell(press, going, sessions)
                    run = complete(runner, avatar, VisibleFiles.from_folder(folder), story=story)
                    search.tally.compared(seen(run).before)
                    outputs = run.stdout.split("\x1e\n")[1:]
                    works = run.stderr.split("\x1e\n")[1:]
                    for (twin, _), (output, built), got, work in zip(
                        going, wanted, outputs, works, strict=True
                    ):
                        name = twin.folder.name
                        if got != output:
                            raise Refuted(
                                f"{story}: project {name} gave {got!r}, "
                                f"and make in place {output!r}"
                            )
                        if more := _built(work) - built:
                            raise Refuted(
                                f"{story}: project {name} built {', '.join(sorted(more))}, "
                                "and make in place did not"
                            )

        search.listed("kinds", _KINDS, lambda name: check([_KINDS[name]]))
        search.listed("cases", EDIT_CASES, lambda name: EDIT_CASES[name](subject))
        search.listed(
            "built elsewhere",
            forgetful(runner),
            lambda name: build_elsewhere(subject, runner, name),
        )
        search.drawn("sessions", _SESSIONS, alone_too(check), most=subject.most(34, 5), weigh=len)


def _script(going: Sequence[tuple[Twin, _Step]]) -> bytes:
    lines = [b"#!/bin/sh"]
    for twin, step in going:
        deed = DEEDS[step.deed] or b":"
        lines.append(b"printf '\\036\\n'; printf '\\036\\n' >&2")
        lines.append(
            b"( cd %b && make -s program && cat program && { %b; } )"
            % (os.fsencode(twin.folder.name), deed)
        )
    return b"\n".join([*lines, b"exit 3" if _fails(going) else b"exit 0"]) + b"\n"


def _fails(going: Sequence[tuple[Twin, _Step]]) -> bool:
    return any(step.deed == "fails" for _, step in going)


def _built(stderr: str) -> set[str]:
    return {
        line.removeprefix("built ") for line in stderr.splitlines() if line.startswith("built ")
    }


def _tell(press: int, going: Sequence[tuple[Twin, _Step]], sessions: Sequence[Session]) -> str:
    said = []
    for twin, step in going:
        number = int(twin.folder.name)
        words = [] if press else [_ages(sessions[number][0])]
        if press:
            words += [f"{os.fsdecode(name)} is edited" for name in sorted(step.edits)]
            words += [f"the player {step.host}"] if step.host != "nothing" else []
        words += [f"the run {step.deed}"] if step.deed != "nothing" else []
        said.append(f"project {number}: {', '.join(words) or 'the same again'}")
    return f"{'; ' * (press > 0)}{press + 1}. {'; '.join(said)}"


def _ages(start: Start) -> str:
    both = {**start.ages, **start.made}
    return "stamps " + ", ".join(
        f"{os.fsdecode(name)} {age / _SECOND:+g} s" for name, age in both.items()
    )


def _labels(start: Start, steps: Sequence[_Step]) -> Iterator[str]:
    both = [*start.ages.values(), *start.made.values()]
    if any(age > 0 for age in both):
        yield "ahead of the clock"
    if start.made:
        yield "made on the host"
    if any(step.edits for step in steps[1:]):
        yield "edited"
    yield from (step.host for step in steps[1:] if step.host != "nothing")
    yield from (f"a run that {step.deed}" for step in steps if step.deed != "nothing")
