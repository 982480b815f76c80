"""The model of a sandbox: what a folder in place would hold."""

from __future__ import annotations

from harness.verify.testing.sessions import APPEND, HARD, Change, Model, Node


def test_a_new_name_joins_no_other_file() -> None:
    """Where the tree was taken as it was found, with the numbers that its files of several names
    have there.
    """
    model = Model()
    model.tree = {
        b"one": Node("f", b"1", links=1),
        b"two": Node("f", b"1", links=1),
        b"three": Node("f", b"3"),
    }
    model.run([Change(HARD, b"four", b"three"), Change(APPEND, b"one", b"2")])
    assert {path: node.content for path, node in model.tree.items()} == {
        b"one": b"12",
        b"two": b"12",
        b"three": b"3",
        b"four": b"3",
    }
