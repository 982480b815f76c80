"""The tar-pipe: exact to the nanosecond in both directions, and never satisfied with part of a
stream.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.inside import tarpipe
from harness.inside.errors import StreamCut
from harness.inside.tarpipe import BLOCK, join, pack, unpack
from harness.inside.tree import snapshot
from harness.verify.testing.planting import Planned, expected, plant, planted, scratch_folder
from harness.verify.testing.strategies import trees
from tests.children import unprivileged
from tests.support import on_disk

SMALL = {
    b".": Planned("d", 0o755),
    b"a folder": Planned("d", 0o755),
    b"a folder/zeros": Planned("f", content=bytes(2 * BLOCK)),
    b"empty": Planned("f"),
    b"text": Planned("f", content=b"some text\n"),
}
"""Its members end in every way that can be taken for the end of an archive: in zeros, in padding,
in nothing.
"""


def packed(folder: Path | str, *what: str) -> bytes:
    chunks: list[bytes] = []
    pack(str(folder), chunks.append, what=what or (".",))
    return b"".join(chunks)


def unpacked(folder: Path, *chunks: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    unpack(str(folder), chunks)
    return folder


def end_of(archive: bytes) -> int:
    """Where the two blocks that end the archive end."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        members.getmembers()
        return members.offset + 2 * BLOCK


def in_files(*archives: bytes) -> Iterator[IO[bytes]]:
    """One open file after the other."""
    for each in archives:
        with tempfile.TemporaryFile() as file:
            file.write(each)
            yield file


@pytest.fixture
def small(tmp_path: Path) -> bytes:
    """The archive of a small tree."""
    (tmp_path / "small").mkdir()
    plant(SMALL, tmp_path / "small")
    return packed(tmp_path / "small")


@on_disk
@given(trees(), st.integers(1, 3))
def test_a_tree_comes_back_the_tree_that_it_was(tree: dict[bytes, Planned], rounds: int) -> None:
    """Every entry with its name, kind, content, mode, links and nanoseconds, however often it
    travels.
    """
    with planted(tree) as folder, scratch_folder() as elsewhere:
        there = folder
        for number in range(rounds):
            there = unpacked(Path(elsewhere, str(number)), packed(there))
        assert snapshot(there, contents=True) == expected(tree)


@unprivileged
def test_permissions_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    """Not even for a user who is not root; a keeper's umask is nobody's business."""
    wanted = {
        b".": Planned("d", 0o777),
        b"folder": Planned("d", 0o1777),
        b"file": Planned("f", 0o666),
        b"program": Planned("f", 0o6777),
    }
    (tmp_path / "tree").mkdir()
    plant(wanted, tmp_path / "tree")
    before = os.umask(0o077)
    try:
        there = unpacked(tmp_path / "there", packed(tmp_path / "tree"))
    finally:
        os.umask(before)
    assert snapshot(there, contents=True) == expected(wanted)


def test_the_bytes_are_counted(tmp_path: Path) -> None:
    """Both ends tell how much was piped."""
    (tmp_path / "tree").mkdir()
    chunks: list[bytes] = []
    count = pack(str(tmp_path / "tree"), chunks.append)
    (tmp_path / "there").mkdir()
    assert unpack(str(tmp_path / "there"), chunks) == count == len(b"".join(chunks))


@on_disk
@given(st.data())
def test_it_does_not_matter_where_a_stream_is_split(data: st.DataObject) -> None:
    """Engines hand over pieces of any size, empty ones included."""
    with planted(SMALL) as folder, scratch_folder() as elsewhere:
        archive = packed(folder)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(archive)), max_size=6)))
        pieces = [
            archive[start:end] for start, end in zip([0, *cuts], [*cuts, len(archive)], strict=True)
        ]
        there = unpacked(Path(elsewhere, "there"), *pieces)
        assert snapshot(there, contents=True) == expected(SMALL)


