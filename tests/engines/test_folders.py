"""Folders with an owner: whoever dies, they are found; and where others have been at work, nothing
of theirs is touched.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from harness.engines.folders import Shelf, remove_folder, sandboxes_home, scratch, temporary_folder
from harness.engines.local.engine import LocalEngine
from harness.engines.owner import OWNER_LABEL, TEMPORARY, Owner
from harness.inside.errors import EngineError, KatasError
from tests.children import STRANGER, killed_before
from tests.support import one_line

GONE = str(replace(Owner.current(), started=1))
"""An owner that this machine knows to have ended."""

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give a folder to somebody else"
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    with closing(LocalEngine(tmp_path / "home", bubblewrap=False)) as opened:
        yield opened


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of this user's that an attacker wants to have removed: it even has a label."""
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "file").touch()
    (folder / OWNER_LABEL).write_text(GONE)
    return folder


@pytest.fixture
def base(temporary: Path) -> Path:
    sandboxes_home().mkdir()
    return sandboxes_home()


def left(base: Path) -> list[str]:
    return sorted(os.listdir(base)) if base.exists() else []


def told(engine: LocalEngine, base: Path) -> list[tuple[str, str]]:
    """What is left alone there; there may be processes of other users of this machine."""
    return [(what, why) for what, why in engine.left_alone() if str(base) in what]


def make() -> object:
    return temporary_folder("katas")


def lying(engine: LocalEngine) -> list[str]:
    """The folders and volumes that a sweep would remove; processes and groups may be those of tests
    beside this one.
    """
    return [each for each in engine.leftovers() if each.partition(" ")[0] in ("folder", "volume")]


def make_and_remove() -> None:
    folder = temporary_folder("katas")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "file").touch()
    remove_folder(folder)


def use() -> None:
    with scratch("tree") as folder:
        (folder / "file").touch()


@pytest.mark.parametrize("call", [make, make_and_remove, use])
def test_whoever_dies_while_a_folder_is_made_or_removed_it_is_found(
    temporary: Path, engine: LocalEngine, call: Callable[[], object]
) -> None:
    """Before any of the changes: nothing is there that a sweep does not remove."""
    step = 0
    while killed_before(step, call):
        there = left(sandboxes_home())
        assert len(lying(engine)) == len(there), f"step {step}: {there}"
        engine.sweep()
        assert not left(sandboxes_home()), f"step {step}"
        step += 1
    assert step > 2


@pytest.mark.parametrize("temporary_volume", [True, False])
def test_whoever_dies_while_a_volume_is_made_or_removed_it_is_found_or_whole(
    temporary: Path, engine: LocalEngine, temporary_volume: bool
) -> None:
    """One that a user keeps is there or not there; a half is removed."""

    def make_and_remove() -> None:
        mortal = LocalEngine(engine.home, bubblewrap=False)
        mortal.create_volume("v", temporary=temporary_volume)
        (engine.home / "volumes" / "v" / "katas" / "AB").mkdir()
        mortal.remove_volume("v")

    volumes = engine.home / "volumes"
    step = 0
    while killed_before(step, make_and_remove):
        engine.sweep()
        whole = [each.name for each in engine.volumes()]
        assert left(volumes) == whole, f"step {step}"
        if whole:
            assert not temporary_volume, f"step {step}"
            engine.remove_volume("v")
        step += 1
    assert step > 2


def test_scratch_is_empty_and_this_users_alone(temporary: Path, engine: LocalEngine) -> None:
    """And goes with the block, whatever happens in it."""
    with suppress(KatasError), scratch("tree") as folder:
        assert not list(folder.iterdir())
        assert folder.stat().st_mode & 0o077 == 0
        assert not lying(engine)
        raise KatasError("by a test")
    assert not left(sandboxes_home())


def test_what_is_only_being_made_is_no_volume(temporary: Path, engine: LocalEngine) -> None:
    """Nor is it anybody's to sweep while its maker lives."""
    engine.create_volume("v", temporary=True)
    volumes = engine.home / "volumes"
    with Shelf(volumes) as shelf:
        (volumes / "v").rename(volumes / shelf.name_under_way("making"))
    assert not engine.volumes()
    assert not engine.sweep()
    assert len(left(volumes)) == 1


def test_a_folder_in_the_way_of_a_volume_is_left_alone(engine: LocalEngine) -> None:
    """It may be somebody's work."""
    (engine.home / "volumes" / "v" / "mine").mkdir(parents=True)
    with pytest.raises(KatasError, match="the volume v cannot be made") as refused:
        engine.create_volume("v", temporary=True)
    one_line(refused.value)
    assert left(engine.home / "volumes") == ["v"]
    assert left(engine.home / "volumes" / "v") == ["mine"]


