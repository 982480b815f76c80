"""Saving visible files: make cannot miss an edit, and nothing is written outside of the sandbox."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from harness.inside import disk, ownership, sandbox_contents, saving, stamping
from harness.inside.delta import Delta, blob_id
from harness.inside.descent import Met, descend
from harness.inside.layout import PATH_PARTS
from harness.inside.saving import SavedFile
from harness.inside.sent_record import Sent
from harness.inside.stamps import Ahead
from harness.inside.tree import Entry, difference, newest, snapshot
from harness.verify.testing.planting import scratch_folder
from harness.verify.testing.strategies import visible_files
from tests.children import unprivileged
from tests.support import on_disk

FILE, PROGRAM, LINK, FOLDER = 0o100644, 0o100755, 0o120000, 0o040000
HOUR = 3600 * 10**9
LAST_STAMP = (2**63 - 1) * 10**9 + 999_999_999
"""The last that a system call takes; each file system makes the last that it can hold of it."""


@dataclass
class Box:
    """A sandbox, the folder in which files are written before they are renamed into it, and the
    record of what was sent.
    """

    folder: Path
    sent: dict[bytes, Sent] = field(default_factory=dict)
    ahead: Ahead = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sandbox.mkdir(parents=True)
        (self.folder / "incoming").mkdir()

    @property
    def sandbox(self) -> Path:
        return self.folder / "sandbox"

    def save(
        self,
        files: Mapping[str, str | bytes],
        deleted: tuple[str, ...] = (),
        *,
        mode: int = FILE,
        ages: Mapping[str, int] | None = None,
    ) -> int:
        """Returns the latest stamp that was given."""
        saved = [
            saved_file(
                os.fsencode(name),
                mode,
                text if isinstance(text, bytes) else text.encode(),
                (ages or {}).get(name),
            )
            for name, text in files.items()
        ]
        return self.save_these(saved, deleted)

    def save_these(self, files: Iterable[SavedFile], deleted: tuple[str, ...] = ()) -> int:
        gone = [os.fsencode(name) for name in deleted]
        kept = {name: file for name, file in self.sent.items() if name not in gone}
        incoming = str(self.folder / "incoming")
        delta = Delta(unchanged=tuple(kept), changed=(), new=(), deleted=tuple(gone))
        saved = saving.save(str(self.sandbox), incoming, files, delta, None, sent=self.sent)
        self.sent = {**kept, **saved.sent}
        self.ahead = saved.ahead
        return max((file.stamp for file in saved.sent.values()), default=0)

    def there(self, *names: str) -> set[str]:
        """Those at which something of the kind that was sent still is."""
        sent = {name: self.sent.get(name, Sent(FILE, "", 0)) for name in map(os.fsencode, names)}
        return {os.fsdecode(name) for name in sandbox_contents.still_there(str(self.sandbox), sent)}

    def snapshot(self) -> dict[bytes, Entry]:
        return snapshot(self.sandbox, contents=True)

    def others(self, *names: str) -> list[int]:
        """The stamps of everything else in the sandbox."""
        return [
            entry.mtime_ns for path, entry in self.snapshot().items() if path.decode() not in names
        ]

    def stamp(self, name: str) -> int:
        return (self.sandbox / name).lstat().st_mtime_ns


def saved_file(name: bytes, mode: int, content: bytes, age: int | None = None) -> SavedFile:
    return SavedFile(name, mode, blob_id(content), age, [content])


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "box")


NOTHING = Delta(unchanged=(), changed=(), new=(), deleted=())


class TestNoMissedEdit:
    """What is saved is strictly later than everything else in the sandbox."""

    def test_a_saved_file_is_the_newest(self, box: Box) -> None:
        """Read back from the disk, over and over, immediately after something else was made there;
        its own folder is no exception.
        """
        for number in range(50):
            (box.sandbox / f"product {number}").write_text("made by a run")
            stamp = box.save({"a/source": str(number), "another": str(number)})
            assert stamp == box.stamp("a/source") == box.stamp("another")
            assert stamp > max(box.others("a/source", "another"))

    def test_what_is_made_next_is_not_older(self, box: Box) -> None:
        """Else make would build the same again and again."""
        for number in range(50):
            box.save({"source": str(number)})
            (box.sandbox / "product").write_text("made by a run")
            assert box.stamp("product") >= box.stamp("source")

    def test_a_stamp_has_a_sub_second_part(self, box: Box) -> None:
        """A whole second would mean that somebody had cut it."""
        stamps = [box.save({"file": str(number)}) for number in range(5)]
        assert any(stamp % 10**9 for stamp in stamps)

    def test_no_edit_is_stamped_into_the_future(self, box: Box) -> None:
        """What lies there is brought back to the clock in its order, before the edit: make would
        warn of a clock skew, and ninja would make its own manifest for ever.
        """
        box.save({"source": "1"})
        ahead = time.time_ns() + HOUR
        for name, later in (("product", 0), ("another", 0), ("twin", 1)):
            (box.sandbox / name).touch()
            os.utime(box.sandbox / name, ns=(ahead + later,) * 2)
        stamp = box.save({"source": "2"})
        assert box.stamp("another") < stamp <= time.time_ns()
        assert box.stamp("product") == box.stamp("another") < box.stamp("twin") < stamp

    def test_what_was_brought_back_goes_ahead_again(self, box: Box) -> None:
        """If a run left it alone; what the run made anew has a stamp of its own."""
        box.save({"source": "1"})
        ahead = time.time_ns() + HOUR
        for name in ("left alone", "made anew", "gone"):
            (box.sandbox / name).touch()
            os.utime(box.sandbox / name, ns=(ahead, ahead))
        box.save({"source": "2"})
        (box.sandbox / "made anew").write_text("by the run")
        (box.sandbox / "gone").unlink()
        made = box.stamp("made anew")
        stamping.put_ahead_again(str(box.sandbox), box.ahead)
        assert (box.stamp("left alone"), box.stamp("made anew")) == (ahead, made)

    @pytest.mark.parametrize("kind", ["file", "folder", "symlink", "sandbox"])
    @pytest.mark.parametrize("disk", [None, "/dev/shm"])
    def test_a_file_from_the_end_of_time_is_brought_back(self, disk: str | None, kind: str) -> None:
        """No stamp is later than the last that a file system can hold, so that one gives way; a
        tmpfs holds all that there are.
        """
        if disk and not os.access(disk, os.W_OK):
            pytest.skip(f"there is no {disk} here")
        with scratch_folder(disk) as folder:
            box = Box(Path(folder) / "box")
            box.save({"source": "0"})
            last = box.sandbox / ("" if kind == "sandbox" else "last")
            if kind == "folder":
                last.mkdir()
            elif kind == "symlink":
                last.symlink_to("/etc/passwd")
            elif kind == "file":
                last.touch()
            (box.sandbox / "other").touch()
            os.utime(box.sandbox / "other", ns=(5, 5))
            os.utime(last, ns=(LAST_STAMP,) * 2, follow_symlinks=False)
            at_last = last.lstat().st_mtime_ns

            stamp = box.save({"source": "1"})

            assert box.stamp("source") == stamp > max(box.others("source"))
            assert last.lstat().st_mtime_ns < at_last
            assert box.stamp("other") == 5


class TestOrder:
    """Files keep the order in time that they have in the player's folder."""

    def test_the_first_have_the_stamps_of_the_player_s_folder(self, box: Box) -> None:
        """To the nanosecond, back to the beginning of the clock."""
        ages = {"old": 5, "source": 10**18 + 7, "product": 10**18 + 8}
        box.save(dict.fromkeys(ages, "1"), ages=ages)
        assert {name: box.stamp(name) for name in ages} == ages

    def test_one_from_the_future_is_brought_to_the_clock(self, box: Box) -> None:
        """After all that are not, and in its order."""
        now = time.time_ns()
        ages = {"b": now + HOUR, "a": now + 2 * HOUR, "c": now - HOUR}
        box.save(dict.fromkeys("abcd", "1"), ages=ages)
        assert box.stamp("c") == now - HOUR
        assert now - HOUR < box.stamp("b") < box.stamp("a") < box.stamp("d") <= time.time_ns()

    def test_edits_are_later_than_all_and_in_order(self, box: Box) -> None:
        """A product that was made on the player's machine stays newer than its source; what has no
        age is the newest.
        """
        box.save(
            {"source": "1", "product": "1", "header": "1"},
            ages={"source": 1, "product": 2, "header": 3},
        )
        (box.sandbox / "made").touch()
        box.save(
            {"product": "2", "source": "2", "header": "2", "x": "1"},
            ages={"source": 11, "product": 12},
        )
        assert box.stamp("made") < box.stamp("source") < box.stamp("product") < box.stamp("header")
        assert box.stamp("header") == box.stamp("x")

    def test_what_a_run_took_away_has_the_stamp_again_that_it_had(self, box: Box) -> None:
        """Nobody edited it: nothing that depends on it is to be made anew."""
        box.save({"a/b": "1", "c": "1"})
        before = box.stamp("a/b")
        (box.sandbox / "a" / "b").unlink()
        (box.sandbox / "product").touch()
        box.save({"a/b": "1", "c": "2"})
        assert box.stamp("a/b") == before < box.stamp("product") < box.stamp("c")

    def test_a_change_of_mode_is_no_edit_of_the_content(self, box: Box) -> None:
        """As chmod in place: what depends on it is not made anew, and what a run wrote into it
        stays.
        """
        box.save({"tool": "1"})
        (box.sandbox / "tool").write_text("formatted by a run")
        before = box.stamp("tool")
        box.save({"tool": "1"}, mode=PROGRAM)
        assert stat.S_IMODE((box.sandbox / "tool").stat().st_mode) == 0o755
        box.save({"tool": "1"}, mode=FILE)
        assert stat.S_IMODE((box.sandbox / "tool").stat().st_mode) == 0o644
        assert (box.stamp("tool"), (box.sandbox / "tool").read_text()) == (
            before,
            "formatted by a run",
        )


