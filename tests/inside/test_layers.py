"""Layers read and folded as the kernel's overlay shows them."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir

import pytest

from harness.engines.local.mounts import overlay, overlay_problem
from harness.engines.overlays import overlay_options
from harness.engines.spec import Overlay
from harness.inside.disk import remove_tree
from harness.inside.layers import (
    OPAQUE,
    WHITEOUT,
    LayerEntry,
    Layers,
    copy_entry,
    is_opaque,
    is_whiteout,
)
from harness.inside.tree import Entry, entries, snapshot

HIDDEN, ALONE = "hidden", "alone"
"""A name that a layer hides, and a folder through which nothing below shines."""


def make(folder: Path, tree: Mapping[str, object]) -> None:
    """A layer of files with contents, folders, symlinks (as paths), HIDDEN names, and folders that
    stand ALONE.
    """
    folder.mkdir(exist_ok=True)
    for name, content in tree.items():
        path = folder / name
        if content == HIDDEN:
            os.mknod(path, stat.S_IFCHR, WHITEOUT)
        elif isinstance(content, Mapping):
            make(path, {key: value for key, value in content.items() if key != ALONE})
            if ALONE in content:
                os.setxattr(path, OPAQUE, b"y")
        elif isinstance(content, Path):
            path.symlink_to(content)
        else:
            path.write_text(str(content))


def shown(layers: Layers) -> dict[bytes, Entry]:
    walked = ((path, None, found.path, found.status) for path, found in layers.walk())
    return entries(walked, contents=True)


def texts(tree: Mapping[bytes, Entry], layers: Layers) -> dict[str, str]:
    """Files with their contents, folders with a slash."""
    found = {}
    for path, entry in tree.items():
        where = layers.find([] if path == b"." else path.split(b"/"))
        assert where is not None
        if entry.kind == "f":
            found[path.decode()] = Path(os.fsdecode(where.path)).read_text()
        elif path != b".":
            found[path.decode() + "/"] = ""
    return found


def shown_by_the_kernel(folder: Path, layers: Sequence[str]) -> set[str]:
    """The same names, of an overlay of layers in this folder."""
    for each in ("upper", "work", "merged"):
        remove_tree(folder / each)
        (folder / each).mkdir()
    mount = Overlay("", tuple(os.path.relpath(each, folder) for each in layers), "upper", "work")
    words = overlay(overlay_options(str(folder), mount), folder / "merged")
    command = [
        *words,
        "find",
        str(folder / "merged"),
        "-mindepth",
        "1",
        "-printf",
        "%P\n",
        "-type",
        "d",
    ]
    found = subprocess.run(
        [*command, "-printf", "%P/\n"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.splitlines()
    return set(found) - {each.rstrip("/") for each in found if each.endswith("/")}


CASES = {
    "a file hides one below": ([{"a": 2}, {"a": 1, "b": 1}], {"a": "2", "b": "1"}),
    "a name that is hidden is gone": ([{"a": HIDDEN}, {"a": 1, "b": 1}], {"b": "1"}),
    "what is made anew after that is there": ([{"a": 3}, {"a": HIDDEN}, {"a": 1}], {"a": "3"}),
    "folders are merged": ([{"d": {"a": 2}}, {"d": {"b": 1}}], {"d/": "", "d/a": "2", "d/b": "1"}),
    "a folder stands alone": ([{"d": {ALONE: 1, "a": 2}}, {"d": {"b": 1}}], {"d/": "", "d/a": "2"}),
    "and hides what is below a folder above": (
        [{"d": {"c": 3}}, {"d": {ALONE: 1, "a": 2}}, {"d": {"b": 1}}],
        {"d/": "", "d/a": "2", "d/c": "3"},
    ),
    "a file hides a folder": ([{"d": 2}, {"d": {"b": 1}}], {"d": "2"}),
    "a folder hides a file": ([{"d": {"b": 2}}, {"d": 1}], {"d/": "", "d/b": "2"}),
    "and all that is below that": (
        [{"d": {"c": 3}}, {"d": 2}, {"d": {"b": 1}}],
        {"d/": "", "d/c": "3"},
    ),
    "a folder over a hidden one": (
        [{"d": {"c": 3}}, {"d": HIDDEN}, {"d": {"b": 1}}],
        {"d/": "", "d/c": "3"},
    ),
    "hidden in a folder": ([{"d": {"b": HIDDEN}}, {"d": {"b": 1, "c": 1}}], {"d/": "", "d/c": "1"}),
    "hidden where nothing was": ([{"a": HIDDEN}, {}], {}),
}


@pytest.fixture(params=CASES, ids=lambda name: name.replace(" ", "-"))
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[Path], dict[str, str]]:
    trees, expected = CASES[request.param]
    folders = []
    for number, tree in enumerate(trees):
        make(tmp_path / str(number), tree)
        folders.append(tmp_path / str(number))
    return folders, expected


def test_what_layers_show(case: tuple[list[Path], dict[str, str]]) -> None:
    folders, expected = case
    layers = Layers([str(each) for each in folders])
    assert texts(shown(layers), layers) == expected


def test_what_is_not_shown_is_not_found(case: tuple[list[Path], dict[str, str]]) -> None:
    """Whatever some layer has, by its own."""
    folders, expected = case
    layers = Layers([str(each) for each in folders])
    for folder in folders:
        for path in folder.rglob("*"):
            name = str(path.relative_to(folder))
            found = layers.find(name.encode().split(b"/"))
            assert (found is not None) == (name in expected or f"{name}/" in expected)


def test_a_fold_of_all_layers_is_the_same_tree(
    case: tuple[list[Path], dict[str, str]], tmp_path: Path
) -> None:
    """To the nanosecond, and without a mark of the layers."""
    folders, _ = case
    layers = Layers([str(each) for each in folders])
    before = shown(layers)
    assert layers.fold(str(tmp_path / "all")) >= len(before)
    assert snapshot(tmp_path / "all", contents=True).keys() == before.keys()
    after = {
        path: replace(each, link=b"")
        for path, each in snapshot(tmp_path / "all", contents=True).items()
    }
    assert after == {path: replace(each, link=b"") for path, each in before.items()}
    assert not any(
        is_opaque(bytes(each)) for each in (tmp_path / "all").rglob("*") if each.is_dir()
    )


def test_a_fold_of_the_topmost_layers_shows_the_same_over_the_rest(
    case: tuple[list[Path], dict[str, str]], tmp_path: Path
) -> None:
    """However many are folded."""
    folders, expected = case
    for several in range(1, len(folders) + 1):
        top = tmp_path / f"top-{several}"
        Layers([str(each) for each in folders[:several]]).fold(
            str(top), [str(each) for each in folders[several:]]
        )
        folded = Layers([str(top), *(str(each) for each in folders[several:])])
        assert texts(shown(folded), folded) == expected
        assert shown(folded).keys() == shown(Layers([str(each) for each in folders])).keys()


@pytest.mark.skipif(
    bool(overlay_problem(Path(gettempdir()))), reason="no overlay can be mounted here"
)
def test_the_kernel_shows_the_same_whatever_was_folded(
    case: tuple[list[Path], dict[str, str]], tmp_path: Path
) -> None:
    """To it, a deletion mark in a folder that nothing lies below is a name: there is none."""
    folders, expected = case
    for several in range(len(folders) + 1):
        below = [str(each) for each in folders[several:]]
        if several:
            below.insert(0, str(tmp_path / f"top-{several}"))
            Layers([str(each) for each in folders[:several]]).fold(below[0], below[1:])
        assert shown_by_the_kernel(tmp_path, below) == set(expected)


def test_what_a_fold_hides_of_a_folder_that_only_it_has_leaves_no_mark(tmp_path: Path) -> None:
    """Nor does what hid something of a folder that is hidden itself, or a mark over another one."""
    make(tmp_path / "1", {"d": {"a": HIDDEN, "e": {"x": HIDDEN}}, "f": {"a": HIDDEN}, "g": HIDDEN})
    make(tmp_path / "2", {"d": {"a": 1, "b": 1, "e": {"x": 1}}, "f": {ALONE: 1, "a": 1}, "g": 1})
    make(tmp_path / "3", {"f": {"a": 1}, "g": HIDDEN})
    make(tmp_path / "4", {"g": 1})
    Layers([str(tmp_path / each) for each in "12"]).fold(
        str(tmp_path / "top"), [str(tmp_path / each) for each in "34"]
    )
    found = {str(each.relative_to(tmp_path / "top")) for each in (tmp_path / "top").rglob("*")}
    assert found == {"d", "d/b", "d/e", "f"}
    assert is_opaque(bytes(tmp_path / "top/f"))
    assert not is_opaque(bytes(tmp_path / "top/d"))


@pytest.mark.parametrize("most", [5, 6, 9])
def test_a_file_of_more_names_than_a_file_may_have_is_copied_once(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And stays one file: a fold gives each file as many names again as long as the layers are
    there.
    """
    make(tmp_path / "1", {"a": 1, "d": {}})
    names = [f"{folder}{number}" for number in range(2) for folder in ("", "d/")]
    for name in names:
        os.link(tmp_path / "1/a", tmp_path / "1" / name)
    make(tmp_path / "1", {"l": Path("a")})
    os.link(tmp_path / "1/l", tmp_path / "1/m", follow_symlinks=False)
    link = os.link

    def bounded(source: bytes, there: bytes, follow_symlinks: bool = True) -> None:
        if os.lstat(source).st_nlink >= most:
            raise OSError(errno.EMLINK, os.strerror(errno.EMLINK))
        link(source, there, follow_symlinks=follow_symlinks)

    layers = Layers([str(tmp_path / "1")])
    before = shown(layers)
    monkeypatch.setattr(os, "link", bounded)
    layers.fold(str(tmp_path / "all"))
    assert snapshot(tmp_path / "all", contents=True) == before


