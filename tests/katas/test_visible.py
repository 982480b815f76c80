"""The visible files: any tree of files can be sent, and what cannot be is refused with what to do."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from children import unprivileged
from hypothesis import assume, given
from support import on_disk, one_line

from harness.errors import UsageError
from harness.katas.delta import Stamped, blob_id
from harness.katas.visible import FILE, LINK, PROGRAM, VisibleFile, VisibleFiles
from harness.testing.planting import scratch
from harness.testing.strategies import visible_files


def refusal(folder: Path) -> str:
    """Why the folder's files cannot be sent."""
    with pytest.raises(UsageError) as raised:
        VisibleFiles.from_folder(folder)
    return one_line(raised.value)


def contents(files: VisibleFiles) -> dict[bytes, bytes]:
    return {name: file.read() for name, file in files.items()}


class TestFromNames:
    """VisibleFiles(...)"""

    def test_texts_and_bytes_by_name(self) -> None:
        """Texts are UTF-8; names come in order."""
        files = VisibleFiles({"b": "caf\u00e9", "a/c": b"\xff"})
        assert list(files) == [b"a/c", b"b"]
        assert contents(files) == {b"a/c": b"\xff", b"b": "caf\u00e9".encode()}

    def test_bytes_that_are_no_text_pass_as_surrogates(self) -> None:
        """As Python itself lets them through, in names and in contents."""
        name, content = os.fsdecode(b"\xff"), os.fsdecode(b"\xfe")
        assert contents(VisibleFiles({name: content})) == {b"\xff": b"\xfe"}

    @pytest.mark.parametrize("files", [{"\ud83d": ""}, {"a": "\ud83d"}])
    def test_half_a_character_is_refused(self, files: dict[str, str]) -> None:
        """A browser can send half of a surrogate pair: it stands for no bytes."""
        with pytest.raises(UsageError) as raised:
            VisibleFiles(files)
        one_line(raised.value).encode()

    def test_a_name_that_escapes_is_refused(self) -> None:
        """Before anything is written."""
        with pytest.raises(UsageError, match="escapes"):
            VisibleFiles({"../a": ""})

    @pytest.mark.parametrize("names", [("a", "a/b"), ("a/b/c", "a/b"), ("a\n", "a\n/b"), ("a", "a-", "a/b")])
    def test_a_name_that_is_file_and_folder_is_refused(self, names: tuple[str, ...]) -> None:
        """However the two are sorted, and what the names are made of."""
        with pytest.raises(UsageError, match="both a file and a folder") as raised:
            VisibleFiles(dict.fromkeys(names, ""))
        one_line(raised.value)

    def test_a_name_that_only_starts_like_another_is_fine(self) -> None:
        """Folders end at a slash."""
        assert len(VisibleFiles({"a": "", "ab/c": "", "a.b": ""})) == 3

    @pytest.mark.parametrize(
        ("content", "mode"), [("#!/bin/sh", PROGRAM), ("# !", FILE), ("", FILE), (" #!", FILE)]
    )
    def test_a_script_is_a_program(self, content: str, mode: int) -> None:
        """The browser sends no modes, and cyber-dojo.sh must be executable."""
        assert VisibleFiles({"a": content})[b"a"].mode == mode

    def test_the_manifest_names_contents_as_git_does(self) -> None:
        """It is what travels to the katas before any content."""
        files = VisibleFiles({"a": "#!x", "b": "y"})
        assert files.manifest() == {
            b"a": Stamped(PROGRAM, blob_id(b"#!x")),
            b"b": Stamped(FILE, blob_id(b"y")),
        }


