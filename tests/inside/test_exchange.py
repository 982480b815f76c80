"""Whatever keeps a tree from taking the sandbox's place is found before a test event is
accepted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from harness.inside import journal
from harness.inside.changes import Changes, Folder
from harness.inside.errors import KatasError
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import HISTORY, SANDBOX, avatar_folder
from tests.events import LION, acceptance, git, needs_git, play, save, stage, tree
from tests.support import one_line

FILES = {"a": "1", "sub/deep/b": "1"}


def build(sandbox: Path) -> None:
    (sandbox / "made" / "below").mkdir(parents=True, exist_ok=True)
    (sandbox / "made" / "below" / "product").write_text("x")


@contextmanager
def mounted(folder: Path, *words: str) -> Iterator[None]:
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", *words, str(folder)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def sandbox_of(katas: FolderKatas) -> Path:
    return katas.root / avatar_folder(LION) / SANDBOX


def refused(katas: FolderKatas) -> str:
    """Why a test event is not accepted; nothing is, then."""
    with pytest.raises(KatasError) as told:
        play(katas, LION, FILES, run=build)
    return one_line(told.value)


@needs_git
@pytest.mark.parametrize("options", ["redirect_dir=off", "redirect_dir=on"])
def test_katas_of_an_overlay_s_lower_layer(options: str, tmp_path: Path) -> None:
    """As in an image that was warmed up: no folder of it can be renamed, and yet each test event is
    accepted whole.
    """
    for name in ("lower", "upper", "work", "shown"):
        (tmp_path / name).mkdir()
    play(FolderKatas(tmp_path / "lower"), LION, FILES, run=build)
    layers = (
        f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work,{options}"
    )
    with mounted(tmp_path / "shown", "-t", "overlay", "overlay", "-o", layers):
        katas = FolderKatas(tmp_path / "shown")
        for number in range(3):
            files = {**FILES, "a": str(number + 2)}
            assert play(katas, LION, files, run=build).tag == number + 1
            assert b"made/below/product" in tree(katas)
        assert (
            git(katas.root / avatar_folder(LION) / HISTORY, "rev-list", "--count", "main").strip()
            == "4"
        )


def test_a_sandbox_that_is_a_mount_point(tmp_path: Path) -> None:
    """Of another disk, and of a folder of the same."""
    katas = FolderKatas(tmp_path / "katas")
    play(katas, LION, FILES, run=build)
    with mounted(sandbox_of(katas), "-t", "tmpfs", "harness-test"):
        assert "mount point" in refused(katas)
    shutil.copytree(sandbox_of(katas), tmp_path / "copy")
    with mounted(sandbox_of(katas), "--bind", str(tmp_path / "copy")):
        refused(katas)
    assert play(katas, LION, FILES, run=build).tag == 1


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    if subprocess.run(["chattr", "+i", str(path)], capture_output=True, check=False).returncode:
        pytest.skip("no flag can be set here")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", str(path)], check=True)


@pytest.mark.parametrize("where", ["", "made/below/product"])
def test_what_has_a_flag_that_forbids_changes(where: str, tmp_path: Path) -> None:
    """The sandbox itself, or a file in it that a run replaces. Who accepted something can be
    opened, always.
    """
    katas = FolderKatas(tmp_path / "katas")
    play(katas, LION, FILES, run=build)
    with immutable(sandbox_of(katas) / where):
        with closing(katas.event(LION)) as event:
            comparison = save(event, FILES)
            if where:
                stage(event, lambda sandbox: None)
            else:
                with pytest.raises(KatasError, match="chattr"):
                    stage(event, build)
            path = where.encode() or b"a"
            above = Folder(os.path.dirname(path) or b".", 0o755, 1)
            with pytest.raises(KatasError, match="cannot be changed") as told:
                event.accept(
                    acceptance(FILES, comparison),
                    Changes(gone=(path,), brought=(), folders=(above,)),
                )
            one_line(told.value)
        assert journal.head(str(sandbox_of(katas).parent))[1] == 1
        katas.event(LION).close()
    assert play(katas, LION, FILES, run=build).tag == 1


def test_a_sandbox_that_is_read_only_is_exchanged(tmp_path: Path) -> None:
    """Its mode is a run's to set."""
    katas = FolderKatas(tmp_path / "katas")
    play(katas, LION, FILES, run=lambda sandbox: sandbox.chmod(0o555))
    assert play(katas, LION, {**FILES, "a": "2"}, run=lambda sandbox: sandbox.chmod(0)).tag == 1
    assert play(katas, LION, {**FILES, "a": "3"}, run=build).tag == 2