def test_a_fold_keeps_modes_stamps_links_and_what_is_no_file(tmp_path: Path) -> None:
    """And shares the files themselves: it costs no copying."""
    make(tmp_path / "1", {"d": {"a": 1}, "l": Path("d/a")})
    os.link(tmp_path / "1/d/a", tmp_path / "1/b")
    os.mkfifo(tmp_path / "1/p")
    (tmp_path / "1/d").chmod(0o1731)
    (tmp_path / "1/d/a").chmod(0o4500)
    os.utime(tmp_path / "1/d", ns=(5, 123456789))
    make(tmp_path / "2", {"d": {"x": 1}})
    layers = Layers([str(tmp_path / "1"), str(tmp_path / "2")])
    layers.fold(str(tmp_path / "all"))
    after = snapshot(tmp_path / "all", contents=True)
    assert after == {
        path: replace(each, link=after[path].link) for path, each in shown(layers).items()
    }
    assert after[b"d/a"].link == after[b"b"].link == b"b"
    assert (tmp_path / "all/d/a").samefile(tmp_path / "1/d/a")


def test_a_copy_has_the_holes_of_a_file(tmp_path: Path) -> None:
    """And the rest; a file of nothing but holes too, and one without any."""
    files = {"holes": {}, "some": {8 << 20: b"a", 64 << 20: b"b" * 5000}, "none": {0: b"c" * 5000}}
    for name, pieces in files.items():
        with (tmp_path / name).open("wb") as file:
            file.truncate(100 << 20 if name != "none" else 0)
            for at, piece in pieces.items():
                file.seek(at)
                file.write(piece)
        came, there = tmp_path / name, tmp_path / f"{name}.copy"
        os.utime(came, ns=(1, 123456789))
        copy_entry(LayerEntry(bytes(came), came.lstat()), bytes(there))
        before, after = came.stat(), there.stat()
        assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        assert after.st_blocks <= before.st_blocks + 8, name
        assert subprocess.run(["cmp", came, there], check=False).returncode == 0


def test_symlinks_are_not_followed(tmp_path: Path) -> None:
    """Not even where a layer below has a folder of that name."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/secret").touch()
    make(tmp_path / "1", {"d": tmp_path / "out"})
    make(tmp_path / "2", {"d": {"secret": 1}})
    layers = Layers([str(tmp_path / "1"), str(tmp_path / "2")])
    assert layers.find([b"d", b"secret"]) is None
    assert [path for path, _ in layers.walk()] == [b".", b"d"]


def test_only_a_device_with_both_numbers_0_hides(tmp_path: Path) -> None:
    make(tmp_path / "1", {"a": HIDDEN})
    assert is_whiteout(os.lstat(tmp_path / "1/a"))
    assert not is_whiteout(os.stat("/dev/null"))
