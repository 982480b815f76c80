"""The floor: what an edit means is the same for it as for the runners, and its time is never too
short.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.engines import Engine, Limits, Stream
from harness.engines.local.engine import LocalEngine
from harness.inside.layout import Avatar
from harness.katas.visible import VisibleFiles
from harness.measure.trees import OwnTree
from harness.measure.trials import laid_out
from harness.measure.trials.arms import FloorArm
from harness.runners.run import Run
from harness.verify.faults.wrapped import WrappedEngine, WrappedStream
from tests.support import completed, make_runner, script

STAMPS = "find . -type f -printf '%T@\\n' | sort -u | wc -l\n"

MAKE = "make -s && cat built\n"
MAKEFILE = "built: source\n\tcat source >built\n"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with closing(LocalEngine(tmp_path_factory.mktemp("home"))) as engine:
        yield engine


@pytest.fixture
def floor(engine: Engine) -> Iterator[FloorArm]:
    with closing(open_floor(engine)) as arm:
        yield arm


def open_floor(engine: Engine, command: str = "./cyber-dojo.sh") -> FloorArm:
    return FloorArm(engine, image=None, command=command, limits=Limits())


def answer(run: Run) -> str:
    return completed(run).stdout.strip()


def files(text: str, **others: str | bytes) -> VisibleFiles:
    return VisibleFiles(script(text, **others))


def test_all_files_of_a_first_build_are_of_one_age(floor: FloorArm) -> None:
    """As those of a runner are: a generated file and what it is made from are not told apart."""
    many = {f"folder/{number}": str(number) for number in range(30)}
    assert answer(floor.full(files(STAMPS, **many), 60)) == "1"


def test_an_edit_is_newer_than_what_a_run_made_in_the_future(floor: FloorArm) -> None:
    """By the runners' own code; what is not edited is not built."""
    text = "make -s && touch -d '1 hour' built && cat built\n"
    assert answer(floor.full(files(text, Makefile=MAKEFILE, source="one"), 60)) == "one"
    run = floor.incremental(files(text, Makefile=MAKEFILE, source="two"), 60)
    assert answer(run) == "two"
    text = "make -q; echo $?; cat built\n"
    again = floor.incremental(files(text, Makefile=MAKEFILE, source="two"), 60)
    assert answer(again) == "0\ntwo"


@pytest.mark.parametrize(
    "text",
    [
        "rm -f gone",
        "rm -f gone; mkdir -p gone/deep; touch gone/deep/file",
        "echo other >kept",
        "chmod 0 gone",
        "rmdir empty; touch empty; touch -d '1 hour' kept",
    ],
)
def test_what_a_run_does_to_a_visible_file_is_for_the_floor_what_it_is_for_a_runner(
    local: Engine, text: str, tmp_path: Path
) -> None:
    """What is gone, or is no file any more, is put back; what was written to stays so."""
    (tmp_path / "empty").mkdir()
    for name in ("kept", "gone", "source"):
        (tmp_path / name).write_text(name)
    script = tmp_path / "cyber-dojo.sh"
    script.write_text(
        f"#!/bin/sh\nfind . -type f -exec cat {{}} + ; find . -newer source | sort; {text}\n"
    )
    script.chmod(0o755)
    arm, runner = open_floor(local), make_runner("katas-volume", local)
    with closing(arm), closing(runner):
        for number in range(4):
            if number == 3:
                (tmp_path / "source").write_text("edited")
            found = VisibleFiles.from_folder(tmp_path)
            ours = completed(arm.incremental(found, 60))
            theirs = completed(runner.run(Avatar(), found, max_seconds=60))
            assert sorted(ours.stdout) == sorted(theirs.stdout)


def test_what_the_player_deletes_is_deleted(floor: FloorArm) -> None:
    """And what is new is there, in a folder that is new too."""
    floor.full(files("ls\n", old="1"), 60)
    run = floor.incremental(files("ls . folder\n", **{"folder/new": "1"}), 60)
    assert answer(run).split() == [".:", "cyber-dojo.sh", "folder", "folder:", "new"]


def test_the_player_s_order_in_time_is_kept(floor: FloorArm, tmp_path: Path) -> None:
    """An object that the player brings along, made from the source beside it, is not made again;
    one that is older is.
    """
    (tmp_path / "cyber-dojo.sh").write_text(f"#!/bin/sh\n{MAKE}")
    (tmp_path / "cyber-dojo.sh").chmod(0o755)
    (tmp_path / "Makefile").write_text(MAKEFILE)
    for name, content, age in (("source", "one\n", 100), ("built", "brought along\n", 200)):
        (tmp_path / name).write_text(content)
        os.utime(tmp_path / name, (age, age))
    assert answer(floor.full(VisibleFiles.from_folder(tmp_path), 60)) == "brought along"
    os.utime(tmp_path / "built", (50, 50))
    assert answer(floor.full(VisibleFiles.from_folder(tmp_path), 60)) == "one"


def test_a_tree_of_one_s_own_is_copied_with_its_ages(tmp_path: Path) -> None:
    """As it is sent from here, and as another environment or machine gets it."""
    (tmp_path / "tree").mkdir()
    for name, age in (("a", 300), ("b", 100), ("c", 200)):
        (tmp_path / "tree" / name).write_text(name)
        os.utime(tmp_path / "tree" / name, (age, age))
    tree = OwnTree(tmp_path / "tree", "a")
    with laid_out(tree, "make") as found:
        assert {name: age for name, age in found.ages().items() if age} == {
            b"a": 300 * 10**9,
            b"b": 100 * 10**9,
            b"c": 200 * 10**9,
        }
    tree.write(tmp_path / "copy")
    assert {each.name: int(each.stat().st_mtime) for each in (tmp_path / "copy").iterdir()} == {
        "a": 300,
        "b": 100,
        "c": 200,
    }


def test_an_image_without_find_is_played_all_the_same(
    floor: FloorArm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what lies in the future can then not be told."""
    from harness.engines.guest import command_line  # noqa: PLC0415

    blind = re.sub(r"(?m)^(\s*)find ", r"\1no-such-find ", command_line.GUEST)
    monkeypatch.setattr(command_line, "GUEST", blind)
    assert answer(floor.full(files(MAKE, Makefile=MAKEFILE, source="one"), 60)) == "one"
    assert answer(floor.incremental(files(MAKE, Makefile=MAKEFILE, source="two"), 60)) == "two"


def test_a_harness_that_reads_late_makes_no_time_too_short(local: Engine) -> None:
    """A run has not begun when its harness comes to hear of it: nobody's processes use more time
    than there is.
    """
    seconds = 0.5
    with closing(open_floor(_Late(local, seconds), f"sleep {seconds}")) as arm:
        run = completed(arm.full(files(""), 60))
    assert run.nanoseconds >= seconds * 1e9
    assert run.answered == run.nanoseconds == run.phases[0].nanoseconds


class _Late(WrappedEngine):
    """An engine whose sandboxes are read only some time after each request."""

    def __init__(self, engine: Engine, seconds: float) -> None:
        super().__init__(engine)
        self._seconds = seconds

    def wrap_run(self, stream: Stream) -> Stream:
        return _LateStream(stream, self._seconds)


class _LateStream(WrappedStream):
    def __init__(self, stream: Stream, seconds: float) -> None:
        super().__init__(stream)
        self._seconds, self._asked = seconds, False

    def write(self, data: bytes, deadline: float) -> None:
        self._asked = True
        super().write(data, deadline)

    def read(self, deadline: float) -> tuple[int, bytes]:
        if self._asked:
            time.sleep(self._seconds)
        self._asked = False
        return super().read(deadline)
