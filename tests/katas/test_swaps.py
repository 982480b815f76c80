"""A player's folder in which another process swaps folders: nothing from outside is ever sent."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.inside import descent
from harness.inside.disk import exchange
from harness.inside.errors import UsageError
from harness.katas import gather
from harness.katas.visible import FILE, LINK, VisibleFile, VisibleFiles
from tests.support import one_line

SECRET = b"the host's own"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with the folder `sub/deep`, beside a folder of the host with the same names."""
    for top, text in (("tree", b"the player's"), ("host", SECRET)):
        for name in ("sub/deep/file", "sub/file", "sub/link", "file"):
            (tmp_path / top / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / top / name).write_bytes(text)
        (tmp_path / top / "sub/link").unlink()
        (tmp_path / top / "sub/link").symlink_to("file" if top == "tree" else os.fsdecode(text))
    return tmp_path / "tree"


def swap(folder: Path) -> None:
    """Put a symlink to the host's folder in the place of this one of the tree."""
    top = next(above for above in (folder, *folder.parents) if above.name == "tree")
    folder.rename(folder.with_name(f".{folder.name}"))
    folder.symlink_to(top.with_name("host") / folder.relative_to(top))


def contents(files: VisibleFiles) -> dict[bytes, bytes]:
    return {name: file.read() for name, file in files.items()}


@pytest.mark.parametrize("folder", ["sub", "sub/deep"])
def test_a_folder_swapped_while_the_tree_is_read_is_not_entered(
    tree: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """Between the moment that it was seen as a folder and the one that it is opened."""

    def enter(name: str | bytes, parent: int | None) -> int:
        if name == os.path.basename(folder):
            swap(tree / folder)
        return descent.enter(name, parent)

    monkeypatch.setattr(gather, "enter", enter)
    files = VisibleFiles.from_folder(tree)
    assert not any(name.startswith(folder.encode() + b"/") for name in files)
    assert b"file" in files


@pytest.mark.parametrize("folder", ["sub", "sub/deep"])
def test_a_folder_swapped_since_then_holds_nothing(tree: Path, folder: str) -> None:
    """Neither its files nor what its symlinks hold are read: they count as gone."""
    files = VisibleFiles.from_folder(tree)
    swap(tree / folder)
    frozen = contents(files.freeze())
    assert frozen.keys() == {name for name in files if not name.startswith(folder.encode() + b"/")}
    assert SECRET not in frozen.values()
    for read in (VisibleFile.read, lambda file: file.size, lambda file: file.blob):
        with pytest.raises(UsageError, match="No such file") as raised:
            read(files[f"{folder}/file"])
        assert str(tree / folder / "file") in one_line(raised.value)


@pytest.mark.parametrize("kind", [FILE, LINK])
def test_a_file_swapped_for_a_symlink_is_not_followed(tree: Path, kind: int) -> None:
    """It is sent as a symlink, or not at all if it is asked for alone."""
    files = VisibleFiles.from_folder(tree)
    (tree / "file").unlink()
    (tree / "file").symlink_to(tree.with_name("host") / "file")
    assert files.freeze()["file"].mode == LINK
    with pytest.raises(UsageError, match="cannot be read"):
        files["file"].read()
    if kind == LINK:
        (tree / "sub/link").unlink()
        (tree / "sub/link").write_bytes(b"new")
        assert files.freeze()["sub/link"].read() == b"new"


@pytest.mark.parametrize("by", ["symlink", "folder", "nothing"])
def test_a_tree_that_was_replaced_as_a_whole_is_refused(tree: Path, by: str) -> None:
    """Nothing of it counts as deleted."""
    files = VisibleFiles.from_folder(tree)
    tree.rename(tree.with_name("before"))
    if by == "symlink":
        tree.symlink_to("host")
    elif by == "folder":
        tree.with_name("host").rename(tree)
    for read in (files.freeze, files["file"].read):
        with pytest.raises(UsageError, match="replaced while it was read, try again") as raised:
            read()
        one_line(raised.value)


def test_a_folder_that_is_swapped_all_the_time_sends_nothing_of_the_host(tree: Path) -> None:
    """Whatever the moment: each press has the player's own content, or none."""
    (tree / ".sub").symlink_to(tree.with_name("host") / "sub")
    stop = threading.Event()

    def swapping() -> None:
        while not stop.is_set():
            exchange(os.fsencode(tree / "sub"), os.fsencode(tree / ".sub"))

    swapper = threading.Thread(target=swapping)
    swapper.start()
    try:
        seen = [contents(VisibleFiles.from_folder(tree).freeze()) for _ in range(100)]
    finally:
        stop.set()
        swapper.join()
    assert all(SECRET not in each.values() for each in seen)
    assert all(each[b"file"] == b"the player's" for each in seen)


@pytest.mark.parametrize("reads", [VisibleFiles.freeze, contents])
def test_many_files_need_few_descriptors(
    tmp_path: Path, reads: Callable[[VisibleFiles], object]
) -> None:
    """However many folders there are, and however deep they are."""
    for number in range(80):
        folder = tmp_path / "/".join(["deep"] * 40) / str(number)
        folder.mkdir(parents=True)
        (folder / "file").touch()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(map(int, os.listdir("/proc/self/fd"))) + 24
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        files = VisibleFiles.from_folder(tmp_path)
        reads(files)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert len(files) == 80


def test_no_folder_stays_open(tree: Path) -> None:
    """Neither after a press, nor after one that was refused."""
    before = sorted(os.listdir("/proc/self/fd"))
    files = VisibleFiles.from_folder(tree)
    files.freeze()
    contents(files)
    (tree / ".harness-katas").touch()
    with pytest.raises(UsageError, match="folder of katas"):
        VisibleFiles.from_folder(tree)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_symlink_that_leads_nowhere_is_sent(tmp_path: Path) -> None:
    """One that goes round, or through more symlinks than the kernel follows; and a text of many
    parts is judged as any other.
    """
    (tmp_path / "a").touch()
    for number in range(50):
        (tmp_path / f"l{number}").symlink_to(f"l{number + 1}")
    (tmp_path / "l50").symlink_to("../out")
    (tmp_path / "round").symlink_to("round/../..")
    (tmp_path / "deep").symlink_to("x/" * 600 + "../" * 601 + "y")
    files = VisibleFiles.from_folder(tmp_path)
    near = {b"l%d" % number for number in range(11, 51)}
    assert set(files.left_out["points out of the tree"]) == near
    assert {b"round", b"deep", b"l0"} <= set(files)