@unprivileged
def test_a_file_of_a_locked_folder_may_have_a_second_name(tmp_path: Path) -> None:
    """Who may not enter the folder could not make that name: it is locked when all is there."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as opened:
        for name, kind in (
            ("a", tarfile.DIRTYPE),
            ("a/file", tarfile.REGTYPE),
            ("b", tarfile.LNKTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.linkname = kind, 0, "a/file" if name == "b" else ""
            opened.addfile(member)
    there = unpacked(tmp_path / "there", archive.getvalue())
    assert (there / "b").stat().st_nlink == 2
    assert (there / "a").stat().st_mode & 0o777 == 0
    (there / "a").chmod(0o700)


def test_a_sparse_file_stays_sparse(tmp_path: Path) -> None:
    """Its holes take no room in the stream, and none on the disk at the other end."""
    (tmp_path / "tree").mkdir()
    plant({b"core": Planned("f", hole=1 << 30, content=b"end")}, tmp_path / "tree")
    archive = packed(tmp_path / "tree")
    there = unpacked(tmp_path / "there", archive)
    assert len(archive) < 1 << 20
    assert (there / "core").stat().st_size == (1 << 30) + 3
    assert (there / "core").stat().st_blocks * 512 < 1 << 20


def test_a_large_stream_is_never_all_in_memory(tmp_path: Path) -> None:
    """It comes in pieces, whatever its length."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "large").write_bytes(random.Random(1).randbytes(5 << 20))
    sizes: list[int] = []
    pack(str(tmp_path / "tree"), lambda chunk: sizes.append(len(chunk)))
    assert max(sizes) <= 1 << 20


def test_only_what_is_asked_for_is_packed(tmp_path: Path) -> None:
    """Names that look like tar's own options are names."""
    (tmp_path / "tree").mkdir()
    names = ["-rf", "--help", "--to-command=reboot", "@x", "new\nline"]
    for name in [*names, "left out"]:
        (tmp_path / "tree" / name).write_text(name)
    there = unpacked(tmp_path / "there", packed(tmp_path / "tree", *names))
    assert sorted(os.listdir(there)) == sorted(names)


