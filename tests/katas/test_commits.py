"""The history: each accepted test event is a commit that any git reads."""

from __future__ import annotations

import os
import subprocess
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import assume, given

from harness.inside import journal
from harness.inside.delta import Delta
from harness.inside.errors import KatasError, UsageError
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import HISTORY, avatar_folder
from harness.inside.store import Acceptance, Increment, SendPlan
from harness.katas import commits
from harness.katas.commits import TestEventRecord
from harness.katas.visible import FILE, LINK, PROGRAM, VisibleFile, VisibleFiles
from harness.verify.testing.planting import scratch_folder
from harness.verify.testing.strategies import visible_files
from tests.events import LION, Files, git, needs_git, play, visible
from tests.support import on_disk, one_line

NOTHING = Delta((), (), (), ())

BEFORE = {"changed": "1\n2\n3\n", "deleted": "1\n", "same": "1\n", "sub/file": "1\n"}
AFTER = {"changed": "1\nb\n3\n", "new": "1\n", "same": "1\n", "sub/file": "2\n", "sub/new": ""}


@pytest.fixture
def katas(tmp_path: Path) -> FolderKatas:
    return FolderKatas(tmp_path / "katas")


@pytest.fixture
def history(katas: FolderKatas) -> Path:
    """Where the lion's history will be."""
    return katas.root / avatar_folder(LION) / HISTORY


def build(
    files: Files, *, missing: frozenset[str] | None = None, head: str | None = None
) -> Acceptance:
    sent = visible(files)
    if missing is None:
        missing = frozenset(file.blob for file in sent.values())
    increment = Increment(7, "2016-11-01T12:00:00.000+00:00", "completed", 2)
    comparison = SendPlan(NOTHING, missing, head, 6)
    return commits.build_commit(
        sent, comparison, stdout=b"out", stderr=b"err", increment=increment, seconds=1234
    )


class TestBuild:
    """build()"""

    def test_the_same_test_event_gives_the_same_commit(self) -> None:
        """A commit is named by what is in it, and by nothing of this machine."""
        assert build({"a": "1", "b/c": "2"}).commit == build({"b/c": "2", "a": "1"}).commit
        assert build({"a": "1"}).commit != build({"a": "2"}).commit
        assert build({"a": "1"}).commit != build({"a": "1"}, head="0" * 40).commit

    def test_a_content_that_the_history_holds_is_not_sent_again(self) -> None:
        """Only the trees and the commit are."""
        files = visible({"a": "1", "b": "2"})
        whole = {name for name, _ in build(files).objects}
        part = {name for name, _ in build(files, missing=frozenset([files[b"b"].blob])).objects}
        assert whole - part == {files[b"a"].blob}

    def test_a_content_that_the_history_holds_is_not_even_read(self, tmp_path: Path) -> None:
        """However large the files that did not change are."""
        (tmp_path / "file").write_text("1")
        files = VisibleFiles.from_folder(tmp_path)
        manifest = files.manifest()
        (tmp_path / "file").unlink()
        assert manifest[b"file"].blob not in {
            name for name, _ in build(files, missing=frozenset()).objects
        }

    def test_objects_are_as_git_keeps_them(self) -> None:
        """Compressed by zlib, with their kind and length."""
        kinds = [
            zlib.decompress(content).split(b" ")[0] for _, content in build({"a/b": "1"}).objects
        ]
        assert sorted(set(kinds)) == [b"blob", b"commit", b"tree"]
        assert kinds[-1] == b"commit"


