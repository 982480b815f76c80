"""The visible files: any tree of files can be sent, and what cannot be is refused with what to
do.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from dulwich import porcelain
from hypothesis import assume, given

from harness.inside.delta import Delta, Stamped, blob_id
from harness.inside.errors import UsageError
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import Avatar
from harness.katas.gather import left_out_line
from harness.katas.players_folder import reader
from harness.katas.spool import Spool
from harness.katas.visible import FILE, FOLDER, LINK, PROGRAM, VisibleFile, VisibleFiles
from harness.verify.testing.planting import scratch_folder
from harness.verify.testing.strategies import visible_files
from tests.children import unprivileged
from tests.support import on_disk, one_line


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

    @pytest.mark.parametrize(
        "names", [("a", "a/b"), ("a/b/c", "a/b"), ("a\n", "a\n/b"), ("a", "a-", "a/b")]
    )
    def test_a_name_that_is_file_and_folder_is_refused(self, names: tuple[str, ...]) -> None:
        """However the two are sorted, and what the names are made of."""
        with pytest.raises(UsageError, match="both a file and a folder") as raised:
            VisibleFiles(dict.fromkeys(names, ""))
        one_line(raised.value)

    @pytest.mark.parametrize("name", [b".git/a", b"b/.git\\x", b"a\\.git", b"git~1\\q", b".git\\"])
    def test_a_name_that_git_takes_for_its_folder_is_refused(self, name: bytes) -> None:
        """Git would clone no history that has it."""
        with pytest.raises(UsageError, match="git's own folder in its name") as raised:
            VisibleFiles({name: VisibleFile(b"x")})
        one_line(raised.value)

    @pytest.mark.parametrize("name", [b".gitmodules", b"a/.GITmodules", b"x\\gitmod~1"])
    def test_a_symlink_that_git_takes_for_its_list_of_modules_is_refused(self, name: bytes) -> None:
        """A file of that name is what any repository with submodules has."""
        assert set(VisibleFiles({name: VisibleFile(b"x", FILE)})) == {name}
        with pytest.raises(UsageError, match="is a symlink, which a history cannot hold") as raised:
            VisibleFiles({name: VisibleFile(b"x", LINK)})
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
            with pytest.raises(
                UsageError, match=f"'a' must be str or bytes, not {type(content).__name__}"
            ):
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
        with scratch_folder() as folder:
            visible.write(folder)
            assert VisibleFiles.from_folder(Path(folder)).manifest() == visible.manifest()

    def test_every_kind_of_file_is_written(self, tmp_path: Path) -> None:
        """With permissions that do not depend on the umask."""
        kinds = {b"file": FILE, b"program": PROGRAM, b"link": LINK}
        before = os.umask(0o077)
        try:
            VisibleFiles({name: VisibleFile(b"x", mode) for name, mode in kinds.items()}).write(
                tmp_path
            )
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
        """And one further down, of a repository in the tree, is told: git could not clone a history
        that has it.
        """
        for name in (".git/HEAD", "sub/.git/HEAD", "a"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("1")
        files = VisibleFiles.from_folder(named(tmp_path))
        assert set(files) == {b"a", b"sub"}
        assert files.left_out == {"a repository of its own": [b"sub/.git/"]}

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
        """It is the player's own."""
        (tmp_path / "a").touch()
        if kind == "folder":
            (tmp_path / ".git").mkdir()
            (tmp_path / ".git" / "HEAD").touch()
        else:
            (tmp_path / ".git").write_text("gitdir: elsewhere")
        (tmp_path / ".gitignore").touch()
        files = VisibleFiles.from_folder(tmp_path)
        assert (set(files), files.left_out) == ({b".gitignore", b"a"}, {})

    @pytest.mark.parametrize(
        ("link", "target"),
        [
            ("link", "/etc/passwd"),
            ("link", ".."),
            ("link", "../outside"),
            ("link", "sub/../../outside"),
            ("sub/link", "../top/../outside"),
            ("sub/deep/link", "top/../outside"),
            ("link", "../tree/a"),
            ("sub/link", "../../tree/sub/deep"),
            ("sub/link", "top/../tree/a"),
        ],
    )
    def test_a_symlink_that_points_out_is_left_out(
        self, tmp_path: Path, link: str, target: str
    ) -> None:
        """What it points to would not be in the sandbox; by way of another symlink too, as the
        kernel goes, and if it comes back into the tree by the name that this has here.
        """
        tree = tmp_path / "tree"
        (tree / "sub" / "deep").mkdir(parents=True)
        (tree / "a").touch()
        (tree / "top").symlink_to(".")
        (tree / "sub" / "deep" / "top").symlink_to("../..")
        (tree / "sub" / "top").symlink_to("..")
        (tree / link).symlink_to(target)
        files = VisibleFiles.from_folder(tree)
        assert files.left_out == {"points out of the tree": [link.encode()]}
        assert link.encode() not in files

    def test_what_git_would_not_clone_is_left_out(self, tmp_path: Path) -> None:
        """And told; a file called .gitmodules is sent."""
        for name in ("a", ".git\\x", "sub/a\\.git", "sub/.gitmodules"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        (tmp_path / ".gitmodules").symlink_to("a")
        files = VisibleFiles.from_folder(tmp_path)
        assert set(files) == {b"a", b"sub/.gitmodules"}
        assert files.left_out == {
            "git clones no history with such a name": [b".git\\x", b".gitmodules", b"sub/a\\.git"]
        }

    def test_an_absolute_symlink_is_left_out(self, tmp_path: Path) -> None:
        """Even into the tree itself: in the sandbox the tree lies elsewhere."""
        (tmp_path / "a").touch()
        (tmp_path / "link").symlink_to(tmp_path / "a")
        assert set(VisibleFiles.from_folder(tmp_path)) == {b"a"}

    def test_what_has_no_content_is_left_out(self, tmp_path: Path) -> None:
        """A fifo is not waited for."""
        os.mkfifo(tmp_path / "fifo")
        (tmp_path / "a").touch()
        files = VisibleFiles.from_folder(tmp_path)
        assert files.left_out == {"neither file, folder nor symlink": [b"fifo"]}

    def test_an_empty_folder_is_refused(self, tmp_path: Path) -> None:
        """Most likely it is the wrong one; what was left out is told, if that is why."""
        (tmp_path / "sub").mkdir()
        assert "is empty" in refusal(tmp_path)
        os.mkfifo(tmp_path / "fifo")
        assert "fifo (neither file" in refusal(tmp_path)

    def test_empty_folders_are_sent(self, tmp_path: Path) -> None:
        """Those that are empty because all in them is left out, too: a build may well write
        there.
        """
        for name in ("obj", "out/deep", "full"):
            (tmp_path / name).mkdir(parents=True)
        (tmp_path / "full" / "a").touch()
        (tmp_path / "out" / "deep" / "a.o").touch()
        (tmp_path / ".gitignore").write_text("*.o\n")
        kinds = {name: file.mode for name, file in VisibleFiles.from_folder(tmp_path).items()}
        assert kinds == {b".gitignore": FILE, b"full/a": FILE, b"obj": FOLDER, b"out/deep": FOLDER}

    def test_files_have_their_stamps(self, tmp_path: Path) -> None:
        """And texts by name have none."""
        (tmp_path / "a").touch()
        os.utime(tmp_path / "a", ns=(5, 7))
        assert VisibleFiles.from_folder(tmp_path).ages() == {b"a": 7}
        assert VisibleFiles({"a": "1"}).ages() == {b"a": None}
        assert VisibleFiles.from_folder(tmp_path).edited("a", "2").ages() == {b"a": None}

    def test_what_is_ignored_is_left_out(self, tmp_path: Path) -> None:
        """By the .gitignore of any folder, as git itself reads it; what git tracks is not ignored,
        whatever is said there.
        """
        ignore = {".gitignore": "*.o\n/build/\n!keep.o\n", "sub/.gitignore": "local\n"}
        tree = [
            "a.c",
            "a.o",
            "keep.o",
            "build/x/y",
            "sub/build/z",
            "sub/local",
            "local",
            "forced.o",
        ]
        for name, text in (ignore | dict.fromkeys(tree, "")).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        expected = {b".gitignore", b"sub/.gitignore", b"a.c", b"keep.o", b"sub/build/z", b"local"}
        files = VisibleFiles.from_folder(tmp_path)
        assert set(files) == expected
        assert set(files.left_out[".gitignore"]) == {b"a.o", b"build/", b"sub/local", b"forced.o"}
        with porcelain.init(tmp_path) as repository:
            repository.get_worktree().stage(["forced.o", "build/x/y"])
        assert set(VisibleFiles.from_folder(tmp_path)) == expected | {b"forced.o", b"build/x/y"}

    def test_a_byte_order_mark_hides_no_pattern(self, tmp_path: Path) -> None:
        """Some editors begin a file with one, and git skips it."""
        (tmp_path / ".gitignore").write_bytes(b"\xef\xbb\xbf*.o\n")
        (tmp_path / "a.o").touch()
        (tmp_path / "a.c").touch()
        assert set(VisibleFiles.from_folder(tmp_path)) == {b".gitignore", b"a.c"}

    @pytest.mark.parametrize("where", ["", "inner"])
    @pytest.mark.parametrize("what", ["fifo config", "fifo index", "self", "zeros", "deep", "loop"])
    def test_a_repository_that_was_prepared_stops_no_press(
        self, tmp_path: Path, where: str, what: str
    ) -> None:
        """Git's index alone is read, if it is a file of a size that git writes."""
        folder = tmp_path / where
        (folder / ".git").mkdir(parents=True)
        index = folder / ".git/index"
        empty = b"DIRC" + (2).to_bytes(4) + (0).to_bytes(4)
        if what == "fifo config":
            os.mkfifo(folder / ".git/config")
        elif what == "fifo index":
            os.mkfifo(folder / "fifo")
            index.symlink_to("../fifo")
        elif what == "self":
            content = empty + b"link" + (20).to_bytes(4) + bytes(20)
            index.write_bytes(content + hashlib.sha1(content).digest())
            (folder / ".git" / f"sharedindex.{'00' * 20}").symlink_to("index")
        elif what == "zeros":
            content = empty + bytes(20 << 20)
            index.write_bytes(content + hashlib.sha1(content).digest())
        elif what == "deep":
            name = b"/".join([b"d"] * 2000)
            entry = bytes(60) + len(name).to_bytes(2) + name
            entries = (entry + bytes(8 - len(entry) % 8)) * 2000
            content = b"DIRC" + (2).to_bytes(4) + (2000).to_bytes(4) + entries
            index.write_bytes(content + hashlib.sha1(content).digest())
        else:
            (folder / ".git").rmdir()
            (folder / ".git").write_text("gitdir: .git\n")
        (folder / "a").touch()
        assert str(Path(where, "a")).encode() in VisibleFiles.from_folder(tmp_path)

    def test_a_gitignore_that_is_a_symlink_names_nothing(self, tmp_path: Path) -> None:
        """As git has it since 2.32."""
        (tmp_path / "patterns").write_text("a.o\n")
        (tmp_path / ".gitignore").symlink_to("patterns")
        (tmp_path / "a.o").touch()
        assert b"a.o" in VisibleFiles.from_folder(tmp_path)

    def test_a_folder_of_a_repository_is_read_as_git_reads_it(self, tmp_path: Path) -> None:
        """The .gitignore files above it hold, and what git tracks in it is sent."""
        for name, text in {
            ".gitignore": "*.secret\n",
            "sub/.gitignore": "*.o\n",
            "sub/forced.o": "",
            "sub/a.o": "",
            "sub/a.c": "",
            "sub/in/key.secret": "",
            "sub/in/b.c": "",
        }.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        with porcelain.init(tmp_path) as repository:
            repository.get_worktree().stage(["sub/forced.o"])
        files = VisibleFiles.from_folder(tmp_path / "sub")
        assert set(files) == {b".gitignore", b"forced.o", b"a.c", b"in/b.c"}
        assert set(files.left_out[".gitignore"]) == {b"a.o", b"in/key.secret"}

    def test_a_folder_that_its_repository_ignores_is_played_all_the_same(
        self, tmp_path: Path
    ) -> None:
        """Its owner named it: only its own .gitignore counts."""
        (tmp_path / ".gitignore").write_text("/scratch/\n")
        (tmp_path / "scratch").mkdir()
        for name in ("a.c", "a.o"):
            (tmp_path / "scratch" / name).touch()
        (tmp_path / "scratch/.gitignore").write_text("*.o\n")
        porcelain.init(tmp_path).close()
        assert set(VisibleFiles.from_folder(tmp_path / "scratch")) == {b".gitignore", b"a.c"}

    @pytest.mark.parametrize("what", ["foreign", "no repository"])
    def test_a_repository_above_counts_if_it_is_ones_own(self, tmp_path: Path, what: str) -> None:
        """Anybody may make a `.git` in a folder for temporary files, and a .gitignore beside it."""
        (tmp_path / ".gitignore").write_text("*.c\n")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/a.c").touch()
        if what == "foreign":
            if os.geteuid() != 0:
                pytest.skip("only root can give a folder away")
            porcelain.init(tmp_path).close()
            os.chown(tmp_path / ".git", 65534, 65534)
        else:
            (tmp_path / ".git").mkdir()
        assert set(VisibleFiles.from_folder(tmp_path / "mine")) == {b"a.c"}

    def test_what_is_edited_is_of_the_same_folder(self, tmp_path: Path) -> None:
        """What was left out of it, and which folders it has, goes with the files."""
        (tmp_path / "folder").mkdir()
        for name in ("a", "folder/b", "c.o"):
            (tmp_path / name).touch()
        files = VisibleFiles.from_folder(tmp_path, exclude=["*.o"])
        for changed in (files.edited("a", "1"), files.without("a"), files.freeze()):
            assert (changed.left_out, changed.folders) == (files.left_out, {b"folder"})

    def test_what_a_submodule_tracks_is_sent(self, tmp_path: Path) -> None:
        """Though its own .gitignore names it."""
        inner = tmp_path / "inner"
        inner.mkdir()
        (inner / ".gitignore").write_text("*.cfg\n")
        for name in ("tracked.cfg", "other.cfg"):
            (inner / name).touch()
        porcelain.init(tmp_path).close()
        with porcelain.init(inner) as repository:
            repository.get_worktree().stage(["tracked.cfg"])
        files = VisibleFiles.from_folder(tmp_path)
        assert b"inner/tracked.cfg" in files
        assert b"inner/other.cfg" not in files

    def test_patterns_exclude_more(self, tmp_path: Path) -> None:
        """Tracked or not; they read as those of .gitignore."""
        for name in ("a.c", "deps/x/y", "deps/z", "log.txt", "sub/log.txt"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        files = VisibleFiles.from_folder(tmp_path, exclude=["deps/x/", "/log.txt"])
        assert set(files) == {b"a.c", b"deps/z", b"sub/log.txt"}
        assert files.left_out == {"--exclude": [b"log.txt", b"deps/x/"]}

    def test_katas_in_the_tree_are_left_out(self, tmp_path: Path) -> None:
        """Else they would double with each press; those that hold something are known by a mark,
        others are named.
        """
        (tmp_path / "a").touch()
        with closing(FolderKatas(tmp_path / ".katas").event(Avatar())):
            pass
        (tmp_path / "home" / "volumes").mkdir(parents=True)
        assert set(VisibleFiles.from_folder(tmp_path)) == {b"a", b"home/volumes"}
        assert set(VisibleFiles.from_folder(tmp_path, stores=[tmp_path / "home"])) == {b"a"}

    @pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
    @pytest.mark.parametrize("options", [(), ("--split-index",), ("--index-version", "4")])
    @pytest.mark.parametrize("format", ["sha1", "sha256"])
    def test_what_git_tracks_is_sent_however_it_keeps_its_index(
        self, tmp_path: Path, options: tuple[str, ...], format: str
    ) -> None:
        """Split, compressed, with longer ids: what is ignored and tracked is sent, what is ignored
        alone is not.
        """

        def git(*arguments: str) -> None:
            subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

        git("init", f"--object-format={format}")
        (tmp_path / ".gitignore").write_text("*.o\n")
        for name in ("a.o", "b.o", "c.o"):
            (tmp_path / name).touch()
        git("add", "--force", "a.o")
        git("update-index", *options, "--force-write-index")
        git("add", "--force", "b.o")
        assert set(VisibleFiles.from_folder(tmp_path)) == {b".gitignore", b"a.o", b"b.o"}

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
    def test_what_is_no_file_names_nothing_that_is_ignored(
        self, tmp_path: Path, make: Callable[[Path], None]
    ) -> None:
        """Nothing waits for a named pipe of that name, be it git's index."""
        (tmp_path / "sub").mkdir()
        for name in ("a", "sub/b"):
            (tmp_path / name).touch()
        porcelain.init(tmp_path).close()
        for name in (".gitignore", "sub/.gitignore", ".git/index"):
            make(tmp_path / name)
        found = VisibleFiles.from_folder(tmp_path)
        assert {b"a", b"sub/b"} <= set(found) <= {b"a", b"sub/b", b".gitignore", b"sub/.gitignore"}

    def test_what_was_left_out_is_told_in_one_line(self) -> None:
        """With three names for each reason, as text that a terminal can print."""
        names = [b"a\x1b[31m", b"b", b"c", b"d", b"e"]
        told = left_out_line({".gitignore": names, "--exclude": [b"x"]})
        assert told == "left out: a\\x1b[31m, b, c and 2 more (.gitignore); x (--exclude)"
        assert left_out_line({}) == ""
        for count, more in ((1, ""), (3, ""), (4, " and 1 more")):
            listed = ", ".join(["x"] * min(count, 3))
            assert left_out_line({"why": [b"x"] * count}) == f"left out: {listed}{more} (why)"

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

    @pytest.mark.parametrize(
        "what", [VisibleFile.read, lambda file: file.size, lambda file: file.blob]
    )
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


class TestFreeze:
    """VisibleFiles.freeze()"""

    def test_what_happens_in_the_folder_then_does_not_matter(self, tmp_path: Path) -> None:
        """What was hashed is what is sent and what is committed."""
        (tmp_path / "edited").write_text("old")
        (tmp_path / "deleted").write_text("old")
        frozen = VisibleFiles.from_folder(tmp_path).freeze()
        (tmp_path / "edited").write_text("new")
        (tmp_path / "deleted").unlink()
        assert contents(frozen) == {b"edited": b"old", b"deleted": b"old"}
        assert frozen.manifest() == VisibleFiles({"edited": "old", "deleted": "old"}).manifest()

    def test_one_that_has_gone_since_was_never_sent(self, tmp_path: Path) -> None:
        """As an editor's swap file; the rest is as it is now."""
        for name in ("a", ".a.swp"):
            (tmp_path / name).write_text("old")
        files = VisibleFiles.from_folder(tmp_path)
        (tmp_path / ".a.swp").unlink()
        (tmp_path / "a").write_text("new")
        assert contents(files.freeze()) == {b"a": b"new"}

    def test_one_that_is_something_else_since_is_sent_as_what_it_is(self, tmp_path: Path) -> None:
        """As after a `git checkout` during the press: a file or a symlink; of anything else nothing
        is sent under that name.
        """
        was = {"file to link", "link to file", "file to folder", "file to fifo", "folder/to file"}
        (tmp_path / "folder").mkdir()
        for name in was:
            (tmp_path / name).write_text("old")
        (tmp_path / "link to file").unlink()
        (tmp_path / "link to file").symlink_to("a")
        files = VisibleFiles.from_folder(tmp_path)
        for name in was:
            (tmp_path / name).unlink()
        (tmp_path / "folder").rmdir()
        (tmp_path / "folder").write_text("new")
        (tmp_path / "file to link").symlink_to("b")
        (tmp_path / "link to file").write_text("new")
        (tmp_path / "file to folder").mkdir()
        os.mkfifo(tmp_path / "file to fifo")
        found = files.freeze()
        assert {name: (file.mode, file.read()) for name, file in found.items()} == {
            b"file to link": (LINK, b"b"),
            b"link to file": (FILE, b"new"),
        }

    @pytest.mark.parametrize("size", [0, 1, 5 << 20])
    @pytest.mark.parametrize("change", [-3, 0, 1 << 20])
    def test_large_files_are_not_in_memory(
        self, tmp_path: Path, size: int, change: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They are named as git names them all the same, holes and all; even one that changes its
        length while it is read.
        """
        content = os.urandom(size // 2) + bytes(size - size // 2)
        (tmp_path / "file").write_bytes(content)
        spool = Spool()
        file = os.open(tmp_path / "file", os.O_RDONLY)
        try:
            part = spool.take(file, max(size + change, 0))
        finally:
            os.close(file)
        expected = content[: max(size + change, 0)]
        assert b"".join(part.pieces()) == expected
        assert (part.size, part.blob) == (len(expected), blob_id(expected))
        monkeypatch.setattr("harness.katas.spool.MEMORY", 0)
        frozen = VisibleFiles.from_folder(tmp_path).freeze()[b"file"]
        assert (frozen.read(), frozen.blob, frozen.size) == (content, blob_id(content), size)

    def test_holes_take_no_room(self, tmp_path: Path) -> None:
        """A sparse file of half a gigabyte costs the disk what is in it."""
        os.truncate(os.open(tmp_path / "sparse", os.O_CREAT | os.O_WRONLY), 32 << 20)
        spool = Spool()
        file = os.open(tmp_path / "sparse", os.O_RDONLY)
        try:
            part = spool.take(file, 32 << 20)
        finally:
            os.close(file)
        assert os.fstat(part.file).st_size == 32 << 20
        assert os.fstat(part.file).st_blocks * 512 < 1 << 20


class TestComplete:
    """complete()"""

    def test_only_what_the_player_still_has_is_released(self) -> None:
        """By its own name or with a folder above it, and only by a pattern."""
        left_out = {
            ".gitignore": [b"a.log", b"build/"],
            "--exclude": [b"b.log"],
            "neither file, folder nor symlink": [b"pipe"],
        }
        files = VisibleFiles({b"x": VisibleFile(b"", age=7)}, left_out=left_out, folders=[b"kept"])
        names = (b"a.log", b"b.log", b"build/c/d", b"gone", b"kept/e", b"left/f/g", b"pipe")
        delta = files.complete(Delta((b"x",), (), (), names))
        assert delta.released == (b"a.log", b"b.log", b"build/c/d")
        assert delta.deleted == (b"gone", b"kept/e", b"left/f/g", b"pipe")
        assert delta.ages == {b"x": 7}
        assert set(delta.removed) == {b"build", b"build/c", b"left", b"left/f"}

    def test_files_from_a_browser_remove_no_folder(self) -> None:
        """Which folders there are is not known; nor is the age of a file."""
        delta = VisibleFiles({"x": "1"}).complete(Delta((b"x",), (), (), (b"left/f",)))
        assert (delta.removed, delta.released, delta.ages) == ((), (), {})
        assert delta.deleted == (b"left/f",)
        whole = VisibleFiles({b"x": VisibleFile(b"")}, folders=[]).complete(
            Delta((b"x",), (), (), ())
        )
        assert (whole.removed, whole.ages) == ((), {})


class TestContent:
    """VisibleFile"""

    def test_a_content_comes_in_pieces_of_a_mebibyte(self) -> None:
        """All of it, in order."""
        content = os.urandom(10) * 250_000
        pieces = list(VisibleFile(content).pieces())
        assert [len(piece) for piece in pieces] == [1 << 20, 1 << 20, 2_500_000 - (2 << 20)]
        assert b"".join(pieces) == content
        assert list(VisibleFile(b"").pieces()) == []

    def test_a_folder_has_neither_content_nor_blob(self) -> None:
        folder = VisibleFile(b"", FOLDER)
        assert (folder.mode, folder.blob, folder.size) == (FOLDER, "", 0)
        assert VisibleFile(b"#!x").mode == PROGRAM
        assert VisibleFile(b"#!x", FILE).mode == FILE

    @pytest.mark.parametrize(("mode", "kind"), [(0o644, FILE), (0o744, PROGRAM), (0o655, FILE)])
    def test_the_owner_s_permission_makes_a_program(
        self, tmp_path: Path, mode: int, kind: int
    ) -> None:
        (tmp_path / "a").touch()
        (tmp_path / "a").chmod(mode)
        assert VisibleFiles.from_folder(tmp_path)["a"].mode == kind


def test_a_file_that_goes_while_its_folder_is_read_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an editor's swap file, which is the first by name."""
    for name in (".a.swp", "b", "c"):
        (tmp_path / name).touch()
    scan = os.scandir

    class Gone:
        name = ".a.swp"

        def stat(self, **_: object) -> os.stat_result:
            raise FileNotFoundError

    class Scan:
        def __init__(self, folder: int) -> None:
            self.items = [each for each in scan(folder) if each.name != Gone.name]

        def __enter__(self) -> list[object]:
            return [Gone(), *self.items]

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr("harness.katas.gather.os.scandir", Scan)
    assert set(VisibleFiles.from_folder(tmp_path)) == {b"b", b"c"}


def test_one_that_is_taken_away_leaves_those_before_and_after_it() -> None:
    files = VisibleFiles({"a": "1", "b": "2", "c": "3"})
    assert contents(files.without("b")) == {b"a": b"1", b"c": b"3"}


def test_what_is_frozen_has_the_stamp_of_what_was_read(tmp_path: Path) -> None:
    """If it had one; a file that came without an age gets none."""
    (tmp_path / "a").write_bytes(b"1")
    os.utime(tmp_path / "a", ns=(5, 5))
    for age, kept in ((3, 5), (None, None)):
        with reader() as one:
            frozen = VisibleFile(tmp_path / "a", FILE, age=age).freeze(Spool(), one)
        assert (frozen.read(), frozen.age) == (b"1", kept)
