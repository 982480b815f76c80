"""harness katas containers, as a user types it, on the local engine."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from harness.cli import main
from harness.inside.errors import HarnessError
from tests.support import one_line

LOCAL = ("--engine", "local-plain")
KATA = "0123456789"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "cyber-dojo.sh").write_text("#!/bin/sh\nhead -c 4000 /dev/zero >extra\n")
    (folder / "cyber-dojo.sh").chmod(0o755)
    return folder


@pytest.fixture(params=["granularity=katas", "granularity=kata", "granularity=avatar"])
def names(
    request: pytest.FixtureRequest, tree: Path, capfd: pytest.CaptureFixture[str]
) -> list[str]:
    """The data-containers of two avatars of one kata."""
    for avatar in ("lion", "tiger"):
        runner = f"katas-data-container:{request.param}"
        options = ("--runner", runner, "--kata", KATA, "--avatar", avatar, "--max-seconds", "60")
        assert main(("run", str(tree), *LOCAL, *options)) == 0
    capfd.readouterr()
    return {
        "granularity=katas": ["harness-katas"],
        "granularity=kata": [f"harness-katas.{KATA}"],
        "granularity=avatar": [f"harness-katas.{KATA}.{avatar}" for avatar in ("lion", "tiger")],
    }[str(request.param)]


def containers(*arguments: str) -> int:
    return main(("katas", "containers", *arguments, *LOCAL))


def test_they_are_listed_with_their_sizes(
    names: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """With their common label, and the visible apart from the extra files."""
    assert containers("list") == 0
    out = capfd.readouterr().out
    rows = [
        line.split()[:2] for line in out.splitlines() if line.strip().startswith("harness-katas")
    ]
    assert rows == [[name, "harness-katas"] for name in names]
    assert ("8 kB" if len(names) == 1 else "4 kB") in out


def test_one_is_exported_whole(names: list[str], tmp_path: Path) -> None:
    """And no file that exists is written over."""
    assert containers("export", names[0]) == 0
    with tarfile.open(tmp_path / f"{names[0]}.tgz") as archive:
        assert "./01/23456789/lion/sandbox/extra" in archive.getnames()
        assert "./01/23456789/lion/.git/HEAD" in archive.getnames()
    assert containers("export", names[0]) == 2


def test_one_is_removed_only_by_an_explicit_word(
    names: list[str], capfd: pytest.CaptureFixture[str], home: Path
) -> None:
    """Else the line says what would be lost, and all is as it was; the others stay in any case."""
    assert containers("remove", names[0]) == 2
    err = capfd.readouterr().err
    assert one_line(HarnessError(err.strip())).count("--yes") == 1
    assert str(3 - len(names)) in err
    assert (home / "volumes" / names[0] / "katas" / "01").is_dir()
    assert containers("remove", names[0], "--yes") == 0
    assert sorted(each.name for each in (home / "volumes").iterdir()) == names[1:]
    assert containers("remove", names[0], "--yes") == 2


def test_what_is_not_there_is_told_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    for action in (("export", "missing"), ("remove", "missing", "--yes")):
        assert containers(*action) == 2
        assert "there is no data-container missing" in one_line(
            HarnessError(capfd.readouterr().err.strip())
        )
    assert containers("list") == 0


def test_the_katas_of_all_of_them_are_listed_together(
    names: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(("katas", "list", *LOCAL)) == 0
    rows = [
        line.split()[1]
        for line in capfd.readouterr().out.splitlines()
        if line.strip().startswith(KATA)
    ]
    assert rows == ["lion", "tiger"]
    assert main(("katas", "show", KATA, "tiger", *LOCAL)) == 0