def test_a_folder_that_cannot_be_removed_is_told_and_still_found(
    temporary: Path, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep goes on with the others; and the next one finds it again, whatever is left of
    it.
    """
    for _ in range(3):
        (temporary_folder("sandbox") / OWNER_LABEL).write_text(GONE)
    real, refusals = os.rmdir, 1

    def refuse(path: str, *, dir_fd: int | None = None) -> None:
        nonlocal refusals
        if refusals:
            refusals = 0
            raise PermissionError(1, "Operation not permitted")
        real(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", refuse)
    with pytest.raises(KatasError, match="cannot be removed: Operation not permitted") as refused:
        engine.sweep()
    one_line(refused.value)
    (name,) = left(sandboxes_home())
    assert not lying(engine), "this process, which is at it, lives"
    later = name.replace(quote(str(Owner.current()), safe=""), quote(GONE, safe=""))
    (sandboxes_home() / name).rename(sandboxes_home() / later)
    assert engine.sweep() == [f"folder {sandboxes_home() / later}"]


@needs_root
def test_a_shared_folder_of_somebody_elses_is_left_alone_and_told(
    base: Path, engine: LocalEngine, victim: Path
) -> None:
    """In a shared /tmp anybody may make the folder before its user does, and change what is in it
    at any time.
    """
    (base / "sandbox-1").mkdir()
    (base / "sandbox-1" / OWNER_LABEL).write_text(GONE)
    os.chown(base, STRANGER, STRANGER)
    assert not lying(engine)
    assert not engine.sweep()
    assert left(base) == ["sandbox-1"]
    assert told(engine, base) == [(f"folders in {base}", "it belongs to another user")]
    with pytest.raises(EngineError, match="belongs to another user; set TMPDIR"):
        temporary_folder("sandbox")


def test_a_link_in_place_of_the_shared_folder_is_not_followed(
    temporary: Path, engine: LocalEngine, victim: Path
) -> None:
    """It may lead to where this user's katas are."""
    sandboxes_home().symlink_to(victim.parent)
    assert not engine.sweep()
    assert not lying(engine)
    assert (victim / "file").exists()
    with pytest.raises(EngineError, match="set TMPDIR") as refused:
        temporary_folder("sandbox")
    one_line(refused.value)
    assert left(victim.parent) == ["precious"]


def link_to_a_folder(folder: Path, victim: Path) -> None:
    folder.symlink_to(victim)


def link_for_a_label(folder: Path, victim: Path) -> None:
    folder.mkdir()
    (folder / OWNER_LABEL).symlink_to(victim / OWNER_LABEL)


def pipe_for_a_label(folder: Path, victim: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / OWNER_LABEL)


def socket_for_a_label(folder: Path, victim: Path) -> None:
    folder.mkdir()
    here = os.open(folder, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{here}/{OWNER_LABEL}")
    os.close(here)


def folder_for_a_label(folder: Path, victim: Path) -> None:
    (folder / OWNER_LABEL).mkdir(parents=True)


def link_in_a_name_of_one_being_removed(folder: Path, victim: Path) -> None:
    folder.with_name(f".removing.{GONE.replace('/', '%2F')}.00").symlink_to(victim)


def odd_bytes(folder: Path, victim: Path) -> None:
    folder.mkdir()
    (folder / OWNER_LABEL).write_bytes(b"\xff\0" * 5000)


TRAPS = (
    link_to_a_folder,
    link_for_a_label,
    pipe_for_a_label,
    socket_for_a_label,
    folder_for_a_label,
    link_in_a_name_of_one_being_removed,
    odd_bytes,
)


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("where", ["folder", "volume"])
def test_what_is_no_folder_with_a_plain_label_is_left_alone(
    base: Path, engine: LocalEngine, victim: Path, where: str, trap: Callable[[Path, Path], None]
) -> None:
    """Nothing is waited for and nothing followed."""
    home = base if where == "folder" else engine.home / "volumes"
    home.mkdir(parents=True, exist_ok=True)
    trap(home / "sandbox-1", victim)
    there = left(home)
    assert not engine.sweep()
    assert not lying(engine)
    engine.left_alone()
    engine.volumes()
    assert left(home) == there
    assert left(victim) == ["file", OWNER_LABEL]


@needs_root
@pytest.mark.parametrize("what", ["folder", "label"])
def test_what_is_somebody_elses_in_a_folder_of_ours_is_left_alone(
    base: Path, engine: LocalEngine, what: str
) -> None:
    folder = temporary_folder("sandbox")
    (folder / OWNER_LABEL).write_text(GONE)
    os.chown(folder if what == "folder" else folder / OWNER_LABEL, STRANGER, STRANGER)
    assert not engine.sweep()
    assert folder.exists()
    assert told(engine, base) == [(f"folder {folder}", "it belongs to another user")]


@needs_root
def test_volumes_of_somebody_elses_are_left_alone(base: Path, engine: LocalEngine) -> None:
    """Root, with a user's HARNESS_HOME, may look; what is swept there is the user's to sweep."""
    engine.create_volume("v", temporary=True)
    volumes = engine.home / "volumes"
    (volumes / "v" / OWNER_LABEL).write_text(GONE)
    os.chown(volumes, STRANGER, STRANGER)
    assert [each.name for each in engine.volumes()] == ["v"]
    assert not engine.sweep()
    assert left(volumes) == ["v"]
    assert (volumes / "v" / TEMPORARY).exists()


def test_volumes_that_a_user_keeps_elsewhere_are_swept(
    base: Path, engine: LocalEngine, tmp_path: Path
) -> None:
    """By a link of the user's own."""
    (tmp_path / "large disk").mkdir()
    engine.home.mkdir()
    (engine.home / "volumes").symlink_to(tmp_path / "large disk")
    engine.create_volume("v", temporary=True)
    (tmp_path / "large disk" / "v" / OWNER_LABEL).write_text(GONE)
    assert engine.sweep() == [f"volume {tmp_path / 'large disk' / 'v'}"]
    assert not left(tmp_path / "large disk")
