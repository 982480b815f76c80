"""What a run changed, told from two listings."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from harness.inside.changes import (
    Changes,
    Folder,
    Listing,
    above,
    can_tell,
    changes_between,
    parse_listing,
    suspects,
)
from harness.inside.errors import StreamCut


def listing(folder: Path) -> Listing:
    """The folder as a guest lists it."""
    form = r"%A@ %y %m %s %T@ %C@ %i %n/%P\0"
    return parse_listing(
        subprocess.run(["find", folder, "-printf", form], stdout=subprocess.PIPE, check=True).stdout
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two folders with a file in each, and one above them; nothing in it has changed for some ticks
    of the clock.
    """
    root = tmp_path / "tree"
    for name in ("a/one", "b/two", "three"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    time.sleep(0.02)
    return root


def changes(
    before: Listing, after: Listing, *sent: bytes
) -> tuple[tuple[bytes, ...], tuple[bytes, ...], set[bytes]]:
    found = changes_between(before, sent, after)
    return found.gone, found.brought, {each.path for each in found.folders}


def test_nothing_changed(tree: Path) -> None:
    """A read is no change."""
    before = listing(tree)
    (tree / "three").read_text()
    assert changes_between(before, (), listing(tree)) == Changes((), (), ())


def test_children_of_a_renamed_folder_come_along(tree: Path) -> None:
    """Though neither their inode nor their ctime moves."""
    before = listing(tree)
    (tree / "a").rename(tree / "c")
    assert changes(before, listing(tree)) == ((b"a",), (b"c/one",), {b".", b"c"})


def test_two_folders_that_changed_places(tree: Path) -> None:
    """Each has the other's child."""
    (tree / "b/two").rename(tree / "b/one")
    before = listing(tree)
    for old, new in (("a", "c"), ("b", "a"), ("c", "b")):
        (tree / old).rename(tree / new)
    assert changes(before, listing(tree)) == ((), (b"a/one", b"b/one"), {b".", b"a", b"b"})


def test_a_file_becomes_a_folder_and_a_folder_a_file(tree: Path) -> None:
    before = listing(tree)
    (tree / "three").unlink()
    (tree / "three").mkdir()
    (tree / "three/inside").touch()
    (tree / "a/one").unlink()
    (tree / "a").rmdir()
    (tree / "a").touch()
    assert changes(before, listing(tree)) == ((), (b"a", b"three/inside"), {b".", b"three"})


@pytest.mark.parametrize("stamp", [0, 1_500_000_000_000_000_001])
def test_a_stamp_that_was_set_back_hides_nothing(tree: Path, stamp: int) -> None:
    """Another content of the same length with the old mtime; or an mtime alone."""
    os.utime(tree / "three", ns=(stamp, stamp))
    time.sleep(0.02)
    before = listing(tree)
    (tree / "three").write_text("THREE")
    os.utime(tree / "three", ns=(stamp, stamp))
    assert changes(before, listing(tree)) == ((), (b"three",), {b"."})


def test_a_name_in_a_renamed_folder_brings_the_others(tree: Path) -> None:
    """Of which nothing has changed: brought alone, it would be a file of its own from then on."""
    os.link(tree / "a/one", tree / "b/again")
    time.sleep(0.02)
    before = listing(tree)
    (tree / "a").rename(tree / "c")
    assert changes(before, listing(tree)) == ((b"a",), (b"b/again", b"c/one"), {b".", b"b", b"c"})


def test_all_names_of_a_file_come_together(tree: Path) -> None:
    """One more hard link to a file that was there is a change of each of its names."""
    before = listing(tree)
    os.link(tree / "a/one", tree / "b/again")
    assert changes(before, listing(tree)) == ((), (b"a/one", b"b/again"), {b".", b"a", b"b"})


def test_what_was_sent_and_is_gone_again_goes(tree: Path) -> None:
    """It was never listed, and lies in the tree that is to be changed, too."""
    before = listing(tree)
    assert changes(before, listing(tree), b"new/file", b"new") == ((b"new",), (), {b"."})


def test_modes_and_stamps_of_folders_are_those_after(tree: Path) -> None:
    before = listing(tree)
    (tree / "a").chmod(0o700)
    os.utime(tree / "a", ns=(5, 5))
    found = changes_between(before, (), listing(tree))
    assert [each for each in found.folders if each.path == b"a"] == [Folder(b"a", 0o700, 5)]


def test_sockets_are_left_behind() -> None:
    """As tar leaves them."""
    empty = Listing({b".": b"d 755 0 1.0 1.0 1 2"}, {b".": b"1.0"})
    after = Listing({**empty.records, b"s": b"s 755 0 1.0 2.0 3 1"}, {b".": b"1.0", b"s": b"2.0"})
    assert changes_between(empty, (), after) == Changes((), (), ())


def record(read: str, rest: str = "f 644 1 10.0 10.0 7 1") -> Listing:
    return Listing(
        {b".": b"d 755 0 1.0 1.0 1 2", b"a": rest.encode()}, {b".": b"1.0", b"a": read.encode()}
    )


@pytest.mark.parametrize(
    ("before", "after", "suspect"),
    [
        ("10.0", "10.0", False),
        ("10.0", "11.0", True),
        ("10.0", "9.0", True),  # somebody set it back
        ("10.5", "10.5", True),  # a read after which nothing changed is the last to be stamped
    ],
)
def test_what_was_read_may_have_been_written(before: str, after: str, suspect: bool) -> None:
    """Through a shared mapping, where that moves no ctime."""
    assert suspects(record(before), record(after)) == ((b"a",) if suspect else ())


def marks(read: str, moved: str) -> Listing:
    return Listing(
        {b"mark": b"f 600 1 11.0 11.0 2 1", b"moved": b"f 600 1 12.0 %b 3 1" % moved.encode()},
        {b"mark": read.encode(), b"moved": b"12.0"},
    )


@pytest.mark.parametrize(
    ("file_system", "read", "moved", "told"),
    [
        ("ext2/ext3", "11.0", "12.0", True),
        ("tmpfs", "11.5", "12.0", True),
        ("tmpfs", "11.0", "12.0", False),  # mounted without stamps of reads
        (
            "ext2/ext3",
            "11.5",
            "10.0",
            False,
        ),  # the clock did not move on after the last write, or was set back
        ("nfs", "11.5", "12.0", False),  # nobody has looked into it
    ],
)
def test_where_changes_cannot_be_told_that_is_known(
    file_system: str, read: str, moved: str, told: bool
) -> None:
    assert can_tell(file_system, marks(read, moved), record("10.0")) is told


def test_what_is_no_listing_is_refused() -> None:
    with pytest.raises(StreamCut, match="is not an entry of a listing"):
        parse_listing(b"nonsense\0")


def test_each_fact_of_a_listing_has_its_own_reader() -> None:
    """A folder has no other names, however many it counts."""
    found = parse_listing(
        b"9.5 f 644 12 10.5 11.0 7 2/twice\0"
        b"9.0 f 755 0 10.0 11.0 8 1/once\0"
        b"8.0 d 1777 4096 3.0 11.0 9 5/\0"
        b"7.0 l 777 3 99.25 11.0 9 1/a b\0"
    )
    assert [found.has_names(path) for path in (b"twice", b"once", b".", b"none")] == [
        *(True, False, False, False)
    ]
    assert [found.kind(path) for path in (b"twice", b".", b"a b", b"none")] == [
        b"f",
        b"d",
        b"l",
        b"",
    ]
    assert (found.size(b"twice"), found.size(b"once"), found.mode(b".")) == (12, 0, 0o1777)
    assert (found.stamp(b"twice"), found.newest()) == (10_500_000_000, 99_250_000_000)
    assert (found.reads[b"."], found.records[b"once"]) == (b"8.0", b"f 755 0 10.0 11.0 8 1")
    for damaged in (b"9.5 f 644 12 10.5 11.0 7 2\0", b"9.5/a\0"):
        with pytest.raises(StreamCut):
            parse_listing(damaged)


def test_without_marks_or_a_tree_nothing_can_be_told() -> None:
    """The clock must have moved on after the last change, and a read been stamped after one."""
    assert not can_tell("xfs", marks("11.5", "12.0"), Listing({}, {}))
    assert not can_tell("xfs", record("10.0"), record("10.0"))
    assert not can_tell("xfs", Listing({}, {}), record("10.0"))
    latest = record("10.0", "f 644 1 10.0 12.0 7 1")
    assert not can_tell("xfs", marks("11.5", "12.0"), latest)
    assert can_tell("xfs", marks("11.5", "12.000000001"), latest)
    assert not can_tell("tmpfs", marks("10.5", "12.0"), record("10.0"))


def test_only_a_file_that_stayed_is_a_suspect() -> None:
    """Folders and symlinks are not written through a mapping."""
    for kind in "dlps":
        at = (
            record("10.0", f"{kind} 644 1 10.0 10.0 7 1"),
            record("11.0", f"{kind} 644 1 10.0 10.0 7 1"),
        )
        assert suspects(*at) == ()
    assert suspects(record("10.0"), record("11.0", "f 644 1 10.0 10.5 7 1")) == ()
    for times, suspect in (
        ("11.0 9.0", False),
        ("9.0 10.5", False),
        ("10.5 9.0", False),
        ("10.0 10.4", True),
    ):
        listed = record("10.5", f"f 644 1 {times} 7 1")
        assert bool(suspects(listed, listed)) is suspect


def listed(**entries: str) -> Listing:
    """A listing of a folder with these entries; `_` in a name stands for a slash."""
    records = {name.replace("_", "/").encode(): each.encode() for name, each in entries.items()}
    return Listing({b".": b"d 755 0 1.0 1.0 1 2", **records}, {})


FOLDER = "d 755 0 1.0 1.0 5 2"


def test_folders_come_parents_first_and_all_above_a_change_come_along() -> None:
    """By their depth and then by name, the tree itself first."""
    before = listed(b=FOLDER, a=FOLDER, a_z=FOLDER, a_y=FOLDER)
    after = listed(
        b=FOLDER, a=FOLDER, a_z=FOLDER, a_y=FOLDER, a_z_c=FOLDER, a_z_c_f="f 644 1 2.0 2.0 9 1",
        b_g="f 644 1 2.0 2.0 8 1",
    )  # fmt: skip
    found = changes_between(before, (), after)
    assert [each.path for each in found.folders] == [b".", b"a", b"b", b"a/z", b"a/z/c"]
    assert found.folders[1] == (b"a", 0o755, 1_000_000_000)
    assert (found.gone, found.brought) == ((), (b"a/z/c/f", b"b/g"))


def test_what_was_in_a_removed_folder_goes_with_it() -> None:
    """So does what was in one that is a file now; what was sent and is not there goes too."""
    before = listed(a=FOLDER, a_b="f 644 1 2.0 2.0 8 1", c=FOLDER, c_d="f 644 1 2.0 2.0 9 1")
    after = listed(c="f 644 1 2.0 2.0 7 1")
    found = changes_between(before, [b"sent", b"e/sent"], after)
    assert (found.gone, found.brought) == ((b"a", b"e", b"sent"), (b"c",))
    assert [each.path for each in found.folders] == [b"."]
    assert changes_between(before, (), Listing({}, {})).gone == (b".",)


def test_only_the_names_of_what_changed_come_along() -> None:
    """Not those of another file that has several, nor all below a folder that is gone."""
    two, other = "f 644 1 2.0 2.0 8 2", "f 644 1 2.0 2.0 9 2"
    before = listed(a=two, b=two, c=other, d=other)
    after = listed(a=two, b=two, c=other.replace("644", "600"), d=other.replace("644", "600"))
    after.records[b"e"] = after.records[b"c"]  # type: ignore[index]
    assert changes_between(before, (), after).brought == (b"c", b"d", b"e")
    assert changes_between(before, (), before, [b"a", b"f"]).brought == (b"a", b"b", b"f")
    gone = Listing({**listed().records, b"+": FOLDER.encode(), b"+/f": two.encode()}, {})
    assert changes_between(gone, (), listed()).gone == (b"+",)


def test_what_was_sent_comes_with_its_folders_and_what_is_known_too() -> None:
    tree = listed(a=FOLDER, a_b=FOLDER, a_b_c="f 644 1 2.0 2.0 8 1", d="f 644 1 2.0 2.0 9 1")
    found = changes_between(tree, [b"a/b/c"], tree)
    assert ([each.path for each in found.folders], found.brought) == ([b".", b"a", b"a/b"], ())
    assert changes_between(tree, (), tree, [b"d"]).brought == (b"d",)


def test_folders_above_are_found_whatever_their_names() -> None:
    """Some sort before the name of the tree itself."""
    assert list(above(b"+a/-b/c")) == [b"+a/-b", b"+a", b"."]
    assert list(above(b"a")) == [b"."]
    assert list(above(b".")) == []
    after = Listing({b".": b"d 755 0 1.0 1.0 1 2", b"+": b"d 755 0 1.0 1.0 2 2",
                     b"+/f": b"f 644 1 1.0 1.0 3 1"}, {})  # fmt: skip
    found = changes_between(listed(), (), after)
    assert [each.path for each in found.folders] == [b".", b"+"]


@pytest.mark.parametrize("what", ["came", "went"])
def test_a_nest_costs_as_much_as_it_has_folders(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Not that many times its depth: of each path it is asked a few times what is above it."""
    asked = 0
    dirname = os.path.dirname

    def counting(path: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return dirname(path)

    monkeypatch.setattr("harness.inside.changes.os.path.dirname", counting)
    levels = 500
    paths = [b".", *(b"/".join([b"d"] * level) for level in range(1, levels))]
    empty = Listing({b".": b"d 755 0 1.0 1.0 1 2"}, {b".": b"1.0"})
    full = Listing(dict.fromkeys(paths, b"d 755 0 1.0 2.0 1 2"), dict.fromkeys(paths, b"1.0"))
    if what == "came":
        assert len(changes_between(empty, (), full).folders) == levels
    else:
        assert changes_between(full, (), empty).gone == (b"d",)
    assert asked < 5 * levels
