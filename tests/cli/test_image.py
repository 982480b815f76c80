"""harness image, as a user types it: images of the local engine come, are listed, and go."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from harness.cli import main
from harness.engines.docker.images import recipe
from harness.engines.docker.images.builder import RUN_IMAGE
from harness.engines.local.bubblewrap import bubblewrap_problem
from harness.engines.local.roots.store import LOCK, NAMES, roots_home, unpack_problem
from tests.images import layout, saved, symlink, tar_of, text, usable, write_archive, write_folder

pytestmark = pytest.mark.skipif(bool(unpack_problem()), reason=unpack_problem())

LAYER = tar_of([text("marker", "of the image\n"), *usable()])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own, and no Docker."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


def image(*arguments: object) -> int:
    return main(["image", *map(str, arguments)])


def a_tree(folder: Path) -> Path:
    """A tree that shows which root its run sees."""
    tree = folder / "tree"
    tree.mkdir()
    (tree / "cyber-dojo.sh").write_text("#!/bin/sh\ncat /marker\n")
    (tree / "cyber-dojo.sh").chmod(0o755)
    return tree


def test_an_image_comes_is_run_is_listed_and_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the name that its file says."""
    assert image("import", write_archive(tmp_path / "saved.tar", saved([LAYER], ["small:1"]))) == 0
    assert re.match(r"imported small:1 \(sha256:[0-9a-f]{64}\)\n", capsys.readouterr().out)
    assert image("list") == 0
    assert re.match(r"small:1  sha256:[0-9a-f]{64}  \d+ MB\n", capsys.readouterr().out)
    if not bubblewrap_problem():
        words = [
            "run",
            str(a_tree(tmp_path)),
            "--engine",
            "local",
            "--image",
            "small:1",
            "--runner",
            "tmp",
        ]
        assert main(words) == 0
        assert "of the image" in capsys.readouterr().out
    assert image("remove", "small:1") == 0
    assert sorted(os.listdir(roots_home())) == [LOCK, NAMES]
    capsys.readouterr()
    assert image("list") == 0
    assert capsys.readouterr().out == ""


def test_a_name_chooses_what_to_call_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert image("import", write_folder(tmp_path / "oci", layout([LAYER])), "--name", "mine") == 0
    assert capsys.readouterr().out.startswith("imported mine:latest (")


def test_of_several_images_all_are_taken_or_the_named_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = saved([LAYER], ["one"]), saved([tar_of([text("b")])], ["two"])
    both = [*json.loads(first["manifest.json"]), *json.loads(second["manifest.json"])]
    both[1]["Layers"] = ["1/layer.tar"]
    files = {**second, **first, "1/layer.tar": second["0/layer.tar"]}
    files["manifest.json"] = json.dumps(both).encode()
    path = write_archive(tmp_path / "both.tar", files)
    assert image("import", path, "--name", "two") == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["two:latest"]
    assert image("import", path) == 0
    names = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert names == ["one:latest", "two:latest"]
    assert image("import", path, "--name", "three") == 2
    assert "holds 2 images, and none is called three: one, two" in capsys.readouterr().err


def test_what_cannot_be_imported_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the exit status 2, and nothing left."""
    nameless = write_archive(tmp_path / "nameless.tar", saved([LAYER], []))
    hostile = tar_of([symlink("a", str(tmp_path)), text("a/../new")])
    bad = {
        tmp_path / "none": "cannot be read: No such file",
        tmp_path: "is no image",
        nameless: "names no image; give it a name by --name",
        write_archive(tmp_path / "hostile.tar", saved([hostile])): "leads out of the image",
    }
    for path, why in bad.items():
        assert image("import", path) == 2
        *_, line = capsys.readouterr().err.splitlines()
        assert line.startswith("harness: ")
        assert why in line
        assert set(os.listdir(roots_home())) <= {LOCK}
    assert not (tmp_path / "new").exists()


def test_a_name_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_archive(tmp_path / "saved.tar", saved([LAYER]))
    for name in ("", "a b", "a\n"):
        assert image("import", path, "--name", name) == 2
        assert f"{name!r} cannot name an image" in capsys.readouterr().err


def test_an_image_that_is_not_there_cannot_be_removed(capsys: pytest.CaptureFixture[str]) -> None:
    assert image("remove", "none") == 2
    assert "the local engine has no image none:latest; it has none" in capsys.readouterr().err


def test_the_harness_s_own_is_made_from_packages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Docker, by the recipe that Docker's is made by; the packages are stood in for."""
    made = tmp_path / "root.tar"
    made.write_bytes(LAYER)
    monkeypatch.setattr(recipe.ImageRecipe, "root_tar", lambda self, report: made)
    assert image("build", "--engine", "local") == 0
    assert capsys.readouterr().out.startswith(f"made {RUN_IMAGE} on local")
    assert image("list") == 0
    assert capsys.readouterr().out.startswith(f"{RUN_IMAGE}:latest  sha256:")


@pytest.mark.skipif(bool(bubblewrap_problem()), reason=bubblewrap_problem())
@pytest.mark.skipif(not shutil.which("mmdebstrap"), reason="mmdebstrap is not installed")
def test_a_run_makes_the_harness_s_own_if_nobody_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "root.tar"
    made.write_bytes(LAYER)
    monkeypatch.setattr(recipe.ImageRecipe, "root_tar", lambda self, report: made)
    words = [
        "run",
        str(a_tree(tmp_path)),
        "--engine",
        "local",
        "--image",
        RUN_IMAGE,
        "--runner",
        "tmp",
    ]
    assert main(words) == 0
    assert "of the image" in capsys.readouterr().out