class TestEdited:
    """edited() and without()"""

    def test_one_file_is_replaced_and_the_others_stay(self) -> None:
        """The original too: visible files are a value."""
        files = VisibleFiles({"a": "1", "b": "2"})
        assert contents(files.edited("a", b"3")) == {b"a": b"3", b"b": b"2"}
        assert contents(files) == {b"a": b"1", b"b": b"2"}

    def test_an_edited_file_keeps_its_kind(self) -> None:
        """A program stays one, whatever its first line says now."""
        files = VisibleFiles({"a": "#!/bin/sh", "b": ""})
        assert files.edited("a", b"no script")[b"a"].mode == PROGRAM
        assert files.edited("b", b"#!/bin/sh")[b"b"].mode == FILE

    def test_texts_are_taken_as_the_constructor_takes_them(self) -> None:
        """And what is neither text nor bytes is refused where it is given, by both."""
        files = VisibleFiles({"a": "1"}).edited("a", "ü")
        assert files["a"].read() == files[b"a"].read() == "ü".encode()
        for content in (1, None, bytearray(b"1"), Path("a")):
            with pytest.raises(UsageError, match=f"'a' must be str or bytes, not {type(content).__name__}"):
                files.edited("a", content)  # type: ignore[arg-type]
            with pytest.raises(UsageError, match="'a' must be str or bytes"):
                VisibleFiles({"a": content})  # type: ignore[dict-item]

    def test_a_file_can_be_added(self) -> None:
        """By any name that does not clash."""
        files = VisibleFiles({"a": "1"})
        assert set(files.edited("b/c", b"")) == {b"a", b"b/c"}
        with pytest.raises(UsageError):
            files.edited("a/b", b"")

    def test_a_file_can_be_taken_away(self) -> None:
        """If it is there."""
        files = VisibleFiles({"a": "1", "b": "2"})
        assert set(files.without("a")) == {b"b"}
        with pytest.raises(KeyError):
            files.without("c")


class TestWrite:
    """write()"""

    @on_disk
    @given(visible_files())
    def test_what_was_written_can_be_sent_again(self, files: dict[bytes, bytes]) -> None:
        """Any names, nested ones too, and any contents; modes included."""
        files = {name: content for name, content in files.items() if name.split(b"/")[0] != b".git"}
        assume(files)
        visible = VisibleFiles({name: VisibleFile(content) for name, content in files.items()})
        with scratch() as folder:
            visible.write(folder)
            assert VisibleFiles.from_folder(Path(folder)).manifest() == visible.manifest()

    def test_every_kind_of_file_is_written(self, tmp_path: Path) -> None:
        """With permissions that do not depend on the umask."""
        kinds = {b"file": FILE, b"program": PROGRAM, b"link": LINK}
        before = os.umask(0o077)
        try:
            VisibleFiles({name: VisibleFile(b"x", mode) for name, mode in kinds.items()}).write(tmp_path)
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644
        assert stat.S_IMODE((tmp_path / "program").stat().st_mode) == 0o755
        assert os.readlink(tmp_path / "link") == "x"


