"""Mirror: deletions, renames and changes of type come back as they are; nothing resurrects.

They may be the player's or the run's. Sessions are played on small trees with so few names that
files, folders and symlinks soon take each other's places. Before and after every command, and in
the katas after each test event, there must be what a model of one disk predicts, contents and
targets included. In the katas, what a run left keeps its stamp.

Sessions are drawn, and several run side by side in one sandbox, each in a folder of its own, since
a test event costs the same for one as for six. Listed sessions cover each kind of change by the
player and by the run; one is so long that layers are folded twice. A drawn session has at most four
test events, half a second each on Docker.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from harness.engines.spec import Overlay
from harness.inside.tree import Snapshot
from harness.katas.visible import VisibleFile, VisibleFiles
from harness.runners.claims import Property
from harness.verify.proofs.shared.search import Search, alone_too
from harness.verify.proofs.shared.subject import Subject, complete, kept, seen
from harness.verify.proofs.shared.tree_differences import differences
from harness.verify.proofs.shared.verdict import Refuted
from harness.verify.testing.sessions import (
    APPEND,
    FOLDER,
    HARD,
    LINKS,
    MODE,
    MOVE,
    REMOVE,
    SPARSE,
    WRITE,
    Change,
    Model,
    Press,
    beside,
)
from harness.verify.testing.strategies import DEEP, sessions, several

_SCRIPT = b"cyber-dojo.sh"

_MADE = tuple(
    Change(WRITE, path, b"1\n")
    for path in (b"gone", b"old", b"file", b"folder/in", b"link", b"deep/x/y")
)
CHANGED = (
    Change(REMOVE, b"gone"),
    Change(MOVE, b"old", b"new"),
    Change(WRITE, b"file/in", b"22\n"),
    Change(WRITE, b"folder", b"22\n"),
    Change(LINKS, b"link", b"new"),
)

NESTED = tuple(Change(WRITE, path, b"1\n") for path in (b"a/x/z", b"b/x/z", b"c/x/z", b"d"))
FLATTENED = (
    Change(WRITE, b"a", b"22\n"),
    Change(REMOVE, b"b/x/z"),
    Change(LINKS, b"b", b"d"),
    Change(WRITE, b"c/x", b"22\n"),
)

LINKED = (
    Change(WRITE, b"first", b"1\n"),
    Change(HARD, b"second", b"first"),
    Change(HARD, b"folder/third", b"first"),
    Change(SPARSE, b"sparse", b"end\n"),
)


def _long(presses: int) -> Sequence[Press]:
    """Return a session so long that layers are folded twice; test events undo what others made."""
    session = []
    for number in range(presses):
        name = b"%d" % (number % 7)
        deeds = [
            Change(WRITE, b"made/" + name, b"%d\n" % number),
            Change(REMOVE, b"made/%d" % ((number + 3) % 7)),
            Change(WRITE if number % 4 else REMOVE, b"turns/" + name, b"1\n"),
            Change(FOLDER if number % 2 else WRITE, b"type"),
            Change(APPEND, b"grows", b"%d\n" % number),
        ]
        if number == 0:
            deeds = [Change(WRITE, b"grows", b"0\n"), Change(HARD, b"too", b"grows")]
        if number % 9 == 5:
            deeds += [Change(MOVE, b"turns", b"moved"), Change(FOLDER, b"made")]
        edits = [Change(REMOVE if number % 3 == 2 else WRITE, b"seen/" + name, b"%d\n" % number)]
        session.append(Press(edits, deeds))
    return session


SETTLED = 3

LONG, SHORT = 26, 8
"""Test events of a long session. An overlay folds its layers after more than ten; without layers,
and where test events are dear, the session is shorter.
"""

_CASES = {
    "what the player changes": (Press(edits=_MADE), Press(edits=CHANGED), Press()),
    "a folder that the run renames": (
        Press(deeds=(Change(WRITE, b"folder/in/file", b"1\n"),)),
        Press(deeds=(Change(MOVE, b"folder", b"renamed"),)),
        Press(),
    ),
    "what the player makes of folders in folders": (
        Press(edits=NESTED),
        Press(edits=FLATTENED),
        Press(),
    ),
    "what the run makes of folders in folders": (
        Press(deeds=NESTED),
        Press(deeds=FLATTENED),
        Press(),
    ),
    "hard links and holes": (
        Press(deeds=LINKED),
        Press(deeds=(Change(APPEND, b"second", b"more\n"),)),
        Press(),
    ),
    "a folder that the run renames, with one name of a file in it": (
        Press(
            deeds=(Change(WRITE, b"folder/first", b"1\n"), Change(HARD, b"second", b"folder/first"))
        ),
        Press(deeds=(Change(MOVE, b"folder", b"renamed"),)),
        Press(),
    ),
    "a file of two names that the player makes a program": (
        Press(edits=(Change(WRITE, b"seen", b"1\n"),)),
        Press(deeds=(Change(HARD, b"too", b"seen"),)),
        Press(edits=(Change(MODE, b"seen"),)),
        Press(),
    ),
    "an empty folder": (
        Press(edits=(Change(FOLDER, b"empty/in"),)),
        Press(deeds=(Change(REMOVE, b"empty/in"),)),
        Press(),
    ),
    "an empty folder that the run makes a file, and the player deletes": (
        Press(edits=(Change(FOLDER, b"empty"),)),
        Press(deeds=(Change(WRITE, b"empty", b"1\n"),)),
        Press(edits=(Change(REMOVE, b"empty"),)),
        Press(),
    ),
    "a long path": (
        Press(edits=(Change(WRITE, DEEP, b"1\n"),)),
        Press(deeds=(Change(MOVE, DEEP, b"short"),)),
        Press(),
    ),
    "a visible file that the run makes a folder": (
        Press(edits=(Change(WRITE, b"seen", b"1\n"),)),
        Press(deeds=(Change(WRITE, b"seen/in", b"1\n"),)),
        Press(),
        Press(edits=(Change(WRITE, b"seen", b"22\n"),)),
    ),
    "a visible file that the run makes anew": (
        Press(edits=(Change(WRITE, b"seen", b"1\n"),)),
        Press(deeds=(Change(WRITE, b"seen", b"22\n"),)),
        Press(),
    ),
    "what the run changes": (
        Press(deeds=_MADE),
        Press(deeds=(*CHANGED, Change(REMOVE, b"deep/x"))),
        Press(),
    ),
}
"""Deletions, renames, a file that becomes a folder or a symlink, a folder that becomes a file. What
a renamed folder contains changes without being touched.
"""


def _stamped_anew(left: Snapshot, found: Snapshot) -> str:
    """Describe what the run left with another stamp than the katas have.

    Stamps ahead of the clock may have been brought back to it for the run.
    """
    now = time.time_ns()
    anew = {
        path: replace(found[path], mtime_ns=entry.mtime_ns)
        for path, entry in left.items()
        if path in found and found[path].mtime_ns != entry.mtime_ns and found[path].mtime_ns <= now
    }
    return differences(anew, {path: found[path] for path in anew})


def prove(subject: Subject, search: Search) -> None:
    """Refute by the first entry that is missing, or there though it should not be."""
    exact = subject.claims(Property.MIRROR) and subject.claims(Property.EXACT_MTIMES)
    with subject.runner() as runner:

        def check(session: Sequence[Press], *, look: bool = True) -> None:
            """Play a session and compare.

            With `look`, read the katas after each press, which folds their layers. Otherwise read
            them after the third press, to have something below the layers, and at the end.
            """
            model, avatar, story = Model(), subject.avatar(), ""

            def compare(
                where: str, model: Model, found: Snapshot, *, contents: bool = False
            ) -> None:
                tree = {path: entry for path, entry in found.items() if path not in (b".", _SCRIPT)}
                model.settle(tree)
                search.tally.compared(tree)
                if said := differences(model.entries(tree, contents=contents), tree):
                    raise Refuted(f"{story}: {where} {said}")

            for number, press in enumerate(session, 1):
                story += f"{'; ' * (number > 1)}{number}. {press}"
                model.edit(press.edits)
                model.arrive()
                arrived = model.copy()
                script = model.run(press.deeds)
                files = VisibleFiles({**model.files(), _SCRIPT: VisibleFile(script)})
                run = complete(runner, avatar, files, story=story)
                compare("before the run", arrived, seen(run).before)
                if run.status:
                    raise Refuted(
                        f"{story}: the run could not do that: {' '.join(run.stderr.split())}"
                    )
                compare("after the run", model, seen(run).after)
                if look or number in (SETTLED, len(session)):
                    found = kept(runner, avatar)
                    compare("in the katas", model, found, contents=True)
                    if exact and (said := _stamped_anew(seen(run).after, found)):
                        raise Refuted(f"{story}: in the katas {said}")

        def check_several(several: Sequence[Sequence[Press]]) -> None:
            for session in several:
                search.tally.label(
                    *(change.verb for press in session for change in (*press.edits, *press.deeds))
                )
            check(beside(several))

        search.listed("cases", _CASES, lambda case: check(_CASES[case]))
        length = subject.most(LONG, LONG if subject.variant.kind.mounts is Overlay else SHORT)
        search.listed(
            "long",
            [length],
            lambda presses: check(_long(presses), look=False),
            show=lambda presses: f"{presses} test events",
        )
        search.drawn(
            "sessions",
            several(sessions()),
            alone_too(check_several),
            most=subject.most(33, 4),
            weigh=len,
        )
