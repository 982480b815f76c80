"""Renames: rename(2) moves any folder of the sandbox, as on one disk.

This holds for folders that were sent, that this run made, and that an earlier run made. npm, pip,
cargo and rustup rename and never copy; mv takes ten times as long when it has to copy.

A case is one to three test events; drawn sessions run side by side in one sandbox.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from harness.katas.visible import VisibleFile, VisibleFiles
from harness.verify.proofs.shared.search import Search, alone_too
from harness.verify.proofs.shared.subject import Subject, complete, kept
from harness.verify.proofs.shared.tree_differences import differences
from harness.verify.proofs.shared.verdict import Refuted
from harness.verify.testing.sessions import APPEND, RENAME, WRITE, Change, Model, Press, beside
from harness.verify.testing.strategies import changes, several

_SCRIPT = b"cyber-dojo.sh"

SENT = (Change(WRITE, b"sent/in/file", b"1\n"), Change(WRITE, b"sent/file", b"1\n"))
_MADE = (Change(WRITE, b"made/in/file", b"1\n"), Change(WRITE, b"made/file", b"1\n"))

_CASES: dict[str, Sequence[Press]] = {
    "what this run made": (Press(deeds=(*_MADE, Change(RENAME, b"made", b"renamed"))),),
    "what was sent": (Press(edits=SENT, deeds=(Change(RENAME, b"sent", b"renamed"),)),),
    "what was sent before": (
        Press(edits=SENT),
        Press(
            edits=(Change(WRITE, b"sent/file", b"2\n"),),
            deeds=(Change(RENAME, b"sent/in", b"sent/out"),),
        ),
    ),
    "what an earlier run made": (
        Press(deeds=_MADE),
        Press(deeds=(Change(RENAME, b"made", b"renamed"),)),
        Press(
            deeds=(
                Change(APPEND, b"renamed/in/file", b"more\n"),
                Change(RENAME, b"renamed", b"made"),
            )
        ),
    ),
    "a folder that was renamed before": (
        Press(deeds=_MADE),
        Press(deeds=(Change(RENAME, b"made", b"one"), Change(RENAME, b"one/in", b"two"))),
        Press(deeds=(Change(RENAME, b"one", b"two/in"), Change(RENAME, b"two", b"three"))),
    ),
}


_RENAMES = several(
    st.lists(
        st.builds(
            Press,
            st.lists(changes(WRITE, RENAME), max_size=2),
            st.lists(changes(WRITE, APPEND, RENAME), max_size=4),
        ),
        min_size=1,
        max_size=3,
    )
)


def prove(subject: Subject, search: Search) -> None:
    """Refute by the first folder that cannot be renamed, or that has changed afterwards."""
    with subject.runner(observe=False) as runner:

        def check(session: Sequence[Press]) -> None:
            model, avatar = Model(), subject.avatar()
            for press in session:
                model.edit(press.edits)
                model.arrive()
                script = model.run(press.deeds)
                run = complete(
                    runner, avatar, VisibleFiles({**model.files(), _SCRIPT: VisibleFile(script)})
                )
                if run.status:
                    raise Refuted(f"{press}: {' '.join(run.stderr.split())}")
            found = kept(runner, avatar)
            tree = {path: entry for path, entry in found.items() if path not in (b".", _SCRIPT)}
            search.tally.compared(tree)
            model.settle(tree)
            if said := differences(model.entries(tree, contents=True), tree):
                raise Refuted(said)

        def check_several(several: Sequence[Sequence[Press]]) -> None:
            for session in several:
                search.tally.label(
                    *(change.verb for press in session for change in (*press.edits, *press.deeds))
                )
            check(beside(several))

        search.listed("cases", _CASES, lambda name: check(_CASES[name]))
        search.drawn(
            "sessions", _RENAMES, alone_too(check_several), most=subject.most(33, 4), weigh=len
        )
