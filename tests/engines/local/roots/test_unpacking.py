"""Unpacking an image: layers lie over each other as Docker lays them, and none leads out of its
root.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.engines.local.roots.store import LOCK, Root, RootStore, unpack_problem
from harness.inside.errors import ImageError
from tests.images import Member, entry, folder, hard_link, image_of, symlink, text
from tests.support import one_line

pytestmark = pytest.mark.skipif(bool(unpack_problem()), reason=unpack_problem())

OPAQUE = ".wh..wh..opq"


def unpacked(store: Path, *layers: Sequence[Member]) -> Path:
    """The root of an image with these layers."""
    root: Root = RootStore(store).add(image_of(*layers), ["small"])
    return root.folder


def names(root: Path) -> set[str]:
    """All paths in a root, but for those that Docker adds."""
    found = {str(path.relative_to(root)) for path in root.rglob("*")}
    return found - {"etc", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab"}


def test_an_entry_comes_out_as_it_went_in(tmp_path: Path) -> None:
    """With its content, mode, links and stamp, to the nanosecond; a folder keeps its stamp too."""
    exact = {"pax_headers": {"mtime": "1234567890.123456789"}}
    root = unpacked(
        tmp_path,
        [
            folder("a", mode=0o1750, **exact),
            text("a/file", "content", mode=0o640, **exact),
            symlink("a/link", "/a/file"),
            hard_link("a/same", "a/file"),
            entry("a/pipe", tarfile.FIFOTYPE),
            text("./b/made/on the way \udcff", "x"),
        ],
    )
    file = (root / "a/file").stat()
    assert (root / "a/file").read_text() == "content"
    assert (stat.S_IMODE(file.st_mode), file.st_mtime_ns) == (0o640, 1234567890123456789)
    assert (root / "a/same").stat().st_ino == file.st_ino
    assert (root / "a/link").readlink() == Path("/a/file")
    assert stat.S_ISFIFO((root / "a/pipe").stat().st_mode)
    a = (root / "a").stat()
    assert (stat.S_IMODE(a.st_mode), a.st_mtime_ns) == (0o1750, 1234567890123456789)
    assert os.path.exists(os.fsencode(root) + b"/b/made/on the way \xff")


def test_set_id_bits_and_devices_are_not_made(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        [
            text("su", mode=0o6755),
            folder("shared", mode=0o2755),
            entry("disk", tarfile.BLKTYPE, devmajor=8, devminor=0),
            entry("null", tarfile.CHRTYPE, devmajor=1, devminor=3),
        ],
    )
    assert stat.S_IMODE((root / "su").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "shared").stat().st_mode) == 0o755
    assert names(root) == {"su", "shared"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_keep_their_owners(tmp_path: Path) -> None:
    root = unpacked(tmp_path, [text("a", uid=7, gid=8), symlink("b", "a")])
    assert ((root / "a").stat().st_uid, (root / "a").stat().st_gid) == (7, 8)


def test_a_mark_deletes_what_an_earlier_layer_has(tmp_path: Path) -> None:
    """A file, a folder with all in it, and nothing that the same layer brings."""
    root = unpacked(
        tmp_path,
        [text("file"), text("folder/deep/file"), text("stays"), text("again", "old")],
        [text(".wh.file"), text(".wh.folder"), text("again", "new"), text(".wh.again")],
    )
    assert names(root) == {"stays", "again"}
    assert (root / "again").read_text() == "new"


def test_a_mark_for_nothing_is_passed_over(tmp_path: Path) -> None:
    """And the marks of AUFS are no files."""
    root = unpacked(
        tmp_path,
        [text("stays"), text(".wh.none"), text("no/folder/.wh.none")],
        [text(".wh..wh.aufs"), text(".wh..wh.plnk/1.2"), text(".wh..wh.orph/.wh..wh..opq")],
    )
    assert names(root) == {"stays"}


@pytest.mark.parametrize("first", [True, False])
def test_an_opaque_folder_shows_nothing_of_earlier_layers(tmp_path: Path, first: bool) -> None:
    """Wherever its mark comes in the layer; folders that both layers have lose the old files."""
    mark = [text(f"a/{OPAQUE}")]
    new = [folder("a"), text("a/new"), folder("a/both"), text("a/both/new")]
    root = unpacked(
        tmp_path,
        [text("a/old"), text("a/both/old"), text("a/gone/old"), text("b")],
        [*mark, *new] if first else [*new, *mark],
    )
    assert names(root) == {"a", "a/new", "a/both", "a/both/new", "b"}


def test_a_folder_that_is_deleted_and_made_anew_has_only_what_is_new(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        [text("a/old"), text("a/both/old")],
        [folder("a"), text("a/both/new"), text(".wh.a")],
    )
    assert names(root) == {"a", "a/both", "a/both/new"}


def test_an_entry_of_another_kind_replaces_what_was_there(tmp_path: Path) -> None:
    """And a folder that is there stays, with what is in it."""
    root = unpacked(
        tmp_path,
        [text("a/file"), text("b"), symlink("c", "a"), text("d/kept")],
        [text("a", "file"), folder("b"), text("b/file"), folder("c"), text("c/file"), folder("d")],
    )
    assert names(root) == {"a", "b", "b/file", "c", "c/file", "d", "d/kept"}
    assert not (root / "c").is_symlink()


def test_a_file_does_not_write_through_a_link_that_it_replaces(tmp_path: Path) -> None:
    """Neither a symlink nor a hard link."""
    root = unpacked(
        tmp_path,
        [text("kept", "kept"), symlink("soft", "kept"), hard_link("hard", "kept")],
        [text("soft", "new"), text("hard", "new")],
    )
    assert [(root / name).read_text() for name in ("kept", "soft", "hard")] == [
        "kept",
        "new",
        "new",
    ]


def test_a_folder_that_is_a_symlink_is_followed_inside_the_root(tmp_path: Path) -> None:
    """As Docker does; an absolute one, and one that goes up further than there is."""
    root = unpacked(
        tmp_path,
        [folder("usr/lib"), symlink("lib", "usr/lib"), symlink("abs", "/usr/lib")],
        [symlink("up", "../../../../../../usr"), text("lib/a"), text("abs/b"), text("up/c")],
    )
    assert {"usr/lib/a", "usr/lib/b", "usr/c"} <= names(root)


def test_nothing_leads_out_of_the_root(tmp_path: Path) -> None:
    """Whatever a hostile image does: all of it ends inside, or is refused and leaves nothing."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    hostile: dict[str, list[Member]] = {
        "up": [text("../outside/new")],
        "up inside": [text("a/../../outside/new")],
        "up by a link": [hard_link("a", "../outside/secret")],
        "an absolute name": [text(f"{outside}/new")],
        "a link to a file outside": [hard_link("a", f"{outside}/secret")],
        "a symlink outside": [symlink("a", str(outside)), text("a/new")],
        "a symlink to a file outside": [symlink("a", f"{outside}/secret"), text("a", "new")],
        "a mark behind a symlink": [symlink("a", str(outside)), text("a/.wh.secret")],
        "an opaque symlink": [symlink("a", str(outside)), text(f"a/{OPAQUE}")],
        "a mark that goes up": [folder("a"), text("a/.wh...")],
        "a mark of the folder itself": [folder("a"), text("a/.wh..")],
        "a mark of nothing": [folder("a"), text("a/.wh.")],
        "a loop": [symlink("a", "b"), symlink("b", "a"), text("a/new")],
        "a file as a folder": [text("a"), text("a/new")],
        "a name that no file can have": [text("a" * 300)],
    }
    refused = set()
    for number, (what, members) in enumerate(hostile.items()):
        # In a layer of its own each, so that what a link names is there before.
        for layers in ([members], [[member] for member in members])[: len(members)]:
            store = tmp_path / f"store {number} {len(layers)}"
            try:
                unpacked(store, *layers)
            except ImageError as error:
                one_line(error)
                refused.add(what)
                assert os.listdir(store) == [LOCK], what
    assert os.listdir(outside) == ["secret"]
    assert (outside / "secret").read_text() == "secret"
    assert (outside / "secret").stat().st_nlink == 1
    assert {"up", "up inside", "up by a link", "a mark that goes up", "a loop"} <= refused


