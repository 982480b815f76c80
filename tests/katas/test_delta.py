"""The delta: what of the visible files changed, worked out from contents and from nothing else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.katas import delta as delta_module
from harness.katas.delta import Delta, Stamped, blob_id, stamped, work_out
from harness.testing.strategies import contents, names

FILE, PROGRAM, LINK = 0o100644, 0o100755, 0o120000

NAMES = st.sampled_from([b"a", b"b", b"c", b"d/e"])
STAMPED = st.builds(Stamped, st.sampled_from([FILE, PROGRAM, LINK]), st.sampled_from(["1", "2"]))
SENT = st.dictionaries(NAMES, STAMPED)
KEPT = st.dictionaries(NAMES, STAMPED | st.none())
BEFORE = st.sets(NAMES)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path, os.O_RDONLY)
    yield opened
    os.close(opened)


@settings(deadline=None)
@given(SENT, KEPT, BEFORE)
def test_every_name_is_in_one_part(
    sent: dict[bytes, Stamped], kept: dict[bytes, Stamped | None], before: set[bytes]
) -> None:
    """Those sent are unchanged, changed or new; deleted are those that were visible and were not sent."""
    delta = work_out(sent, kept, before)
    parts = (delta.unchanged, delta.changed, delta.new)
    assert sorted(name for part in parts for name in part) == sorted(sent)
    assert set(delta.deleted) == before - sent.keys()
    assert all(list(part) == sorted(part) for part in (*parts, delta.deleted))


@settings(deadline=None)
@given(SENT, KEPT, BEFORE)
def test_unchanged_is_what_is_there_already(
    sent: dict[bytes, Stamped], kept: dict[bytes, Stamped | None], before: set[bytes]
) -> None:
    """A visible file that the sandbox holds with the same content and kind; a program must be executable."""

    def same(found: Stamped | None, wanted: Stamped) -> bool:
        return (
            found is not None
            and found.blob == wanted.blob
            and (found.mode == LINK) == (wanted.mode == LINK)
            and (found.mode == PROGRAM or wanted.mode != PROGRAM)
        )

    unchanged = work_out(sent, kept, before).unchanged
    assert set(unchanged) == {name for name in before & sent.keys() if same(kept.get(name), sent[name])}


@settings(deadline=None)
@given(SENT, KEPT, BEFORE)
def test_new_is_what_nobody_knew(
    sent: dict[bytes, Stamped], kept: dict[bytes, Stamped | None], before: set[bytes]
) -> None:
    """Neither visible before nor a file that a run made."""
    new = work_out(sent, kept, before).new
    assert set(new) == {name for name in sent if name not in before and not kept.get(name)}


@settings(deadline=None)
@given(SENT)
def test_sent_twice_nothing_is_to_be_written(sent: dict[bytes, Stamped]) -> None:
    """The delta of what was just saved is empty."""
    delta = work_out(sent, sent, sent)
    assert delta.written == delta.deleted == ()


@settings(deadline=None)
@given(SENT, KEPT, BEFORE)
def test_what_was_written_is_unchanged_next_time(
    sent: dict[bytes, Stamped], kept: dict[bytes, Stamped | None], before: set[bytes]
) -> None:
    """However little of it was there, one save is enough."""
    delta = work_out(sent, kept, before)
    saved = {**kept, **{name: sent[name] for name in delta.written}}
    assert work_out(sent, saved, sent) == Delta(tuple(sorted(sent)), (), (), ())


def test_a_run_s_product_that_the_player_sends_too_is_written() -> None:
    """From then on it is the player's: deleted in the browser, it is deleted in the sandbox."""
    file = Stamped(FILE, "1")
    delta = work_out({b"a": file}, {b"a": file}, before=[])
    assert delta.written == (b"a",)


@pytest.mark.parametrize(
    ("there", "sent", "written"),
    [
        (FILE, PROGRAM, True),
        (PROGRAM, FILE, False),
        (FILE, LINK, True),
        (LINK, FILE, True),
        (LINK, PROGRAM, True),
        (PROGRAM, LINK, True),
    ],
)
def test_a_change_of_kind_is_a_change(there: int, sent: int, written: bool) -> None:
    """But that a run made a file executable is no edit of the player's."""
    delta = work_out({b"a": Stamped(sent, "1")}, {b"a": Stamped(there, "1")}, [b"a"])
    assert bool(delta.written) == written


@settings(deadline=None, max_examples=20)
@given(contents())
def test_a_content_is_named_as_git_names_it(content: bytes) -> None:
    """So that the history's objects are found by any git."""
    named = subprocess.run(["git", "hash-object", "--stdin"], input=content, capture_output=True, check=False)
    assert blob_id(content) == named.stdout.decode().strip()


@pytest.mark.parametrize(("mode", "kind"), [(0o644, FILE), (0o600, FILE), (0o755, PROGRAM), (0o100, PROGRAM)])
def test_a_file_is_seen_as_git_sees_it(tmp_path: Path, folder: int, mode: int, kind: int) -> None:
    """Of all its permissions only the owner's to execute it counts."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "file").chmod(mode | 0o400)
    assert stamped(folder, b"file") == Stamped(kind, blob_id(b"content"))


def test_a_file_that_its_owner_may_not_read_is_not_seen(tmp_path: Path, folder: int) -> None:
    """So that it is written anew, and the next run can read it: not even where root looks, who may read everything."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "file").chmod(0o311)
    assert stamped(folder, b"file") is None


@settings(deadline=None, max_examples=20)
@given(name=names())
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


@pytest.mark.parametrize("size", [0, 5, 6, 100])
def test_a_file_whose_size_was_another_is_read_whole(tmp_path: Path, size: int) -> None:
    """It may grow or shrink after it was looked at, and a kernel may give less than was asked for."""
    (tmp_path / "file").write_bytes(b"hello")
    with (tmp_path / "file").open("rb") as file:
        assert delta_module._read(file.fileno(), size) == b"hello"
