"""Mirror: what the player or the run deleted, renamed or changed the type of comes back as it is; nothing resurrects.

A session is played on small trees, whose names are so few that a file soon is where a folder was, a folder where a file, and a
symlink where either. At every command, before it and after it, and in the katas after each test event, there must be what
a model of one disk says, contents and targets included.

The sessions are drawn, and two more have each kind of change, by the player and by the run. One is of at most
four test events, half a second each on Docker.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.katas.visible import VisibleFile, VisibleFiles
from harness.proofs.search import Search
from harness.proofs.subject import Subject, complete, kept, seen
from harness.proofs.verdict import Refuted
from harness.proofs.words import differences
from harness.testing.sessions import LINKS, MOVE, REMOVE, WRITE, Change, Model, Press
from harness.testing.strategies import sessions
from harness.tree import Snapshot

SCRIPT = b"cyber-dojo.sh"

MADE = tuple(
    Change(WRITE, path, b"1\n") for path in (b"gone", b"old", b"file", b"folder/in", b"link", b"deep/x/y")
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

CASES = {
    "what the player changes": (Press(edits=MADE), Press(edits=CHANGED), Press()),
    "a folder that the run renames": (
        Press(deeds=(Change(WRITE, b"folder/in/file", b"1\n"),)),
        Press(deeds=(Change(MOVE, b"folder", b"renamed"),)),
        Press(),
    ),
    "what the player makes of folders in folders": (Press(edits=NESTED), Press(edits=FLATTENED), Press()),
    "what the run makes of folders in folders": (Press(deeds=NESTED), Press(deeds=FLATTENED), Press()),
    "what the run changes": (Press(deeds=MADE), Press(deeds=(*CHANGED, Change(REMOVE, b"deep/x"))), Press()),
}
"""Deleted, renamed, a file that becomes a folder or a symlink, and a folder that becomes a file; what is in a renamed folder has
changed without being touched.
"""


def prove(subject: Subject, search: Search) -> None:
    """Refuted by the first entry that is not there, or there though it should not be."""
    with subject.runner() as runner:

        def check(session: Sequence[Press]) -> None:
            model, avatar, story = Model(), subject.avatar(), ""

            def compare(where: str, model: Model, found: Snapshot, *, contents: bool = False) -> None:
                tree = {path: entry for path, entry in found.items() if path not in (b".", SCRIPT)}
                model.settle(tree)
                if said := differences(model.entries(tree, contents=contents), tree):
                    raise Refuted(f"{story}: {where} {said}")

            for number, press in enumerate(session, 1):
                story += f"{'; ' * (number > 1)}{number}. {press}"
                model.edit(press.edits)
                model.arrive()
                arrived = model.copy()
                script = model.run(press.deeds)
                files = VisibleFiles({**model.files(), SCRIPT: VisibleFile(script)})
                run = complete(runner, avatar, files, story=story)
                compare("before the run", arrived, seen(run).before)
                if run.status:
                    raise Refuted(f"{story}: the run could not do that: {' '.join(run.stderr.split())}")
                compare("after the run", model, seen(run).after)
                compare("in the katas", model, kept(runner, avatar), contents=True)

        search.drawn("sessions", sessions(), check, most=subject.most(15, 3))
        search.listed("cases", CASES, lambda case: check(CASES[case]))
