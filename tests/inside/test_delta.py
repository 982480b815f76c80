"""The delta: what of the visible files changed, worked out from contents and from nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.inside.delta import (
    Delta,
    Stamped,
    blob_id,
    delta_between,
    feed,
    read_all,
    same_kind,
    stamped,
    usable,
)
from harness.verify.testing.strategies import contents, file_names

FILE, PROGRAM, LINK, FOLDER = 0o100644, 0o100755, 0o120000, 0o040000

NAMES = st.sampled_from([b"a", b"b", b"c", b"d/e"])
FILES = st.dictionaries(
    NAMES, st.builds(Stamped, st.sampled_from([FILE, PROGRAM, LINK]), st.sampled_from(["1", "2"]))
)
THERE = st.sets(NAMES)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path, os.O_RDONLY)
    yield opened
    os.close(opened)


@settings(deadline=None)
@given(FILES, FILES, THERE)
def test_every_name_is_in_one_part(
    manifest: dict[bytes, Stamped], sent: dict[bytes, Stamped], there: set[bytes]
) -> None:
    """Those of the manifest are unchanged, changed, new or gone; deleted are those that were sent
    and are in it no more.
    """
    delta = delta_between(manifest, sent, there)
    parts = (delta.unchanged, delta.changed, delta.new, delta.gone)
    assert sorted(name for part in parts for name in part) == sorted(manifest)
    assert set(delta.deleted) == sent.keys() - manifest.keys()
    assert all(list(part) == sorted(part) for part in (*parts, delta.deleted))


@settings(deadline=None)
@given(FILES, FILES, THERE)
def test_an_edit_is_what_differs_from_what_was_sent_last(
    manifest: dict[bytes, Stamped], sent: dict[bytes, Stamped], there: set[bytes]
) -> None:
    """Whatever a run made of it; the rest is only written where it is gone."""
    delta = delta_between(manifest, sent, there)
    same = {name for name in manifest.keys() & sent.keys() if manifest[name] == sent[name]}
    assert set(delta.unchanged) == same & there
    assert set(delta.gone) == same - there
    assert set(delta.changed) == (manifest.keys() & sent.keys()) - same
    assert set(delta.new) == manifest.keys() - sent.keys()


@settings(deadline=None)
@given(FILES, FILES, THERE)
def test_what_was_written_is_unchanged_next_time(
    manifest: dict[bytes, Stamped], sent: dict[bytes, Stamped], there: set[bytes]
) -> None:
    """However little of it was there, one save is enough."""
    delta = delta_between(manifest, sent, there)
    assert delta.names == (*delta.unchanged, *delta.written)
    assert delta_between(manifest, manifest, delta.names) == Delta(
        tuple(sorted(manifest)), (), (), ()
    )


def test_a_run_s_product_that_the_player_sends_too_is_written() -> None:
    """From then on it is the player's: deleted in the browser, it is deleted in the sandbox."""
    assert delta_between({b"a": Stamped(FILE, "1")}, {}, there=[b"a"]).written == (b"a",)


@pytest.mark.parametrize("sent", [FILE, PROGRAM, LINK])
@pytest.mark.parametrize("before", [FILE, PROGRAM, LINK])
def test_a_change_of_kind_is_a_change(before: int, sent: int) -> None:
    """The permission to execute is the player's to give and to take."""
    delta = delta_between({b"a": Stamped(sent, "1")}, {b"a": Stamped(before, "1")}, [b"a"])
    assert bool(delta.written) == (before != sent)


@pytest.mark.parametrize(
    ("mode", "found", "same"),
    [
        (FILE, stat.S_IFREG | 0o755, True),
        (FILE, stat.S_IFREG | 0o400, True),
        (PROGRAM, stat.S_IFREG | 0o500, True),
        (PROGRAM, stat.S_IFREG | 0o100, False),
        (PROGRAM, stat.S_IFREG | 0o644, False),
        (FILE, stat.S_IFREG | 0o311, False),
        (FILE, stat.S_IFLNK | 0o777, False),
        (LINK, stat.S_IFLNK | 0o777, True),
        (LINK, stat.S_IFREG | 0o644, False),
        (FILE, stat.S_IFDIR | 0o755, False),
        (FILE, stat.S_IFIFO | 0o644, False),
        (FOLDER, stat.S_IFDIR | 0o755, True),
        (FOLDER, stat.S_IFREG | 0o644, False),
    ],
)
def test_what_is_no_file_any_more_is_not_there(mode: int, found: int, same: bool) -> None:
    """Nor is a file that its owner may not read: the next run could not, though root can."""
    assert same_kind(mode, os.stat_result((found, *[0] * 9))) == same


@settings(deadline=None, max_examples=20)
@given(contents())
def test_a_content_is_named_as_git_names_it(content: bytes) -> None:
    """So that the history's objects are found by any git."""
    named = subprocess.run(
        ["git", "hash-object", "--stdin"], input=content, capture_output=True, check=False
    )
    assert blob_id(content) == named.stdout.decode().strip()