class TestShow:
    """show()"""

    def test_everything_of_a_test_event_comes_back(self, katas: FolderKatas, history: Path) -> None:
        """Files of every kind, output that is no text, and the status."""
        files = VisibleFiles(
            {
                b"file": VisibleFile(b"\xff\0", FILE),
                b"a/program": VisibleFile(b"#!", PROGRAM),
                b"link": VisibleFile(b"a/program", LINK),
            }
        )
        play(katas, LION, files, stdout=b"out\xff")
        assert commits.read_commit(history, 1) == TestEventRecord(
            tag=1,
            time=1,
            files={b"a/program": b"#!", b"file": b"\xff\0", b"link": b"a/program"},
            stdout=b"out\xff",
            stderr=b"",
            status="0",
        )

    def test_a_test_event_without_files_comes_back(self, katas: FolderKatas, history: Path) -> None:
        """A player may delete everything."""
        play(katas, LION, {})
        assert commits.read_commit(history, 1).files == {}

    @pytest.mark.parametrize("tag", [0, 2, -1])
    def test_an_unknown_tag_is_an_error(self, katas: FolderKatas, history: Path, tag: int) -> None:
        """Of one line that says how to find the others."""
        play(katas, LION, {"a": "1"})
        with pytest.raises(UsageError, match="harness katas show") as raised:
            commits.read_commit(history, tag)
        assert one_line(raised.value)

    @pytest.mark.parametrize("damage", [b"", b"no object", zlib.compress(b"blob 1\0x"), None])
    def test_a_damaged_history_is_an_error(
        self, katas: FolderKatas, history: Path, damage: bytes | None
    ) -> None:
        """Whichever object it is, and whether it is broken, swapped or gone: the message is one
        line.
        """
        play(katas, LION, {"a": "1"})
        for path in (history / "objects").glob("??/*"):
            whole = path.read_bytes()
            path.unlink()
            if damage is not None:
                path.write_bytes(damage)
            with pytest.raises(KatasError, match="is damaged") as raised:
                commits.read_commit(history, 1)
            assert one_line(raised.value)
            path.write_bytes(whole)


class TestDiff:
    """diff()"""

    @pytest.fixture(autouse=True)
    def played(self, katas: FolderKatas) -> None:
        play(katas, LION, BEFORE)
        play(katas, LION, AFTER)

    @needs_git
    @pytest.mark.parametrize(("old", "new"), [(1, 2), (2, 1)])
    def test_it_is_the_one_that_git_prints(self, history: Path, old: int, new: int) -> None:
        """Line by line, but for how ids are cut short."""
        printed = git(
            history, "diff", "--full-index", "--no-renames", f"{old}:sandbox", f"{new}:sandbox"
        )

        def lines(text: str) -> list[str]:
            return [line for line in text.splitlines() if not line.startswith("index ")]

        assert lines(commits.diff(history, old, new).decode()) == lines(printed)

    @needs_git
    def test_names_are_written_as_git_writes_them(self, katas: FolderKatas, history: Path) -> None:
        """Whatever Linux allows in a name, text or not, changed, new or gone."""
        odd = (
            b"\xff\xfe.c",
            b"new\nline",
            b'quo"te',
            b"tab\t",
            b"back\\slash",
            b"\x01\x7f",
            "ü/b/a/@@ ".encode(),
        )
        for content in (b"1", b"2", b"\0"):
            play(katas, LION, {os.fsdecode(name): content for name in odd})
        play(katas, LION, {"a": "1"})
        for old, new in ((3, 4), (4, 5), (5, 6)):
            command = (
                "-c",
                "core.quotePath=true",
                "diff",
                "--no-renames",
            )  # which is git's default
            printed = git(history, *command, f"{old}:sandbox", f"{new}:sandbox").splitlines()
            ours = commits.diff(history, old, new).decode().splitlines()
            for begin in ("diff --git ", "--- ", "+++ ", "Binary "):
                assert [line for line in ours if line.startswith(begin)] == [
                    line.removesuffix("\t") for line in printed if line.startswith(begin)
                ]

    def test_tag_0_is_before_the_first(self, history: Path) -> None:
        """Everything is new, or everything has gone."""
        assert b"+++ b/sub/file" in commits.diff(history, 0, 1)
        assert b"--- a/sub/file" in commits.diff(history, 1, 0)
        assert commits.diff(history, 0, 0) == b""

    def test_no_change_is_no_difference(self, history: Path) -> None:
        """Whatever was printed."""
        assert commits.diff(history, 2, 2) == b""

    def test_an_unknown_tag_is_an_error(self, history: Path) -> None:
        """Either of them."""
        for old, new in ((1, 3), (3, 1)):
            with pytest.raises(UsageError, match="no tag 3"):
                commits.diff(history, old, new)


