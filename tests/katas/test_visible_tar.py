"""Visible files as a tar stream made from memory: tar makes of it the very files that were sent."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.inside import tarpipe
from harness.inside.errors import UsageError
from harness.inside.tree import walk
from harness.katas.visible import FILE, FOLDER, LINK, PROGRAM, VisibleFile, VisibleFiles
from harness.katas.visible_tar import pack_visible
from harness.verify.testing.planting import scratch_folder
from harness.verify.testing.strategies import visible_files
from tests.support import on_disk, one_line

NOW = 1_795_623_432_896_353_547


def unpack(files: VisibleFiles, folder: str | Path, *, stamp: int = NOW) -> int:
    """Pack them and let tar unpack them into the folder; returns the bytes in between."""
    stream: list[bytes] = []
    packed = pack_visible(files, stream.append, stamps=dict.fromkeys(files, stamp))
    assert tarpipe.unpack(str(folder), stream) == packed
    return packed


@on_disk
@given(visible_files(), st.integers(0, 2**33 * 10**9))
def test_what_was_packed_can_be_sent_again(files: dict[bytes, bytes], stamp: int) -> None:
    """Any names and any contents; every stamp is the one that was asked for, to the nanosecond."""
    assume(files)
    visible = VisibleFiles(
        {b"top/" + name: VisibleFile(content) for name, content in files.items()}
    )
    with scratch_folder() as folder:
        unpack(visible, folder, stamp=stamp)
        assert VisibleFiles.from_folder(Path(folder)).manifest() == visible.manifest()
        assert {status.st_mtime_ns for path, status in walk(folder) if path != b"."} == {stamp}


def test_each_has_its_own_stamp_and_folders_the_latest(tmp_path: Path) -> None:
    """To the nanosecond, whatever came before it in the stream."""
    stamps = {b"a/late": NOW + 7, b"a/old": NOW - 7, b"b": NOW + 1}
    stream: list[bytes] = []
    pack_visible(
        VisibleFiles(dict.fromkeys(map(os.fsdecode, stamps), "x")), stream.append, stamps=stamps
    )
    tarpipe.unpack(str(tmp_path), stream)
    found = {path: status.st_mtime_ns for path, status in walk(tmp_path) if path != b"."}
    assert found == {**stamps, b"a": NOW + 7}


def test_every_kind_of_file_is_packed(tmp_path: Path) -> None:
    """With permissions that do not depend on the umask."""
    kinds = {b"sub/file": FILE, b"program": PROGRAM, b"link": LINK, b"empty": FOLDER}
    before = os.umask(0o077)
    try:
        unpack(
            VisibleFiles({name: VisibleFile(b"x", mode) for name, mode in kinds.items()}), tmp_path
        )
    finally:
        os.umask(before)
    found = {path: stat.S_IMODE(status.st_mode) for path, status in walk(tmp_path) if path != b"."}
    assert found == {
        b"sub": 0o755,
        b"sub/file": 0o644,
        b"program": 0o755,
        b"link": 0o777,
        b"empty": 0o755,
    }
    assert os.readlink(tmp_path / "link") == "x"


@pytest.mark.parametrize(
    "name", [b"n" * 255, b"/".join([b"n" * 99] * 20), "\u00fc".encode() * 127, b"\xff" * 255]
)
@pytest.mark.parametrize("target", [b"", b"t" * 101, b"\xfe" * 200])
def test_names_and_targets_that_no_header_holds(name: bytes, target: bytes, tmp_path: Path) -> None:
    """Long ones, and those that are no UTF-8 at all."""
    file = VisibleFile(target, LINK) if target else VisibleFile(b"x")
    visible = VisibleFiles({name: file})
    unpack(visible, tmp_path)
    path = os.path.join(os.fsencode(tmp_path), name)
    assert os.readlink(path) == target if target else Path(os.fsdecode(path)).read_bytes() == b"x"


@pytest.mark.parametrize(
    "size", [0, 1, 511, 512, 513, tarpipe.CHUNK - 1, tarpipe.CHUNK, tarpipe.CHUNK * 2 + 1]
)
def test_a_content_of_any_size(size: int, tmp_path: Path) -> None:
    """Large ones come in pieces, so that they are not in memory once more as a whole."""
    pieces: list[bytes] = []
    content = os.urandom(size)
    pack_visible(VisibleFiles({"file": content}), pieces.append, stamps={b"file": NOW})
    assert max(map(len, pieces)) <= tarpipe.CHUNK
    tarpipe.unpack(str(tmp_path), pieces)
    assert (tmp_path / "file").read_bytes() == content


def test_a_file_that_has_gone(tmp_path: Path) -> None:
    """Is told as what it is: the user's own file."""
    (tmp_path / "file").write_bytes(b"x")
    visible = VisibleFiles.from_folder(tmp_path)
    (tmp_path / "file").unlink()

    with pytest.raises(UsageError) as refused:
        pack_visible(visible, [].append, stamps={b"file": NOW})
    one_line(refused.value)
