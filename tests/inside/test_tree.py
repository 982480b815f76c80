"""A tree as a value: snapshots hold everything that counts, and the difference of two is exact."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.inside.tree import Difference, Entry, difference, newest, parse_find, snapshot, walk
from harness.verify.testing.planting import Planned, expected, plant, planted
from harness.verify.testing.strategies import paths, stamps, trees
from tests.support import on_disk

FIND = ("find", ".", "-printf", r"%y %m %s %T@ %P\0")


def found(folder: str) -> dict[bytes, Entry]:
    return parse_find(subprocess.run(FIND, cwd=folder, stdout=subprocess.PIPE, check=True).stdout)


@on_disk
@given(trees())
def test_a_snapshot_holds_everything_of_a_tree(tree: dict[bytes, Planned]) -> None:
    """Kind, mode, size, content, where symlinks point, which names are one file, and stamps to the
    nanosecond.
    """
    with planted(tree) as folder:
        assert snapshot(folder, contents=True) == expected(tree)


@on_disk
@given(trees())
def test_find_prints_the_snapshot(tree: dict[bytes, Planned]) -> None:
    """What find prints in a run-container is the snapshot without contents, targets and links, to
    the nanosecond, for stamps before 1970 too.
    """
    with planted(tree) as folder:
        assert found(folder) == {
            path: replace(entry, target=b"", link=b"") for path, entry in snapshot(folder).items()
        }


@settings(deadline=None)
@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 999_999_999))
def test_no_stamp_that_find_can_print_is_rounded(seconds: int, nanoseconds: int) -> None:
    """Also on file systems that hold stamps until the end of time."""
    entry = parse_find(b"f 644 5 %d.%09d0 a b\0" % (seconds, nanoseconds))
    assert entry == {b"a b": Entry("f", 0o644, 5, seconds * 10**9 + nanoseconds)}


def test_a_snapshot_without_contents_reads_no_file(tmp_path: Path) -> None:
    """Contents are hashed only when asked for."""
    (tmp_path / "file").write_bytes(b"content")
    assert snapshot(tmp_path)[b"file"].digest == ""
    assert snapshot(tmp_path)[b"file"].size == 7


def test_a_name_whose_other_names_are_elsewhere_is_alone(tmp_path: Path) -> None:
    """Hard links are those of the tree."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").touch()
    os.link(tmp_path / "tree" / "a", tmp_path / "outside")
    assert not snapshot(tmp_path / "tree")[b"a"].link


def test_a_snapshot_follows_no_symlink(tmp_path: Path) -> None:
    """What a symlink points to is no part of the tree."""
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    outside.mkdir()
    tree.mkdir()
    (outside / "file").touch()
    (tree / "link").symlink_to(outside)
    assert set(snapshot(tree)) == {b".", b"link"}


def test_a_socket_has_its_own_kind(tmp_path: Path) -> None:
    """Whatever a server left behind does not break a snapshot."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert snapshot(tmp_path, contents=True)[b"socket"].kind == "s"
        assert found(str(tmp_path))[b"socket"].kind == "s"


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """Nothing is no tree."""
    with pytest.raises(FileNotFoundError):
        snapshot(tmp_path / "missing")


def test_a_walk_meets_parents_before_their_children(tmp_path: Path) -> None:
    """So that a mode can be mended on the way down."""
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    met = [path for path, _ in walk(tmp_path)]
    assert met == [b".", b"a", b"a/b", b"a/b/c"]


@on_disk
@given(trees())
def test_the_newest_stamp_is_that_of_the_newest_entry(tree: dict[bytes, Planned]) -> None:
    """Of files, folders and symlinks alike, the tree's own included."""
    with planted(tree) as folder:
        assert newest(folder) == max(entry.mtime_ns for entry in snapshot(folder).values())


def test_a_nest_deeper_than_any_path_has_a_snapshot(tmp_path: Path) -> None:
    """With what its symlinks and files at the bottom hold."""
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.symlink("target", "link", dir_fd=here)
    os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.utime("file", ns=(5, 2**62), dir_fd=here)
    os.close(here)
    found = snapshot(tmp_path, contents=True)
    bottom = b"/".join([b"d" * 200] * 30)
    assert found[bottom + b"/link"].target == b"target"
    assert found[bottom + b"/file"].digest == hashlib.sha256().hexdigest()
    assert newest(tmp_path) == found[bottom + b"/file"].mtime_ns


ENTRIES = st.builds(
    Entry, st.sampled_from("fdl"), st.integers(0, 0o7777), st.integers(0, 9), stamps()
)
SNAPSHOTS = st.dictionaries(paths(depth=1), ENTRIES, max_size=6)


@settings(deadline=None)
@given(SNAPSHOTS, SNAPSHOTS)
def test_a_difference_names_every_path_that_differs_once(
    before: dict[bytes, Entry], after: dict[bytes, Entry]
) -> None:
    """Added, removed and changed are disjoint, sorted, and leave out exactly what is the same in
    both.
    """
    found = difference(before, after)
    parts = (found.added, found.removed, found.changed)
    named = [path for part in parts for path in part]
    assert all(list(part) == sorted(part) for part in parts)
    assert len(named) == len(set(named))
    assert set(named) == {
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    }
    assert bool(found) == (before != after)


@settings(deadline=None)
@given(SNAPSHOTS, SNAPSHOTS)
def test_a_difference_has_a_direction(
    before: dict[bytes, Entry], after: dict[bytes, Entry]
) -> None:
    """What one way added, the way back removes."""
    there, back = difference(before, after), difference(after, before)
    assert (there.added, there.removed, there.changed) == (back.removed, back.added, back.changed)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"other"),
        lambda path: path.chmod(0o600),
        lambda path: os.utime(path, ns=(1, path.stat().st_mtime_ns + 1)),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to("twin")),
        lambda path: (path.unlink(), os.link(path.parent / "twin", path)),
    ],
    ids=["content", "mode", "one nanosecond", "kind", "symlink", "hard link"],
)
def test_any_change_of_an_entry_is_seen(tmp_path: Path, change: object) -> None:
    """Even one that leaves size and stamp as they were."""
    assert callable(change)
    plant(
        {each: Planned("f", mtime_ns=5, content=b"12345") for each in (b"file", b"twin")}, tmp_path
    )
    before = snapshot(tmp_path, contents=True)
    change(tmp_path / "file")
    os.utime(tmp_path / "twin", ns=(5, 5))
    assert b"file" in difference(before, snapshot(tmp_path, contents=True)).changed


def test_an_empty_difference_is_false() -> None:
    """`if difference(...)` reads as "if anything changed"."""
    assert not Difference((), (), ())
    assert Difference((), (), (b"a",))