class TestEmptyFolders:
    """They travel too."""

    def test_one_is_made_and_what_a_run_puts_into_it_stays(self, box: Box) -> None:
        """Also when the player deletes it."""
        box.save({"obj": "", "other": ""}, mode=FOLDER)
        (box.sandbox / "obj" / "a.o").touch()
        box.save({}, deleted=("obj", "other"))
        assert os.listdir(box.sandbox) == ["obj"]

    def test_a_folder_that_the_player_deleted_goes_with_its_last_file(self, box: Box) -> None:
        """Unless a run made something there, or the player still has it."""
        box.save({"a/b/c": "1", "with/product": "1", "kept/file": "1", "kept/other": "1"})
        (box.sandbox / "with" / "x.o").touch()
        box.save({}, deleted=("a/b/c", "with/product", "kept/file"))
        assert sorted(os.listdir(box.sandbox)) == ["kept", "with"]


class TestMake:
    """The real make sees every edit."""

    @pytest.fixture
    def build(self, box: Box) -> Callable[[], str]:
        """Builds in the sandbox; returns the product."""
        box.save({"Makefile": "product: source\n\tcp source product\n"})

        def build() -> str:
            subprocess.run(["make", "--silent"], cwd=box.sandbox, check=True)
            return (box.sandbox / "product").read_text()

        return build

    def test_an_edit_at_once_after_the_build_is_built(
        self, box: Box, build: Callable[[], str]
    ) -> None:
        """Within the same tick of the clock that stamps files."""
        for number in range(40):
            box.save({"source": str(number)})
            assert build() == str(number)

    def test_an_edit_after_a_build_ahead_of_time_is_built(
        self, box: Box, build: Callable[[], str]
    ) -> None:
        """The product comes from a machine whose clock runs ahead by an hour, or to the end of
        time.
        """
        for number, ahead in enumerate((time.time_ns() + HOUR, LAST_STAMP)):
            box.save({"source": "before"})
            build()
            os.utime(box.sandbox / "product", ns=(ahead, ahead))
            box.save({"source": str(number)})
            assert build() == str(number)

    def test_without_an_edit_nothing_is_built(self, box: Box, build: Callable[[], str]) -> None:
        """Saving another file makes no work."""
        box.save({"source": "1"})
        build()
        before = box.stamp("product")
        box.save({"readme": "2"})
        build()
        assert box.stamp("product") == before