@needs_git
class TestGit:
    """What the real git makes of it."""

    @on_disk
    @given(visible_files())
    def test_any_files_make_a_sound_history(self, files: dict[bytes, bytes]) -> None:
        """Names and contents of every kind; `git fsck --strict` finds nothing to complain about."""
        # git itself will have no file of its own name in a tree.
        assume(not any(b".git" in name.split(b"/") for name in files))
        sent = VisibleFiles({name: VisibleFile(content) for name, content in files.items()})
        with scratch_folder() as folder:
            katas = FolderKatas(folder)
            play(katas, LION, sent)
            history = katas.root / avatar_folder(LION) / HISTORY
            assert git(history, "fsck", "--strict", "--full") == ""
            listed = git(history, "ls-tree", "-r", "-z", "--name-only", "1:sandbox").split("\0")[
                :-1
            ]
            assert {os.fsencode(name) for name in listed} == set(files)
            assert commits.read_commit(history, 1).files == files

    def test_the_log_is_the_story(self, katas: FolderKatas, history: Path) -> None:
        """A commit for each test event, on the one before, with its number, outcome, time and
        output.
        """
        for number in range(3):
            play(katas, LION, {"a": str(number)}, stdout=f"{number}\n".encode())
        log = git(history, "log", "--reverse", "--format=%s|%an|%at|%D")
        assert log.splitlines() == [
            "1 completed|harness|1|tag: 1",
            "2 completed|harness|1|tag: 2",
            "3 completed|harness|1|HEAD -> main, tag: 3",
        ]
        assert git(history, "show", "2:stdout") == "1\n"
        assert git(history, "show", "2:status") == "0\n"

    def test_a_packed_history_is_read_too(self, katas: FolderKatas, history: Path) -> None:
        """A user may have run `git gc`."""
        play(katas, LION, {"a": "1\n"})
        play(katas, LION, {"a": "2\n"})
        git(history, "gc", "--quiet")
        assert commits.read_commit(history, 1).files == {b"a": b"1\n"}
        assert b"+2" in commits.diff(history, 1, 2)


def test_a_clone_of_the_objects_is_a_history(tmp_path: Path) -> None:
    """Whatever is needed comes with the acceptance: nothing of the machine that made it."""
    journal.make_history(str(tmp_path / HISTORY))
    accepted = build({"a": "1"})
    with closing(FolderKatas(tmp_path)):
        (tmp_path / "sandbox").mkdir()
        journal.accept(str(tmp_path), accepted.objects, accepted.commit, {"tag": 7})
    assert commits.read_commit(tmp_path / HISTORY, 7).files == {b"a": b"1"}


@needs_git
def test_a_name_of_any_byte_is_quoted_as_git_quotes_it(tmp_path: Path) -> None:
    """Each byte that a name may have, alone and beside others."""
    names = [bytes([byte]) + b"x" for byte in range(1, 256) if byte not in (0x2F,)]
    here = ["git", "-C", str(tmp_path), "-c", "core.quotePath=true"]
    subprocess.run([*here, "init", "--quiet"], check=True)
    for name in names:
        (tmp_path / os.fsdecode(name)).touch()
    subprocess.run([*here, "add", "--all"], check=True)
    listed = subprocess.run([*here, "ls-files"], check=True, capture_output=True).stdout
    assert sorted(commits.quoted_as_git(name) for name in names) == sorted(listed.splitlines())


@needs_git
def test_an_annotated_tag_is_the_commit_that_it_names(katas: FolderKatas, history: Path) -> None:
    """Somebody may have signed it."""
    play(katas, LION, BEFORE)
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    git(history, *identity, "tag", "--force", "--annotate", "--message=mine", "1", "1^{commit}")
    assert git(history, "cat-file", "-t", "1") == "tag\n"
    found = commits.read_commit(history, 1)
    assert {name.decode(): text.decode() for name, text in found.files.items()} == BEFORE