@pytest.mark.parametrize(
    ("mode", "kind"), [(0o644, FILE), (0o600, FILE), (0o755, PROGRAM), (0o100, PROGRAM)]
)
def test_a_file_is_seen_as_git_sees_it(tmp_path: Path, folder: int, mode: int, kind: int) -> None:
    """Of all its permissions only the owner's to execute it counts."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "file").chmod(mode | 0o400)
    assert stamped(folder, b"file") == Stamped(kind, blob_id(b"content"))


def test_a_file_that_its_owner_may_not_read_is_not_seen(tmp_path: Path, folder: int) -> None:
    """So that it is written anew, and the next run can read it: not even where root looks, who may
    read everything.
    """
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "file").chmod(0o311)
    assert stamped(folder, b"file") is None


@settings(deadline=None, max_examples=20)
@given(name=file_names())
def test_a_file_of_any_name_is_seen(tmp_path_factory: pytest.TempPathFactory, name: bytes) -> None:
    """Names are bytes."""
    path = tmp_path_factory.mktemp("folder")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.close(os.open(name, os.O_CREAT, 0o644, dir_fd=descriptor))
        assert stamped(descriptor, name) == Stamped(FILE, blob_id(b""))
    finally:
        os.close(descriptor)


def test_a_symlink_is_seen_as_such(tmp_path: Path, folder: int) -> None:
    """Where it points is its content; what is there does not matter."""
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert stamped(folder, b"link") == Stamped(LINK, blob_id(b"/etc/passwd"))


def test_anything_else_is_none(tmp_path: Path, folder: int) -> None:
    """A folder, and a fifo (which is not waited for)."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    assert [stamped(folder, name) for name in (b"folder", b"fifo")] == [None] * 2


def test_nothing_is_no_file(folder: int) -> None:
    with pytest.raises(FileNotFoundError):
        stamped(folder, b"nothing")


def test_a_large_file_is_read_in_pieces(tmp_path: Path, folder: int) -> None:
    """What a run made of a visible file may be as large as the limit of a file, and costs next to
    no memory.
    """
    os.truncate(os.open(tmp_path / "large", os.O_CREAT | os.O_WRONLY), 100 << 20)
    tracemalloc.start()
    try:
        assert stamped(folder, b"large") is not None
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, 4, 6, 100])
def test_a_file_that_is_written_to_meanwhile_is_not_seen(
    tmp_path: Path, folder: int, size: int
) -> None:
    """No more of it is read than it had when it was looked at: it may grow for ever."""
    (tmp_path / "file").write_bytes(b"hello")
    digest = hashlib.sha1(usedforsecurity=False)
    assert not feed(digest, folder, b"file", size)
    assert feed(digest, folder, b"file", 5)


@pytest.mark.parametrize("size", [0, 5, 6, 100])
def test_a_file_whose_size_was_another_is_read_whole(tmp_path: Path, size: int) -> None:
    """It may grow or shrink after it was looked at, and a kernel may give less than was asked
    for.
    """
    (tmp_path / "file").write_bytes(b"hello")
    with (tmp_path / "file").open("rb") as file:
        assert read_all(file.fileno(), size) == b"hello"


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "device"])
def test_only_a_file_is_read(tmp_path: Path, folder: int, kind: str) -> None:
    """Whatever took its place since it was looked at: a fifo is not waited for, a symlink not
    followed.
    """
    (tmp_path / "file").write_bytes(b"hello")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("file")
    with contextlib.suppress(PermissionError):  # only root makes one
        os.mknod(tmp_path / "device", stat.S_IFCHR, os.makedev(1, 5))
    with pytest.raises(OSError, match="not a regular file"):
        feed(hashlib.sha1(usedforsecurity=False), folder, kind.encode(), 5)


def test_what_must_be_copied_and_what_the_player_has() -> None:
    """Unchanged files are there already; folders are empty if none of his files is left below."""
    delta = Delta(
        unchanged=(b"a/b/same",),
        changed=(b"x",),
        new=(b"y", b"made"),
        deleted=(b"a/b/c/d/file", b"a/e/file", b"made/file", b"top", b"x/y"),
        gone=(b"z/gone",),
    )
    assert delta.written == (b"x", b"y", b"made", b"z/gone")
    assert delta.names == (b"a/b/same", *delta.written)
    assert delta.emptied == [b"a/e", b"a/b/c/d", b"a/b/c"]
    assert Delta((), (), (), (b"a/b",)).emptied == [b"a"]


@pytest.mark.parametrize(
    ("now", "before", "differs"),
    [
        ((PROGRAM, "1"), (FILE, "1"), True),
        ((FILE, "1"), (PROGRAM, "1"), True),
        ((PROGRAM, "1"), (FILE, "2"), False),  # another content too
        ((PROGRAM, "2"), (FILE, "1"), False),
        ((FILE, "1"), (LINK, "1"), False),  # another kind
        ((LINK, "1"), (FILE, "1"), False),
        ((FILE, "1"), (FILE, "2"), False),
    ],
)
def test_a_change_of_the_permission_alone_is_told(
    now: tuple[int, str], before: tuple[int, str], differs: bool
) -> None:
    delta = delta_between({b"a": Stamped(*now)}, {b"a": Stamped(*before)}, {b"a"})
    assert delta.changed == (b"a",)
    assert delta.modes == ((b"a",) if differs else ())


def test_an_owner_needs_to_read_and_to_execute_programs() -> None:
    assert [usable(mode) for mode in (FILE, PROGRAM)] == [0o400, 0o500]


def test_a_file_that_cannot_be_opened_is_not_seen(
    tmp_path: Path, folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be removed after it was looked at; so may a symlink."""

    def fail(*_: object, **__: object) -> int:
        raise FileNotFoundError

    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    monkeypatch.setattr("harness.inside.delta.open_file", fail)
    monkeypatch.setattr("harness.inside.delta.os.readlink", fail)
    assert [stamped(folder, name) for name in (b"file", b"link")] == [None, None]


def test_a_file_that_grows_after_its_size_was_asked_is_not_seen(
    tmp_path: Path, folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one byte too."""
    (tmp_path / "file").write_bytes(b"hello")
    shorter = os.stat_result((stat.S_IFREG | 0o644, *[0] * 5, 4, *[0] * 3))
    monkeypatch.setattr("harness.inside.delta.os.fstat", lambda file: shorter)
    assert not feed(hashlib.sha1(usedforsecurity=False), folder, b"file", 4)