class TestExact:
    """Whatever is not saved stays as it is."""

    def test_only_what_is_saved_changes(self, box: Box) -> None:
        """Every other stat is identical, to the nanosecond, the stamp of the folder written
        in too.
        """
        box.save({"a/changed": "1", "a/same": "1", "b/same": "1"})
        before = box.snapshot()
        box.save({"a/changed": "2"})
        found = difference(before, box.snapshot())
        assert (found.added, found.removed, found.changed) == ((), (), (b"a/changed",))

    def test_saving_nothing_changes_nothing(self, box: Box) -> None:
        """Not even a stamp of the sandbox itself."""
        box.save({"a/b": "1"})
        before = box.snapshot()
        box.save({})
        box.there("a/b", "a", "missing", "a/b/c")
        assert box.snapshot() == before

    @on_disk
    @given(visible_files())
    def test_files_of_any_name_are_saved_seen_and_deleted(self, files: dict[bytes, bytes]) -> None:
        """Whatever bytes are in names and contents."""
        with scratch_folder() as folder:
            box = Box(Path(folder) / "box")
            box.save_these(saved_file(name, FILE, content) for name, content in files.items())
            assert sandbox_contents.still_there(str(box.sandbox), box.sent) == files.keys()
            assert sandbox_contents.survey(str(box.sandbox), files) == box.sent
            box.save({}, deleted=tuple(os.fsdecode(name) for name in files))
            assert not any(entry.kind == "f" for entry in box.snapshot().values())

    def test_every_kind_of_file_is_saved(self, box: Box) -> None:
        """Files, programs and symlinks, one in the place of the other."""
        for first in (FILE, PROGRAM, LINK):
            for second in (FILE, PROGRAM, LINK):
                box.save({"it": f"{first}"}, mode=first)
                box.save({"it": f"{second}"}, mode=second)
                found = (box.sandbox / "it").lstat().st_mode
                assert stat.S_IFMT(found) == stat.S_IFMT(second)
                if second == LINK:
                    assert os.readlink(box.sandbox / "it") == f"{LINK}"
                else:
                    assert (box.sandbox / "it").read_text() == f"{second}"
                    assert found & 0o100 or second == FILE

    @pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
    def test_an_edited_file_keeps_its_permissions(self, box: Box, mode: int) -> None:
        """As an editor would."""
        box.save({"file": "1"})
        (box.sandbox / "file").chmod(mode)
        box.save({"file": "2"})
        assert stat.S_IMODE((box.sandbox / "file").stat().st_mode) == mode

    def test_holes_take_no_room(self, box: Box) -> None:
        """Nor does anything else that is all zeros."""
        piece = bytes(1 << 20)
        box.save_these([SavedFile(b"sparse", FILE, "", None, [b"1", *[piece] * 16, b"1", piece])])
        status = (box.sandbox / "sparse").stat()
        assert status.st_size == (17 << 20) + 2
        assert status.st_blocks * 512 < 1 << 20

    def test_a_hard_link_is_not_written_through(self, box: Box) -> None:
        """A run's copy made by a link keeps what it had."""
        box.save({"file": "1"})
        os.link(box.sandbox / "file", box.sandbox / "copy")
        box.save({"file": "2"})
        assert (box.sandbox / "copy").read_text() == "1"

    def test_a_crash_leaves_each_file_old_or_new(self, box: Box) -> None:
        """Which of them, the record does not say: they count as edited, and are written again."""

        def files() -> Iterator[SavedFile]:
            yield saved_file(b"first", FILE, b"new")
            raise ZeroDivisionError

        box.save({"first": "old", "second": "old"})
        with pytest.raises(ZeroDivisionError):
            box.save_these(files())
        assert (box.sandbox / "first").read_text() == "new"
        assert (box.sandbox / "second").read_text() == "old"

    def test_a_tree_may_have_more_folders_than_can_be_open(self, box: Box) -> None:
        """Thousands of them are nothing special."""
        names = [f"{number}/{number}/file" for number in range(100)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        try:
            box.save(dict.fromkeys(names, "1"))
            assert len(box.there(*names)) == 100
            box.save({}, deleted=tuple(names))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert not box.there(*names)


class TestDeletion:
    """Files that the player has deleted."""

    def test_only_they_go(self, box: Box) -> None:
        """With the stamps of all others untouched."""
        box.save({"a": "1", "b": "1"})
        before = box.stamp("b")
        box.save({}, deleted=("a",))
        assert os.listdir(box.sandbox) == ["b"]
        assert box.stamp("b") == before

    @pytest.mark.parametrize("name", ["gone", "no/such/folder", "file/below"])
    def test_what_has_gone_already_is_fine(self, box: Box, name: str) -> None:
        """A run may have deleted it first, or put something else in the way."""
        box.save({"file": "1"})
        box.save({}, deleted=(name,))
        assert os.listdir(box.sandbox) == ["file"]

    def test_a_file_may_give_way_to_a_folder_and_back(self, box: Box) -> None:
        """In one and the same save."""
        box.save({"a": "1"})
        box.save({"a/b": "2"}, deleted=("a",))
        assert (box.sandbox / "a" / "b").read_text() == "2"
        box.save({"a": "3"}, deleted=("a/b",))
        assert (box.sandbox / "a").read_text() == "3"

    def test_it_is_not_followed_through_a_symlink(self, box: Box, outside: Path) -> None:
        """A run replaced the folder by a symlink; what it points to is not the sandbox's."""
        (box.sandbox / "folder").symlink_to(outside)
        box.save({}, deleted=("folder/file",))
        assert (outside / "file").read_text() == "kept"

    def test_a_folder_in_its_place_goes_too(self, box: Box) -> None:
        """The name is not to be there any more, whatever a run made of it."""
        (box.sandbox / "a" / "b").mkdir(parents=True)
        box.save({}, deleted=("a",))
        assert os.listdir(box.sandbox) == []


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder beside the sandbox, which must be the same afterwards."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text("kept")
    before = snapshot(folder, contents=True)
    yield folder
    assert snapshot(folder, contents=True) == before


class TestWhatARunMayLeave:
    """A run may have put anything in the place of anything."""

    def test_a_symlink_where_a_folder_was(self, box: Box, outside: Path) -> None:
        """It gives way to a real folder; nothing is read or written through it."""
        (box.sandbox / "folder").symlink_to(outside)
        (box.sandbox / "deep").mkdir()
        (box.sandbox / "deep" / "folder").symlink_to(outside)
        assert not box.there("folder/file", "deep/folder/file")
        box.save({"folder/file": "1", "deep/folder/sub/file": "2"})
        assert not (box.sandbox / "folder").is_symlink()
        assert (box.sandbox / "folder" / "file").read_text() == "1"
        assert (box.sandbox / "deep" / "folder" / "sub" / "file").read_text() == "2"

    def test_a_symlink_where_a_file_was(self, box: Box, outside: Path) -> None:
        """It is no file any more, and is replaced."""
        (box.sandbox / "file").symlink_to(outside / "file")
        assert not box.there("file")
        box.save({"file": "1"})
        assert not (box.sandbox / "file").is_symlink()

    def test_a_folder_where_a_file_was(self, box: Box) -> None:
        """It gives way, with all that is in it."""
        (box.sandbox / "file" / "full").mkdir(parents=True)
        assert not box.there("file")
        box.save({"file": "1"})
        assert (box.sandbox / "file").read_text() == "1"

    @pytest.mark.parametrize("kind", ["file", "fifo"])
    def test_a_file_where_a_folder_was(self, box: Box, kind: str) -> None:
        """It gives way too."""
        (Path.touch if kind == "file" else os.mkfifo)(box.sandbox / "folder")
        assert not box.there("folder/file")
        box.save({"folder/file": "1"})
        assert (box.sandbox / "folder" / "file").read_text() == "1"

    def test_a_fifo_where_a_file_was(self, box: Box) -> None:
        """It is not waited for."""
        os.mkfifo(box.sandbox / "file")
        assert not box.there("file")
        box.save({"file": "1"})
        assert (box.sandbox / "file").read_text() == "1"

    @unprivileged
    @pytest.mark.parametrize("mode", [0, 0o111, 0o333, 0o444, 0o555])
    @pytest.mark.parametrize("where", [".", "folder", "folder/inner"])
    def test_folders_without_permission(self, tmp_path: Path, where: str, mode: int) -> None:
        """The owner of the katas takes it back."""
        box = Box(tmp_path / "box")
        name = "folder/inner/file"
        box.save({name: "1", "folder/inner/deleted": "1"})
        (box.sandbox / where).chmod(mode)
        assert box.there(name) == {name}
        box.save({"new": "2"}, deleted=("folder/inner/deleted",))
        box.save({name: "2"})
        assert (box.sandbox / name).read_text() == "2"
        assert os.listdir(box.sandbox / "folder" / "inner") == ["file"]

    @unprivileged
    @pytest.mark.parametrize("mode", [0, 0o111, 0o444])
    def test_what_is_hidden_from_view_counts_too(self, tmp_path: Path, mode: int) -> None:
        """make may well reach it by its name."""
        box = Box(tmp_path / "box")
        box.save({"source": "0"})
        product = box.sandbox / "hidden" / "inner" / "product"
        product.parent.mkdir(parents=True)
        product.touch()
        ahead = time.time_ns() + HOUR
        os.utime(product, ns=(ahead, ahead))
        product.parent.chmod(mode)
        product.parent.parent.chmod(mode)
        stamp = box.save({"source": "1"})
        assert box.ahead[b"hidden/inner/product"].to < stamp < ahead

    @unprivileged
    def test_a_folder_that_is_not_written_in_keeps_its_mode(self, tmp_path: Path) -> None:
        """A player may well protect a folder of their own."""
        box = Box(tmp_path / "box")
        box.save({"folder/file": "1"})
        (box.sandbox / "folder").chmod(0o500)
        box.save({"other": "1"})
        box.there("folder/file")
        assert stat.S_IMODE((box.sandbox / "folder").stat().st_mode) == 0o500

    @unprivileged
    def test_a_file_without_permission(self, tmp_path: Path) -> None:
        """It cannot be compared, so it is written anew, to be read and written."""
        box = Box(tmp_path / "box")
        box.save({"file": "1"})
        (box.sandbox / "file").chmod(0)
        assert not box.there("file")
        box.save({"file": "2"})
        assert (box.sandbox / "file").read_text() == "2"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
class TestOwner:
    """A volume mount depends on a uid of the host."""

    NOBODY = (65534, 65534)

    def test_what_is_saved_is_owned_by_who_runs_it(self, box: Box) -> None:
        """The folders made on the way too."""
        file = saved_file(b"a/b", FILE, b"1")
        incoming = str(box.folder / "incoming")
        saving.save(str(box.sandbox), incoming, [file], NOTHING, self.NOBODY, sent={})
        for path in (box.sandbox / "a", box.sandbox / "a" / "b"):
            assert (path.stat().st_uid, path.stat().st_gid) == self.NOBODY

    def test_a_sandbox_is_handed_over_whole(self, box: Box, outside: Path) -> None:
        """But nothing that a symlink in it points to; and no stamp moves."""
        box.save({"a/b": "1"})
        (box.sandbox / "link").symlink_to(outside)
        before = box.snapshot()
        ownership.hand_over(str(box.sandbox), self.NOBODY)
        assert box.snapshot() == before
        for path in (".", "a", "a/b", "link"):
            assert (box.sandbox / path).lstat().st_uid == self.NOBODY[0]
        assert (outside / "file").stat().st_uid == outside.stat().st_uid == 0

    def test_a_folder_that_is_swapped_meanwhile_leads_nowhere(
        self, box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever is given something may put something else there at once: the run of a team mate
        is at work. What the folder held is there by the same names where a symlink leads.
        """
        here, elsewhere, names = (
            box.sandbox / "a",
            tmp_path / "elsewhere",
            ("one", "other", "third"),
        )
        box.save({**{f"a/{name}": "1" for name in names}, "c/d": "2"})
        elsewhere.mkdir()
        for name in names:
            (elsewhere / name).touch()
        chown = os.chown

        def swapping(path: Any, uid: int, gid: int, **how: Any) -> None:
            chown(path, uid, gid, **how)
            if not here.is_symlink() and any(each.stat().st_uid for each in here.iterdir()):
                here.rename(box.folder / "taken")
                here.symlink_to(elsewhere)

        monkeypatch.setattr(os, "chown", swapping)
        ownership.hand_over(str(box.sandbox), self.NOBODY)
        assert here.is_symlink()
        assert {each.stat().st_uid for each in (elsewhere, *elsewhere.iterdir())} == {0}
        assert (box.sandbox / "c" / "d").stat().st_uid == self.NOBODY[0]

    def test_who_is_given_a_folder_has_all_that_is_in_it(
        self, box: Box, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A folder comes after its files, and the sandbox last: until then nobody can put anything
        else in, and a hand-over that a crash cut short is begun again.
        """
        box.save({"a/b/c": "1", "d": "2"})
        given: list[bytes] = []

        def give(held: int, owner: tuple[int, int]) -> None:
            given.append(
                os.path.relpath(os.readlink(f"/proc/self/fd/{held}"), box.sandbox).encode()
            )
            assert box.sandbox.stat().st_uid == 0
            disk.give(held, owner)

        monkeypatch.setattr(ownership, "give", give)
        ownership.hand_over(str(box.sandbox), self.NOBODY)
        assert (sorted(given[:2]), sorted(given[2:4])) == ([b"a/b/c", b"d"], [b"a", b"a/b"])
        assert given[4:] == [b"."]
        assert box.sandbox.stat().st_uid == self.NOBODY[0]

    def test_a_file_with_a_name_elsewhere_stays_whose_it_is(self, box: Box) -> None:
        """It may be the history of somebody, where the kernel lets everybody link to everything;
        one whose names are all in the sandbox is handed over.
        """
        box.save({"a/b": "1"})
        os.link(box.sandbox / "a" / "b", box.sandbox / "again")
        (box.folder / "history").touch()
        os.link(box.folder / "history", box.sandbox / "a" / "theirs")
        ownership.hand_over(str(box.sandbox), self.NOBODY)
        assert (box.folder / "history").stat().st_uid == 0
        assert (box.sandbox / "again").stat().st_uid == self.NOBODY[0]

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root enters a folder that a run closed")
    def test_a_folder_that_a_run_closed_stays_closed(self, box: Box) -> None:
        """Stamps below it move back to the clock, and ahead again, all the same."""
        closed, ahead = box.sandbox / "closed", time.time_ns() + HOUR
        for path in (closed / "one", closed / "other"):
            path.parent.mkdir(exist_ok=True)
            path.touch()
            os.utime(path, ns=(ahead, ahead))
        closed.chmod(0)
        moved, latest = stamping.bring_to_clock(str(box.sandbox), ())
        assert moved.keys() == {b"closed/one", b"closed/other"}
        assert (closed / "one").stat().st_mtime_ns <= latest < ahead
        stamping.put_ahead_again(str(box.sandbox), moved)
        assert (closed / "other").stat().st_mtime_ns == ahead
        assert stat.S_IMODE(closed.stat().st_mode) == 0

    def test_what_is_stamped_anew_is_in_the_sandbox(
        self, box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Even if a folder is swapped for a symlink while it is looked through."""
        ahead = time.time_ns() + HOUR
        outside = tmp_path / "elsewhere"
        for path in (box.sandbox / "a" / "file", outside / "file"):
            path.parent.mkdir(exist_ok=True)
            path.touch()
            os.utime(path, ns=(ahead, ahead))

        def swapping(sandbox: str) -> Iterator[Met]:
            for met in descend(sandbox):
                if met.path == b"a/file":
                    (box.sandbox / "a").rename(box.folder / "taken")
                    (box.sandbox / "a").symlink_to(outside)
                yield met

        monkeypatch.setattr(stamping, "descend", swapping)
        with pytest.raises(FileNotFoundError, match="removed meanwhile"):
            stamping.bring_to_clock(str(box.sandbox), ())
        assert (outside / "file").stat().st_mtime_ns == ahead

    def test_a_nest_from_the_future_is_brought_to_the_clock(self, box: Box) -> None:
        """However deep: no edit could be told to be later than what is at its bottom."""
        ahead = time.time_ns() + HOUR
        here = os.open(box.sandbox, os.O_RDONLY)
        for _ in range(300):
            os.mkdir("d" * 20, dir_fd=here)
            below = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
            os.utime(here, ns=(ahead, ahead))
            os.close(here)
            here = below
        os.close(here)
        brought, latest = stamping.bring_to_clock(str(box.sandbox), ())
        assert newest(box.sandbox) == latest < ahead
        assert len(brought) == 1 + PATH_PARTS


class TestDigests:
    """digests()"""

    def test_they_are_those_that_b2sum_prints(self, box: Box) -> None:
        """Of the files that have the size that is reckoned with; nothing else is read."""
        box.save({"a/file": "12345", "other": "1234"})
        os.mkfifo(box.sandbox / "fifo")
        sizes = {b"a/file": 5, b"other": 5, b"fifo": 0, b"missing/file": 0, b"gone": 0}
        printed = subprocess.run(
            ["b2sum", "a/file"], cwd=box.sandbox, stdout=subprocess.PIPE, check=True
        )
        assert sandbox_contents.digests(str(box.sandbox), sizes) == {
            b"a/file": printed.stdout.split()[0].decode()
        }

    def test_what_is_missing_in_the_sandbox_is_not_looked_for_elsewhere(
        self, box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A name in a folder that is not there is no name in the folder that the process is in."""
        (tmp_path / "file").touch()
        monkeypatch.chdir(tmp_path)
        assert sandbox_contents.digests(str(box.sandbox), {b"missing/file": 0}) == {}
