"""History: each accepted test event is a tag that holds what was sent, and what was printed.

Tags are numbered without gaps. Nothing that git does with the history meanwhile, or that a run
prints, changes that.

Between two test events references are packed, all of them or only the tags, as `git pack-refs` and
`git gc` may do at any time. An example is a tag; a draw has two to eleven of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from harness.katas import commits
from harness.verify.faults.packed_references import ALL, NONE, TAGS, pack_references
from harness.verify.proofs.shared.avatar_state import avatar_state
from harness.verify.proofs.shared.search import Search
from harness.verify.proofs.shared.subject import Subject, complete
from harness.verify.proofs.shared.verdict import Refuted, Untried

PACKINGS = st.lists(st.sampled_from((NONE, TAGS, ALL)), min_size=1, max_size=10)


def prove(subject: Subject, search: Search) -> None:
    """Refute by the first tag that has the wrong number, or holds something else."""
    with subject.runner(observe=False) as runner:

        def check(packings: Sequence[str]) -> None:
            avatar, sent = subject.avatar(), []
            for number, packing in enumerate((NONE, *packings), 1):
                if packing != NONE and not pack_references(
                    subject.engine, runner.katas, avatar, packing
                ):
                    raise Untried("this engine's histories cannot be reached to pack references")
                search.tally.label(f"packed: {packing}")
                script = f"#!/bin/sh\necho {number}\n"
                run = complete(
                    runner, avatar, {"cyber-dojo.sh": script, "edit": f"{number}\n", "same": ""}
                )
                if run.tag != number:
                    raise Refuted(
                        f"{', '.join(packings)} packed: tag {run.tag} came after {number - 1}"
                    )
                sent.append(script.encode())
            state = avatar_state(runner.katas, avatar)
            if state.tag != len(sent):
                raise Refuted(f"there are {state.tag} tags after {len(sent)} test events")
            with runner.katas.history(avatar) as history:
                for tag, script_sent in enumerate(sent, 1):
                    record = commits.read_commit(history, tag)
                    search.tally.entries += len(record.files)
                    if record.files != {
                        b"cyber-dojo.sh": script_sent,
                        b"edit": b"%d\n" % tag,
                        b"same": b"",
                    }:
                        raise Refuted(f"tag {tag} holds {dict(record.files)!r}")
                    if record.stdout != b"%d\n" % tag:
                        raise Refuted(f"tag {tag} says that {record.stdout!r} was printed")

        search.drawn(
            "packings",
            PACKINGS,
            check,
            most=subject.most(54, 8),
            weigh=lambda packings: 1 + len(packings),
        )
