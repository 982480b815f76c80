"""Folders that hostile code has been in: swapped in one step, opened whatever their mode, removed
for sure.
"""

from __future__ import annotations

import os
import resource
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given

from harness.inside.disk import (
    ALL_ACCESS,
    exchange,
    open_file,
    open_folder,
    permit_all,
    remove_tree,
)
from harness.verify.testing.planting import Planned, planted
from harness.verify.testing.strategies import trees
from tests.children import unprivileged
from tests.support import on_disk


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def deep(folder: Path, levels: int) -> None:
    """Folder in folder in folder; deeper than a path can name."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("down", dir_fd=here)
        below = os.open("down", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


class TestExchange:
    """exchange()"""

    def test_each_gets_the_other_s_name(self, tmp_path: Path) -> None:
        """The folders themselves change places, with all that is in them; so do a file and a
        folder.
        """
        one, other = tmp_path / "one", tmp_path / "other"
        one.mkdir()
        (one / "inside").touch()
        other.write_text("a file")
        inodes = one.stat().st_ino, other.stat().st_ino

        exchange(str(one), str(other))

        assert (other.stat().st_ino, one.stat().st_ino) == inodes
        assert one.read_text() == "a file"
        assert (other / "inside").exists()

    def test_at_no_moment_is_one_of_them_missing(self, tmp_path: Path) -> None:
        """Whoever looks meanwhile finds the one or the other."""
        one, other = tmp_path / "one", tmp_path / "other"
        one.mkdir()
        other.mkdir()
        known = {one.stat().st_ino, other.stat().st_ino}
        stop = threading.Event()

        def swap() -> None:
            while not stop.is_set():
                exchange(str(one), str(other))

        swapper = threading.Thread(target=swap)
        swapper.start()
        try:
            seen = {one.stat().st_ino for _ in range(20_000)}
        finally:
            stop.set()
            swapper.join()
        assert seen <= known

    def test_a_missing_path_leaves_the_other_alone(self, tmp_path: Path) -> None:
        """Nothing is moved into nothing, and the error says which two paths."""
        (tmp_path / "one").mkdir()
        with pytest.raises(FileNotFoundError) as raised:
            exchange(str(tmp_path / "one"), str(tmp_path / "other"))
        assert (raised.value.filename, raised.value.filename2) == (
            str(tmp_path / "one"),
            str(tmp_path / "other"),
        )
        assert os.listdir(tmp_path) == ["one"]

    @unprivileged
    def test_a_forbidden_exchange_is_an_error(self, tmp_path: Path) -> None:
        """And leaves both where they were."""
        (tmp_path / "one").mkdir()
        (tmp_path / "other").touch()
        tmp_path.chmod(0o555)
        with pytest.raises(PermissionError):
            exchange(str(tmp_path / "one"), str(tmp_path / "other"))
        assert (tmp_path / "one").is_dir()


class TestOpenFolder:
    """open_folder() and permit_all()"""

    @unprivileged
    def test_a_folder_closed_to_its_owner_is_opened(self, tmp_path: Path) -> None:
        """What is missing for its owner is granted; what others may do stays as it is."""
        folder = tmp_path / "closed"
        folder.mkdir()
        folder.chmod(0o051)
        os.close(open_folder(str(folder)))
        assert mode(folder) == 0o751

    @unprivileged
    def test_a_folder_that_permits_enough_keeps_its_mode(self, tmp_path: Path) -> None:
        """Looking into a folder is no reason to make it writable."""
        folder = tmp_path / "readable"
        folder.mkdir()
        folder.chmod(0o500)
        os.close(open_folder(str(folder)))
        assert mode(folder) == 0o500
        os.close(open_folder(str(folder), need=ALL_ACCESS))
        assert mode(folder) == 0o700

    def test_root_grants_what_the_owner_lacks_too(self, tmp_path: Path) -> None:
        """Though root itself lacks nothing: the next run is not root."""
        folder = tmp_path / "closed"
        folder.mkdir()
        folder.chmod(0o051)
        os.close(open_folder(str(folder)))
        assert mode(folder) == 0o751

    @pytest.mark.parametrize("kind", ["symlink", "file", "fifo"])
    def test_only_a_folder_is_opened(self, tmp_path: Path, kind: str) -> None:
        """A symlink to a folder is none, and a fifo is not waited for."""
        path = tmp_path / kind
        if kind == "symlink":
            path.symlink_to(tmp_path)
        elif kind == "file":
            path.touch()
        else:
            os.mkfifo(path)
        with pytest.raises(NotADirectoryError):
            open_folder(str(path))

    @unprivileged
    def test_a_whole_tree_is_opened(self, tmp_path: Path) -> None:
        """However the folders are nested; nothing that a symlink points to is touched."""
        inner = tmp_path / "tree" / "a" / "b"
        inner.mkdir(parents=True)
        outside = tmp_path / "outside"
        outside.mkdir()
        (inner / "link").symlink_to(outside)
        for folder in (outside, inner, inner.parent, tmp_path / "tree"):
            folder.chmod(0)
        permit_all(tmp_path / "tree")
        assert (inner / "link").is_symlink()
        assert mode(outside) == 0
        outside.chmod(0o700)

    def test_the_modes_of_a_nest_are_mended_too(self, tmp_path: Path) -> None:
        """Deeper than a path can name."""
        (tmp_path / "tree").mkdir()
        deep(tmp_path / "tree", 3000)
        here = open_folder(tmp_path / "tree")
        for _ in range(3000):
            below = os.open("down", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.fchmod(here, 0o077)
        permit_all(tmp_path / "tree")
        assert stat.S_IMODE(os.fstat(here).st_mode) == 0o777
        os.close(here)
        remove_tree(tmp_path / "tree")  # pytest could not


class TestOpenFile:
    """open_file()"""

    @pytest.mark.parametrize("kind", ["symlink", "folder", "fifo", "device"])
    def test_only_a_file_is_opened(self, tmp_path: Path, kind: str) -> None:
        """A fifo is not waited for, a device not woken, a symlink not followed."""
        path = tmp_path / kind
        if kind == "symlink":
            (tmp_path / "file").touch()
            path.symlink_to("file")
        elif kind == "folder":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)
        else:
            try:
                os.mknod(path, stat.S_IFCHR, os.makedev(1, 5))
            except PermissionError:
                pytest.skip("only root makes a device")
        with pytest.raises(OSError, match="not a regular file"):
            open_file(path.name, parent=os.open(tmp_path, os.O_RDONLY))

    def test_a_file_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"content")
        with open(open_file(str(tmp_path / "file")), "rb") as file:
            assert file.read() == b"content"


class TestRemoveTree:
    """remove_tree()"""

    @on_disk
    @given(trees())
    def test_any_tree_is_removed(self, tree: dict[bytes, Planned]) -> None:
        """Whatever the names, kinds and modes, and nothing beside it."""
        with planted(tree) as folder:
            parent = Path(folder).parent
            (parent / "neighbour").mkdir()
            remove_tree(folder)
            assert os.listdir(parent) == ["neighbour"]

    @unprivileged
    def test_no_mode_keeps_its_owner_from_removing_a_tree(self, tmp_path: Path) -> None:
        """Folders closed to their owner, inside one another, empty and full."""
        for modes in ((0, 0), (0o555, 0), (0, 0o555), (0o111, 0o444)):
            inner = tmp_path / "tree" / "outer" / "inner"
            (inner / "empty").mkdir(parents=True)
            (inner / "file").touch(mode=0)
            (inner / "empty").chmod(0)
            inner.chmod(modes[1])
            inner.parent.chmod(modes[0])
            (tmp_path / "tree").chmod(0)
            remove_tree(tmp_path / "tree")
            assert os.listdir(tmp_path) == []

    def test_symlinks_are_removed_and_not_followed(self, tmp_path: Path) -> None:
        """What they point to keeps its content and its mode."""
        outside, tree = tmp_path / "outside", tmp_path / "tree"
        outside.mkdir()
        (outside / "file").write_text("kept")
        outside.chmod(0o500)
        tree.mkdir()
        (tree / "folder").symlink_to(outside)
        (tree / "file").symlink_to(outside / "file")
        remove_tree(tree)
        assert (outside / "file").read_text() == "kept"
        assert mode(outside) == 0o500

    def test_a_tree_deeper_than_any_path_is_removed(self, tmp_path: Path) -> None:
        """A run can nest folders deeper than Python recurses, and than a path can name."""
        (tmp_path / "tree").mkdir()
        deep(tmp_path / "tree", 3000)
        remove_tree(tmp_path / "tree")
        assert os.listdir(tmp_path) == []

    def test_few_files_are_open_meanwhile(self, tmp_path: Path) -> None:
        """However deep and wide the tree is."""
        (tmp_path / "tree").mkdir()
        deep(tmp_path / "tree", 100)
        for number in range(100):
            (tmp_path / "tree" / str(number) / "inside").mkdir(parents=True)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 16, hard))
        try:
            remove_tree(tmp_path / "tree")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert os.listdir(tmp_path) == []

    def test_a_missing_folder_is_fine(self, tmp_path: Path) -> None:
        """Gone is gone."""
        remove_tree(tmp_path / "missing")

    @pytest.mark.parametrize(
        "make", [Path.touch, lambda path: path.symlink_to(".")], ids=["file", "symlink"]
    )
    def test_what_is_no_folder_is_refused(self, tmp_path: Path, make: object) -> None:
        """And left where it is."""
        assert callable(make)
        make(tmp_path / "it")
        with pytest.raises(NotADirectoryError):
            remove_tree(tmp_path / "it")
        assert os.listdir(tmp_path) == ["it"]

    @unprivileged
    def test_a_folder_of_somebody_else_is_an_error(self, tmp_path: Path) -> None:
        """It is not silently left behind."""
        with pytest.raises(PermissionError):
            remove_tree("/etc")
