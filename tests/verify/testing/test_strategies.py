"""The public strategies: they draw whatever Linux allows, and shrink to what a reader
understands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import find, given, settings

from harness.verify.testing.planting import Planned, Tree
from harness.verify.testing.strategies import FIRST_STAMP, LAST_STAMP, SECOND, modes, stamps, trees

SMALLEST = Planned("d")

quick = settings(max_examples=400, deadline=None)


@quick
@given(stamps(), modes(readable=True))
def test_stamps_and_modes_are_in_bounds(stamp: int, mode: int) -> None:
    """Of what common file systems hold; and what is to be readable is."""
    assert FIRST_STAMP <= stamp <= LAST_STAMP
    assert 0 <= mode <= 0o7777
    assert mode & 0o500 == 0o500


@pytest.mark.parametrize(
    ("wanted", "smallest"),
    [
        (lambda entry: entry.kind == "f" and entry.mtime_ns % SECOND, Planned("f", mtime_ns=1)),
        (lambda entry: entry.kind == "f" and entry.mode != 0o644, Planned("f", mode=0o755)),
        (lambda entry: entry.kind == "f" and entry.mtime_ns < 0, Planned("f", mtime_ns=-1)),
        (lambda entry: entry.kind == "f" and entry.hole, Planned("f", hole=4096)),
        (lambda entry: entry.kind == "l", Planned("l", content=b"a")),
        (lambda entry: entry.kind == "p", Planned("p")),
    ],
)
def test_a_tree_shrinks_to_the_entry_that_matters(
    wanted: Callable[[Planned], object], smallest: Planned
) -> None:
    """Every kind is drawn, with every kind of stamp and mode; what is left is one entry of an
    ordinary name.
    """
    tree = find(
        trees(size=2, readable=False),
        lambda tree: any(wanted(entry) for entry in tree.values()),
        settings=quick,
    )
    assert tree == {b".": SMALLEST, b"a": smallest}


def test_a_tree_may_have_hard_links() -> None:
    """The second name is the first's file, with all that it has."""
    tree: Tree = find(
        trees(size=2, readable=False),
        lambda tree: any(entry.twin for entry in tree.values()),
        settings=quick,
    )
    second = next(entry for entry in tree.values() if entry.twin)
    assert second == replace(tree[second.twin], twin=second.twin)
    assert len(tree) == 3