class TestFromFolder:
    """VisibleFiles.from_folder()"""

    @pytest.mark.parametrize("named", [str, Path, "{}/".format, "{}/sub/..".format])
    def test_the_history_is_left_out_however_the_folder_is_named(
        self, tmp_path: Path, named: Callable[[Path], str | Path]
    ) -> None:
        """But a folder of that name further down is the player's."""
        for name in (".git/HEAD", "sub/.git/HEAD", "a"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("1")
        assert set(VisibleFiles.from_folder(named(tmp_path))) == {b"a", b"sub/.git/HEAD"}

    def test_files_of_every_kind_are_sent(self, tmp_path: Path) -> None:
        """Files, programs and symlinks inside of the tree, dangling ones too."""
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "file").write_bytes(b"x")
        (tmp_path / "program").touch(0o700)
        (tmp_path / "link").symlink_to("sub/file")
        (tmp_path / "sub" / "up").symlink_to("../program")
        (tmp_path / "folder").symlink_to("sub")
        (tmp_path / "dangling").symlink_to("nowhere")
        (tmp_path / "loop").symlink_to("loop")
        files = VisibleFiles.from_folder(tmp_path)
        assert {name: (file.mode, file.read()) for name, file in files.items()} == {
            b"dangling": (LINK, b"nowhere"),
            b"folder": (LINK, b"sub"),
            b"link": (LINK, b"sub/file"),
            b"loop": (LINK, b"loop"),
            b"program": (PROGRAM, b""),
            b"sub/file": (FILE, b"x"),
            b"sub/up": (LINK, b"../program"),
        }

    @pytest.mark.parametrize("kind", ["folder", "file of a worktree"])
    def test_the_history_is_left_out(self, tmp_path: Path, kind: str) -> None:
        """It is the player's own; further down .git is a name like any other."""
        (tmp_path / "a").touch()
        if kind == "folder":
            (tmp_path / ".git").mkdir()
            (tmp_path / ".git" / "HEAD").touch()
        else:
            (tmp_path / ".git").write_text("gitdir: elsewhere")
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / ".git").touch()
        (tmp_path / ".gitignore").touch()
        assert set(VisibleFiles.from_folder(tmp_path)) == {b".gitignore", b"a", b"sub/.git"}

    @pytest.mark.parametrize(
        ("link", "target"),
        [
            ("link", "/etc/passwd"),
            ("link", ".."),
            ("link", "../outside"),
            ("link", "sub/../../outside"),
            ("sub/link", "../top/../outside"),
            ("sub/deep/link", "top/../outside"),
        ],
    )
    def test_a_symlink_that_points_out_is_refused(self, tmp_path: Path, link: str, target: str) -> None:
        """What it points to would not be in the sandbox; by way of another symlink too, as the kernel goes."""
        tree = tmp_path / "tree"
        (tree / "sub" / "deep").mkdir(parents=True)
        (tree / "top").symlink_to(".")
        (tree / "sub" / "deep" / "top").symlink_to("../..")
        (tree / link).symlink_to(target)
        assert f"{link}' points out of the tree" in refusal(tree)

    def test_an_absolute_symlink_is_refused(self, tmp_path: Path) -> None:
        """Even into the tree itself: in the sandbox the tree lies elsewhere."""
        (tmp_path / "a").touch()
        (tmp_path / "link").symlink_to(tmp_path / "a")
        assert "points out of the tree" in refusal(tmp_path)

    def test_a_fifo_is_refused(self, tmp_path: Path) -> None:
        """It has no content that could be sent, and is not waited for."""
        os.mkfifo(tmp_path / "fifo")
        assert "neither a file nor a folder" in refusal(tmp_path)

    def test_an_empty_folder_is_refused(self, tmp_path: Path) -> None:
        """Most likely it is the wrong one."""
        (tmp_path / "sub").mkdir()
        assert "is empty" in refusal(tmp_path)

    def test_a_missing_folder_is_refused(self, tmp_path: Path) -> None:
        """So is a file in its place."""
        (tmp_path / "file").touch()
        assert "there is no folder" in refusal(tmp_path / "missing")
        assert "there is no folder" in refusal(tmp_path / "file")

    @unprivileged
    def test_what_cannot_be_read_is_refused(self, tmp_path: Path) -> None:
        """Files, folders, and folders whose files are known by name only: each is named."""
        for name, mode in (("file", 0), ("folder", 0), ("names", 0o400)):
            tree = tmp_path / f"tree of {name}"
            tree.mkdir()
            if name == "file":
                (tree / name).touch()
            else:
                (tree / name).mkdir()
                (tree / name / "inside").touch()
            (tree / name).chmod(mode)
            assert f"{name}" in refusal(tree)
            assert "Permission denied" in refusal(tree)
            (tree / name).chmod(0o700)

    @unprivileged
    def test_a_folder_behind_a_closed_door_is_refused(self, tmp_path: Path) -> None:
        """Whether it exists cannot be told."""
        (tmp_path / "closed" / "tree").mkdir(parents=True)
        (tmp_path / "closed").chmod(0)
        assert "there is no folder" in refusal(tmp_path / "closed" / "tree")
        (tmp_path / "closed").chmod(0o700)

    def test_any_name_in_a_message_is_shown_on_one_line(self, tmp_path: Path) -> None:
        """And as text that a terminal can print."""
        path = os.fsencode(tmp_path) + b"/two\nlines\xff"
        os.mkfifo(path)
        assert refusal(tmp_path).isprintable()

    def test_contents_are_read_when_they_are_asked_for(self, tmp_path: Path) -> None:
        """A large tree is never all in memory."""
        (tmp_path / "a").write_bytes(b"1")
        files = VisibleFiles.from_folder(tmp_path)
        (tmp_path / "a").write_bytes(b"22")
        assert files[b"a"].size == 2
        assert files[b"a"].read() == b"22"

    @pytest.mark.parametrize("what", [VisibleFile.read, lambda file: file.size, lambda file: file.blob])
    def test_a_file_that_has_gone_meanwhile_is_the_user_s_to_know(
        self, tmp_path: Path, what: Callable[[VisibleFile], object]
    ) -> None:
        """It is their tree that changes."""
        (tmp_path / "a").touch()
        files = VisibleFiles.from_folder(tmp_path)
        (tmp_path / "a").unlink()
        with pytest.raises(UsageError, match="No such file") as raised:
            what(files[b"a"])
        assert one_line(raised.value)