def test_a_socket_stays_behind(tmp_path: Path) -> None:
    """Nobody listens to it any more; it is no reason to lose the tree."""
    (tmp_path / "tree").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "tree" / "socket"))
        (tmp_path / "tree" / "file").touch()
        there = unpacked(tmp_path / "there", packed(tmp_path / "tree"))
    assert os.listdir(there) == ["file"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_who_unpacks_owns_the_files(tmp_path: Path) -> None:
    """Nobody's files in a run-container are the keeper's in the katas."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").touch()
    os.chown(tmp_path / "tree" / "file", 65534, 65534)
    there = unpacked(tmp_path / "there", packed(tmp_path / "tree"))
    assert (there / "file").stat().st_uid == os.geteuid()


class TestCut:
    """A stream that did not come whole is refused, wherever the cut fell."""

    def test_at_every_block(self, tmp_path: Path, small: bytes) -> None:
        """Between members tar itself does not notice: it exits 0."""
        for length in range(0, end_of(small), BLOCK):
            with pytest.raises(StreamCut):
                unpacked(tmp_path / "there", small[:length])

    def test_at_any_byte(self, tmp_path: Path, small: bytes) -> None:
        """Inside a block too."""
        for length in random.Random(1).sample(range(end_of(small)), 40):
            with pytest.raises(StreamCut):
                unpacked(tmp_path / "there", small[:length])

    def test_after_the_end_there_is_nothing_to_lose(self, tmp_path: Path, small: bytes) -> None:
        """The zeros that fill the last record carry nothing, so whole blocks of them may be
        missing.
        """
        for length in range(end_of(small), len(small) + 1, 40 * BLOCK):
            there = unpacked(tmp_path / str(length), small[:length])
            assert snapshot(there, contents=True) == expected(SMALL)
        with pytest.raises(StreamCut):
            unpacked(tmp_path / "there", small[: end_of(small) + 1])

    def test_before_a_name_that_says_otherwise(self, tmp_path: Path) -> None:
        """No file name passes for tar's word on where the archive ends."""
        name = "block 3: ** Block of NULs **"
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree" / name).write_bytes(bytes(2 * BLOCK))
        archive = packed(tmp_path / "tree", f"./{name}")
        with pytest.raises(StreamCut):
            unpacked(tmp_path / "there", archive[: end_of(archive) - 2 * BLOCK])

    def test_nothing_at_all(self, tmp_path: Path) -> None:
        """A stream without a byte is no empty tree."""
        with pytest.raises(StreamCut):
            unpacked(tmp_path / "there")


class TestJoined:
    """Several archives as one."""

    def test_each_member_is_there_as_it_was(self, tmp_path: Path, small: bytes) -> None:
        """Owners too, who need not be known here; and a name that says where the archive ends is a
        name.
        """
        name = "block 3: ** Block of NULs **"
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree" / name).write_bytes(bytes(2 * BLOCK))
        chunks: list[bytes] = []
        pack(
            str(tmp_path / "tree"), chunks.append, what=(f"./{name}",), options=("--owner=:54321",)
        )
        joined = io.BytesIO()
        assert join(in_files(b"".join(chunks), small), joined.write) == joined.tell()
        found = dict(snapshot(unpacked(tmp_path / "there", joined.getvalue()), contents=True))
        assert found.pop(name.encode()).size == 2 * BLOCK
        assert found == expected(SMALL)
        joined.seek(0)
        with tarfile.open(fileobj=joined) as members:
            assert members.getmember(f"./{name}").uid == 54321

    def test_none_is_an_empty_archive(self, tmp_path: Path) -> None:
        """Not a stream without a byte."""
        chunks: list[bytes] = []
        assert join([], chunks.append) == 2 * BLOCK
        assert not os.listdir(unpacked(tmp_path / "there", *chunks))

    def test_one_that_was_cut_is_refused(self, small: bytes) -> None:
        """Between members too, wherever the cut fell."""
        for length in range(0, end_of(small) - 2 * BLOCK, BLOCK):
            with pytest.raises(StreamCut):
                join(in_files(small, small[:length]), lambda chunk: None)


class TestAppended:
    """What follows the end of an archive was put there by somebody."""

    @pytest.mark.parametrize("size", [1, BLOCK, 100 * BLOCK])
    def test_garbage_is_refused(self, tmp_path: Path, small: bytes, size: int) -> None:
        """tar itself would not look at it."""
        with pytest.raises(StreamCut):
            unpacked(tmp_path / "there", small, b"x" * size)

    def test_a_second_archive_is_refused(self, tmp_path: Path, small: bytes) -> None:
        """tar would take only the first, and its own end would make the stream look whole."""
        with pytest.raises(StreamCut, match="goes on"):
            unpacked(tmp_path / "there", small, small)


def nest(levels: int) -> list[bytes]:
    """An archive of folder in folder in folder, deeper than any path."""
    members = []
    for level in range(1, levels + 1):
        member = tarfile.TarInfo("/".join(["n" * 200] * level))
        member.type = tarfile.DIRTYPE
        members.append(member.tobuf(tarfile.PAX_FORMAT))
    return [*members, tarpipe.END]


class TestFailures:
    """What goes wrong is reported, as one line, and nothing is left running."""

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        """At either end, in tar's own words."""
        with pytest.raises(StreamCut, match="No such file or directory"):
            packed(tmp_path / "missing")
        with pytest.raises(StreamCut, match="No such file or directory"):
            unpack(str(tmp_path / "missing"), [packed(tmp_path)])

    def test_a_missing_name(self, tmp_path: Path) -> None:
        """Part of what was asked for is not enough."""
        (tmp_path / "there").touch()
        with pytest.raises(StreamCut, match="gone"):
            packed(tmp_path, "there", "gone")

    @unprivileged
    def test_a_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        """A tree less one file is another tree."""
        (tmp_path / "closed").touch(mode=0)
        with pytest.raises(StreamCut, match="Permission denied"):
            packed(tmp_path)

    def test_a_nest_that_is_too_deep_is_told_without_its_middle(self, tmp_path: Path) -> None:
        """The end of a complaint tells what is wrong."""
        with pytest.raises(StreamCut) as raised:
            unpack(str(tmp_path), nest(40))
        said = str(raised.value)
        assert "File name too long" in said
        assert len(said) < 1000

    def test_a_tar_that_complains_for_ever_is_not_heard_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """There is a complaint for each folder of a nest that is too deep, with its path: they
        would fill the disk.
        """
        monkeypatch.setattr(tarpipe, "MOST_COMPLAINTS", 100_000)
        members = nest(400)
        left = iter(members)
        with pytest.raises(StreamCut, match="File name too long"):
            unpack(str(tmp_path), left)
        assert any(True for _ in left)

    def test_a_stream_that_is_no_archive(self, tmp_path: Path) -> None:
        """However long it is: the sender is heard out, so that it does not hang."""
        with pytest.raises(StreamCut, match="does not look like a tar archive"):
            unpacked(tmp_path / "there", *[b"no tar " * 10_000] * 50)

    def test_each_is_one_line(self, tmp_path: Path) -> None:
        """Whatever the names in it are."""
        with pytest.raises(StreamCut) as raised:
            packed(tmp_path, "gone\nwith the wind")
        assert "\n" not in str(raised.value)

    def test_an_error_of_who_takes_the_stream_passes_through(self, tmp_path: Path) -> None:
        """The reader's own error says more than a broken pipe."""

        def write(chunk: bytes) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            pack(str(tmp_path), write)

    def test_an_error_of_who_sends_the_stream_passes_through(
        self, tmp_path: Path, small: bytes
    ) -> None:
        """So does the sender's, in the middle of the stream."""

        def chunks() -> Iterator[bytes]:
            yield small[:BLOCK]
            raise ZeroDivisionError

        (tmp_path / "there").mkdir()
        with pytest.raises(ZeroDivisionError):
            unpack(str(tmp_path / "there"), chunks())


class TestHostileArchives:
    """An archive that a run has forged reaches nothing outside of the folder."""

    @pytest.mark.parametrize("name", ["../escaped", "/{folder}/escaped", "inside/../../escaped"])
    def test_a_name_that_escapes(self, tmp_path: Path, name: str) -> None:
        """It is refused, or ends up inside."""
        member = tarfile.TarInfo(name.format(folder=tmp_path))
        with contextlib.suppress(StreamCut):
            unpacked(tmp_path / "there", forged(member))
        assert os.listdir(tmp_path) == ["there"]

    def test_a_symlink_is_not_written_through(self, tmp_path: Path) -> None:
        """A folder outside, by way of a symlink that the same archive brings."""
        (tmp_path / "outside").mkdir()
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
        with pytest.raises(StreamCut):
            unpacked(tmp_path / "there", forged(link, tarfile.TarInfo("link/escaped")))
        assert os.listdir(tmp_path / "outside") == []

    def test_a_hard_link_reaches_no_file_outside(self, tmp_path: Path) -> None:
        """Else its content could be changed from inside."""
        (tmp_path / "outside").write_text("kept")
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.LNKTYPE, "../outside"
        with pytest.raises(StreamCut):
            unpacked(tmp_path / "there", forged(link))
        assert (tmp_path / "outside").stat().st_nlink == 1


def forged(*members: tarfile.TarInfo) -> bytes:
    """An archive of members as no tar would write them."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            archive.addfile(member)
    return data.getvalue()


def test_a_copy_takes_what_comes_after_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One tar ends at the end of the archive, when the other may still be writing the zeros that
    fill its last record.
    """
    late = 'command=$1; shift; "$command" "$@" && sleep 0.3 && head -c 65536 /dev/zero'
    monkeypatch.setattr(tarpipe, "PACK", ("sh", "-c", late, "sh", *tarpipe.PACK))
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "from" / "file").write_text("1")
    tarpipe.copy(str(tmp_path / "from"), str(tmp_path / "to"))
    assert (tmp_path / "to" / "file").read_text() == "1"
