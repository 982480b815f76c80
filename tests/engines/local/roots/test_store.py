"""The cache of roots: each is unpacked once, appears whole, and stays while somebody uses it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engines.folders import Shelf
from harness.engines.local.engine import LocalEngine
from harness.engines.local.roots import store as roots
from harness.engines.local.roots.archive import StoredImage, StoredLayer
from harness.engines.local.roots.store import LOCK, NAMES, RootStore, canonical, unpack_problem
from harness.engines.owner import Owner
from harness.inside.errors import ImageError
from tests.children import unprivileged
from tests.images import image_of, text
from tests.support import one_line

pytestmark = pytest.mark.skipif(bool(unpack_problem()), reason=unpack_problem())

ONE, OTHER = image_of([text("one")], Env=["A=1"]), image_of([text("other")])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RootStore]:
    with closing(RootStore(tmp_path / "roots")) as opened:
        yield opened


def folders(store: RootStore) -> set[str]:
    """The names of the folders in the cache."""
    return {each.name for each in store.path.iterdir()} - {LOCK, NAMES}


def name_of(image: StoredImage) -> str:
    return image.digest.removeprefix("sha256:")


def test_a_root_is_found_by_each_name_and_by_its_digest(store: RootStore) -> None:
    assert store.find("one") is None
    made = store.add(ONE, ["one", "my/one:2"])
    for name in ("one", "one:latest", "docker.io/library/one", "my/one:2", ONE.digest):
        assert store.find(name) == made
    assert made.variables == ("A=1",)
    assert (made.folder / "one").exists()
    assert store.find("my/one") is None
    assert store.find("sha256:../..") is None


def test_only_its_user_may_enter_the_cache(store: RootStore) -> None:
    """Also if it was there with another mode."""
    store.path.mkdir(mode=0o755)
    store.add(ONE, ["one"])
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o700


def test_an_image_is_unpacked_once(store: RootStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """By two who need it at once, too."""
    with ThreadPoolExecutor() as pool:
        pair = [RootStore(store.path) for _ in range(2)]
        made = list(pool.map(lambda each: each.add(ONE, ["one"]), pair))
    assert made[0] == made[1]
    inode = made[0].folder.stat().st_ino
    assert store.add(ONE, ["two"]).folder.stat().st_ino == inode
    assert folders(store) == {name_of(ONE)}
    assert set(store.names()) == {"one:latest", "two:latest"}
    for each in pair:
        each.close()


def test_who_waits_for_another_says_so(store: RootStore) -> None:
    lines: list[str] = []
    with ThreadPoolExecutor() as pool, closing(RootStore(store.path)) as other:
        with store.alone():
            waiting = pool.submit(other.add, ONE, ["one"], report=lines.append)
            while not lines:
                assert not waiting.done()
        waiting.result()
    assert lines == ["waiting for another process that unpacks an image"]


def test_a_new_image_of_a_name_removes_the_old(store: RootStore) -> None:
    with closing(RootStore(store.path)) as other:
        other.add(ONE, ["it"])
    root = store.add(OTHER, ["it"])
    assert store.find("it") == root
    assert folders(store) == {name_of(OTHER)}


def test_a_root_that_is_in_use_stays(store: RootStore, tmp_path: Path) -> None:
    """Until its user closes; then `harness clean` finds it."""
    with closing(RootStore(store.path)) as user:
        used = user.add(ONE, ["it"])
        store.add(OTHER, ["it"])
        assert (used.folder / "one").exists()
        assert store.unnamed() == []
    assert store.unnamed() == [ONE.digest]
    assert store.sweep() == [ONE.digest]
    assert folders(store) == {name_of(OTHER)}


def test_a_name_is_forgotten(store: RootStore) -> None:
    """And the root with its last name."""
    with closing(RootStore(store.path)) as other:
        other.add(ONE, ["one", "two"])
    assert store.forget("one")
    assert folders(store) == {name_of(ONE)}
    assert not store.forget("one")
    assert store.forget("two")
    assert folders(store) == set()


def test_an_image_with_a_wrong_digest_leaves_nothing(store: RootStore) -> None:
    [layer] = ONE.layers
    wrong = StoredImage(ONE.config, [StoredLayer(layer.digest, OTHER.layers[0].open)])
    with pytest.raises(ImageError, match="is damaged: it has the digest"):
        store.add(wrong, ["it"])
    assert folders(store) == set()
    assert store.find("it") is None


def test_what_a_crash_left_is_found_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that was being unpacked, and a root that did not get its name yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store = RootStore()
    with closing(RootStore()) as other:
        other.add(ONE, ["one"])
    store.path.joinpath(NAMES).unlink()
    gone = replace(Owner.current(), started=1)
    monkeypatch.setattr(Owner, "current", classmethod(lambda cls: gone))
    with Shelf(store.path) as shelf:
        left = store.path / shelf.name_under_way("making")
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (left / "root" / "deep").mkdir(parents=True)
    with closing(LocalEngine(tmp_path / "home", bubblewrap=False)) as engine:
        lines = {f"image {left}", f"image without a name {ONE.digest}"}
        assert lines <= set(engine.leftovers())
        assert lines <= set(engine.sweep())
        assert not lines & set(engine.leftovers())
    assert folders(store) == set()


def test_a_sweep_leaves_what_is_being_unpacked(store: RootStore) -> None:
    """It is without a name for a moment."""
    with closing(RootStore(store.path)) as other:
        other.add(ONE, ["one"])
    (store.path / NAMES).unlink()
    with store.alone(), closing(RootStore(store.path)) as sweeper:
        assert sweeper.sweep() == []
    assert folders(store) == {name_of(ONE)}


def test_a_cache_that_cannot_be_read_or_written_is_one_line(
    store: RootStore, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match="XDG_CACHE_HOME") as error:
        RootStore(tmp_path / "file" / "roots").add(ONE, ["one"])
    one_line(error.value)
    root = store.add(ONE, ["one"])
    (root.folder.parent / roots.SETTINGS).write_text("{}")
    with pytest.raises(ImageError, match=r"is damaged .*; remove it") as error:
        store.find("one")
    one_line(error.value)
    for content in ("?", "[]", json.dumps({"one:latest": {"what": "is this"}})):
        (store.path / NAMES).write_text(content)
        with pytest.raises(ImageError, match=r"cannot be read .*; remove") as error:
            store.find("one")
        one_line(error.value)


def test_variables_that_are_no_text_are_refused(store: RootStore) -> None:
    for variables in ([1], "A=1", {"A": 1}, ["A=\0"], ["A=\ud800"]):
        with pytest.raises(ImageError, match="variables"):
            store.add(image_of([text("one")], Env=variables), ["one"])
    assert folders(store) == set()


@unprivileged
def test_a_user_without_privileges_has_a_cache_too(tmp_path: Path) -> None:
    """Where user namespaces work. All files are the user's, also those of others in the image."""
    if why := unpack_problem():
        pytest.skip(why)
    with pytest.MonkeyPatch.context() as patch, closing(RootStore(tmp_path / "roots")) as store:
        if not os.access(roots.sys.executable, os.X_OK):  # root's own
            patch.setattr(roots.sys, "executable", "/usr/bin/python3")
        image = image_of([text("secret", mode=0o600, uid=0), text("theirs", uid=7)])
        root = store.add(image, ["one"])
        assert {each.lstat().st_uid for each in root.folder.rglob("*")} == {os.geteuid()}


@unprivileged
def test_without_user_namespaces_a_user_is_refused(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roots, "unshare", tuple)
        with pytest.raises(ImageError, match="it takes root, or user namespaces"):
            RootStore(tmp_path / "roots").add(ONE, ["one"])
    assert not (tmp_path / "roots").exists()


def test_a_name_is_as_docker_takes_it() -> None:
    assert canonical("localhost:5000/it") == "localhost:5000/it:latest"
    assert canonical("it@sha256:00") == "it@sha256:00"
