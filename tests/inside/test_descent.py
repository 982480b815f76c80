"""A walk that nothing swapped meanwhile leads out of the tree, and that no depth makes costly."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given

from harness.inside.descent import WINDOW, Met, descend
from harness.verify.testing.planting import Planned, planted
from harness.verify.testing.strategies import trees
from tests.support import on_disk


def nest(folder: Path, levels: int, name: str = "down") -> None:
    """Folder in folder in folder, with a file in each; deeper than a path can name."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.close(os.open("file", os.O_CREAT, dir_fd=here))
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


@contextmanager
def descriptors(most: int) -> Iterator[None]:
    """No more than so many beside those that are open already."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def opened() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@on_disk
@given(trees())
def test_everything_is_met_once(tree: dict[bytes, Planned]) -> None:
    """By its own name in the folder that it is in, after that folder."""
    with planted(tree) as folder:
        met = []
        for each in descend(folder):
            assert os.path.samestat(os.lstat(each.name, dir_fd=each.parent), each.status)
            assert each.path == b"." or (os.path.dirname(each.path) or b".") in met
            met.append(each.path)
        assert sorted(met) == sorted(tree)


def test_a_nest_costs_few_descriptors(tmp_path: Path) -> None:
    """However deep, with something to come back to at each level; and none is left open."""
    tree = tmp_path / "tree"
    tree.mkdir()
    name = "n" * 20  # longer together than a path may be
    nest(tree, 300, name)
    for level in range(0, 60, 3):
        (tree / "/".join([name] * level) / "beside" / "inner").mkdir(parents=True)
    before = opened()
    with descriptors(WINDOW + 8):
        assert sum(1 for _ in descend(tree)) == 1 + 2 * 300 + 2 * 20
    assert opened() == before


def test_a_walk_that_is_given_up_leaves_nothing_open(tmp_path: Path) -> None:
    """Wherever it was."""
    nest(tmp_path, 40)
    before = opened()
    tree = descend(tmp_path)
    for _ in range(50):
        next(tree)
    assert opened() > before
    del tree
    assert opened() == before


def paths(tree: Path, meanwhile: Callable[[Met], object]) -> list[bytes]:
    """What is met of a tree in which something happens whenever an entry was met."""
    found = []
    for met in descend(tree):
        found.append(met.path)
        meanwhile(met)
    return found


@pytest.mark.parametrize("becomes", ["symlink", "file", "nothing"])
def test_a_folder_that_becomes_something_else_is_not_entered(tmp_path: Path, becomes: str) -> None:
    """Between the moment when it is seen and the moment when it is opened; the rest is met."""
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    for each in (tree / "folder", tree / "other", outside):
        each.mkdir(parents=True)
        (each / "inside").touch()

    def swap(met: Met) -> None:
        if met.path == b"folder":
            (tree / "folder").rename(tmp_path / "moved")
            if becomes == "symlink":
                (tree / "folder").symlink_to(outside)
            elif becomes == "file":
                (tree / "folder").touch()

    assert sorted(paths(tree, swap)) == [b".", b"folder", b"other", b"other/inside"]


def test_a_walk_does_not_come_back_up_into_another_tree(tmp_path: Path) -> None:
    """A deep folder that is moved out of the tree leads to what is above it there."""
    tree, elsewhere = tmp_path / "tree", tmp_path / "elsewhere"
    for each in (tree, elsewhere):
        each.mkdir()
    nest(tree, 3 * WINDOW)
    (elsewhere / "not ours").mkdir()
    bottom = b"/".join([b"down"] * 3 * WINDOW)

    def move(met: Met) -> None:
        if met.path == bottom:
            above = tree / "/".join(["down"] * WINDOW)
            (above / "down").rename(elsewhere / "down")

    with pytest.raises(OSError, match="moved"):
        paths(tree, move)


def test_only_a_folder_is_walked_through(tmp_path: Path) -> None:
    """A symlink to one is none."""
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(NotADirectoryError):
        next(descend(tmp_path / "link"))
