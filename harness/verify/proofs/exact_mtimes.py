"""Exact stamps: arbitrary trees survive one round trip, and twenty, in every entry.

A run plants the trees with a shell script, without tar; the test events after it change nothing.
Each run must find what the run before it left: kind, mode, size and stamp of every entry, folders
and symlinks included. In the end the katas must also hold the contents, symlink targets and hard
links that were planted.

An example is several trees side by side in one sandbox: a test event costs the same for one as for
a dozen. One round trip takes two test events and twenty take twenty-one, at half a second each on
Docker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.inside.layout import printable_name
from harness.inside.tree import Entry, Snapshot
from harness.runners.run import Run
from harness.verify.proofs.shared.search import Search
from harness.verify.proofs.shared.subject import Subject, complete, kept, seen
from harness.verify.proofs.shared.tree_differences import differences
from harness.verify.proofs.shared.verdict import Refuted, Untried
from harness.verify.testing.planting import Tree, decimal, expected, recipe
from harness.verify.testing.strategies import several, trees

PLANTS = """#!/bin/sh
[ -e planted ] || { sh ./plant && echo >planted; }
"""

FOREST = several(trees(size=4, readable=False))

_SECOND = 10**9


def prove(subject: Subject, search: Search) -> None:
    """Refute by the first entry that did not come back as it was."""
    with subject.runner() as runner:

        def check(forest: Sequence[Tree], trips: int) -> None:
            avatar = subject.avatar()
            for tree in forest:
                search.tally.label(*_labels(tree))
            folders = {b"%d" % number: tree for number, tree in enumerate(forest, 1)}
            script = b" &&\n".join(recipe(tree, folder).strip() for folder, tree in folders.items())
            files: dict[str, str | bytes] = {"cyber-dojo.sh": PLANTS, "plant": script}
            run = complete(runner, avatar, files)
            left = seen(run).after
            plan = {
                (folder if path == b"." else folder + b"/" + path): _inside(entry, folder)
                for folder, tree in folders.items()
                for path, entry in expected(tree).items()
            }
            _check_planted(run, plan)
            for trip in range(1, trips + 1):
                found = seen(complete(runner, avatar, files)).before
                search.tally.compared(left)
                if said := differences(left, found):
                    raise Refuted(f"after {trip} round trip{'s' * (trip > 1)} {said}")
            katas = kept(runner, avatar)
            # A disk or kernel may clamp modes and stamps.
            wanted = {
                path: replace(entry, mode=left[path].mode, mtime_ns=left[path].mtime_ns)
                for path, entry in plan.items()
            }
            if said := differences(wanted, {path: katas[path] for path in wanted if path in katas}):
                raise Refuted(f"in the katas, after {trips} round trip{'s' * (trips > 1)}, {said}")

        search.drawn(
            "one-trip", FOREST, lambda forest: check(forest, 1), most=subject.most(33, 6), weigh=len
        )
        # Trees without entries tell little.
        grown = FOREST.filter(lambda forest: sum(map(len, forest)) > len(forest))
        search.drawn("twenty-trips", grown, lambda forest: check(forest, 20), most=1, weigh=len)


_KINDS = {"f": "file", "d": "folder", "l": "symlink", "p": "fifo"}


def _labels(tree: Tree) -> Iterator[str]:
    for entry in tree.values():
        yield _KINDS[entry.kind]
        if entry.twin:
            yield "hard link"
        if entry.hole:
            yield "hole"
        if entry.mtime_ns < 0 or entry.mtime_ns > 2**32 * _SECOND:
            yield "date of another age"
        if not entry.mode & 0o400:
            yield "unreadable"


def _inside(entry: Entry, folder: bytes) -> Entry:
    return replace(entry, link=folder + b"/" + entry.link) if entry.link else entry


def _check_planted(run: Run, plan: Snapshot) -> None:
    """Check what no runner can help: a disk may clamp a stamp, but must not cut its fraction."""
    left = seen(run).after
    if run.status:
        raise Untried(f"the trees could not be planted: {' '.join(run.stderr.split())}")
    for path, entry in plan.items():
        stamp = left[path].mtime_ns
        if stamp != entry.mtime_ns and abs(stamp - entry.mtime_ns) < _SECOND:
            raise Untried(
                f"the sandbox cannot hold the stamp {decimal(entry.mtime_ns)} "
                f"of {printable_name(path)}: it has {decimal(stamp)}"
            )