def test_more_than_an_image_may_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.engines.local.roots.store.MOST_NAMES", 10)
    with pytest.raises(ImageError, match="more than an image may"):
        unpacked(tmp_path / "names", [text(str(number)) for number in range(11)])
    monkeypatch.setattr("harness.engines.local.roots.store.MOST_BYTES", 10)
    with pytest.raises(ImageError, match="more than an image may"):
        unpacked(tmp_path / "bytes", [text("a", "x" * 11)])


def test_a_root_with_too_many_names_at_its_top_is_refused(tmp_path: Path) -> None:
    """Each is mounted by itself."""
    with pytest.raises(ImageError, match="names in its root folder"):
        unpacked(tmp_path, [text(str(number)) for number in range(300)])
    assert os.listdir(tmp_path) == [LOCK]


def test_it_has_the_files_that_docker_gives_each_container(tmp_path: Path) -> None:
    """In place of the image's own, whatever they are."""
    root = unpacked(tmp_path, [symlink("etc/hosts", "/elsewhere"), text("elsewhere", "kept")])
    assert (root / "etc/hosts").read_text().startswith("127.0.0.1\tlocalhost\n")
    assert (root / "etc/mtab").readlink() == Path("/proc/mounts")
    assert (root / "elsewhere").read_text() == "kept"
