"""The model of what a failure of the power leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.inside.disk import exchange, sync_disk, sync_file, sync_folder
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import Avatar
from harness.inside.tree import snapshot
from harness.verify.proofs.power.crash_disks import make
from harness.verify.proofs.power.crash_model import CrashModel, Moment, RecordedCalls
from harness.verify.proofs.power.power_failures import Case
from harness.verify.proofs.power.recording_engine import recorded
from tests.events import play

Texts = dict[str, str | None]
"""Path to content; None for a folder."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def texts(folder: Path) -> Texts:
    return {
        str(each.relative_to(folder)): None if each.is_dir() else each.read_text()
        for each in sorted(folder.rglob("*"))
    }


def moment(root: Path, do: Callable[[], object], model: CrashModel = CrashModel.STRICT) -> Moment:
    """When the power fails after this was done to a folder that is on the disk for sure."""
    with recorded(root) as (recorder, records):
        _sync_all(root)
        do()
        recorder.mark("done")
    course = RecordedCalls(records)
    return course.at(course.marks("done")[0], model)


def left(root: Path, tmp_path: Path, found: Moment) -> list[Texts]:
    """All that may be there."""
    assert len(found.unsure) < 12
    states = []
    for landed in range(1 << len(found.unsure)):
        make(found.disk(landed), tmp_path / "made")
        states.append(texts(tmp_path / "made"))
        shutil.rmtree(tmp_path / "made")
    return states


def _sync_all(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY)
    sync_disk(held)
    os.close(held)


def replace(root: Path, *, sync: bool) -> None:
    """As a careful program writes a file, and as one does that is not."""
    with (root / "new").open("w") as file:
        file.write("12")
        file.flush()
        if sync:
            sync_file(file.fileno())
    os.rename(root / "new", root / "file")


@pytest.mark.parametrize("model", CrashModel)
def test_a_careful_program_leaves_a_file_old_or_new(
    root: Path, tmp_path: Path, model: CrashModel
) -> None:
    (root / "file").write_text("old")
    states = left(root, tmp_path, moment(root, lambda: replace(root, sync=True), model))
    assert {state["file"] for state in states} == (
        {"old", "12"} if model is CrashModel.STRICT else {"12"}
    )


def test_a_careless_one_leaves_it_empty_or_cut_off(root: Path, tmp_path: Path) -> None:
    """As delayed allocation does, where POSIX promises no more; where renames keep their order it
    is whole.
    """
    (root / "file").write_text("old")
    states = left(root, tmp_path, moment(root, lambda: replace(root, sync=False)))
    assert {state["file"] for state in states} == {"old", "", "1", "12"}
    (root / "file").write_text("old")
    states = left(
        root, tmp_path, moment(root, lambda: replace(root, sync=False), CrashModel.ORDERED)
    )
    assert {state["file"] for state in states} == {"12"}


def test_what_is_forced_of_a_folder_are_its_names(root: Path, tmp_path: Path) -> None:
    """Not what they name."""

    def do() -> None:
        (root / "file").write_text("12")
        sync_folder(str(root))

    states = left(root, tmp_path, moment(root, do))
    assert {state.get("file") for state in states} == {"", "1", "12"}


def test_what_is_forced_of_a_file_is_not_its_name(root: Path, tmp_path: Path) -> None:
    def do() -> None:
        with (root / "file").open("w") as file:
            file.write("12")
            file.flush()
            sync_file(file.fileno())

    states = left(root, tmp_path, moment(root, do))
    assert {state.get("file") for state in states} == {None, "12"}


def test_all_that_is_forced_is_there(root: Path, tmp_path: Path) -> None:
    def do() -> None:
        (root / "folder").mkdir()
        (root / "folder" / "file").write_text("12")
        _sync_all(root)

    assert left(root, tmp_path, moment(root, do)) == [{"folder": None, "folder/file": "12"}]


def test_two_names_change_places_at_once(root: Path, tmp_path: Path) -> None:
    """Whatever else has landed."""
    for name in ("one", "other"):
        (root / name).write_text(name)
    states = left(
        root, tmp_path, moment(root, lambda: exchange(str(root / "one"), str(root / "other")))
    )
    assert {tuple(state.items()) for state in states} == {
        (("one", "one"), ("other", "other")),
        (("one", "other"), ("other", "one")),
    }


def test_a_file_that_moves_is_never_nowhere(root: Path, tmp_path: Path) -> None:
    """Nor in a folder that is nowhere: the folder's making is in the journal before it."""
    (root / "file").write_text("1")

    def do() -> None:
        (root / "folder").mkdir()
        os.rename(root / "file", root / "folder" / "file")

    states = left(root, tmp_path, moment(root, do))
    assert all(("file" in state) != ("folder/file" in state) for state in states)
    assert {"folder": None, "file": "1"} in states
    assert {"folder": None, "folder/file": "1"} in states


def test_what_is_done_later_may_land_sooner(root: Path, tmp_path: Path) -> None:
    """Between two renames, where these keep their order; anywhere where nothing does."""

    def do() -> None:
        (root / "first").write_text("")
        os.rename(root / "first", root / "named")
        (root / "second").write_text("")
        (root / "third").write_text("")

    states = [set(state) for state in left(root, tmp_path, moment(root, do, CrashModel.ORDERED))]
    assert {"named", "third"} in states
    assert all("named" in state for state in states)
    shutil.rmtree(root)
    root.mkdir()
    found = moment(root, do)
    (third,) = (
        number for number, change in enumerate(found.unsure) if change.words == "the name third"
    )
    assert set(found.disk(1 << third).names[1]) == {"third"}


def test_what_has_landed_is_not_undone_by_what_was_before(root: Path, tmp_path: Path) -> None:
    """A rename that one of its two folders brought to the disk: what was in its place before comes
    not back.
    """
    (root / "below").mkdir()

    def do() -> None:
        (root / "file").write_text("")
        (root / "below" / "new").write_text("")
        os.rename(root / "below" / "new", root / "file")
        sync_folder(str(root / "below"))

    found = moment(root, do)
    old = found.sure.names[1]["file"]
    assert all(
        found.disk(landed).names[1]["file"] == old for landed in range(1 << len(found.unsure))
    )


def test_with_all_landed_it_is_what_was_there(root: Path, tmp_path: Path) -> None:
    """To the nanosecond, with links of both kinds, and whiteouts of layers."""

    def do() -> None:
        (root / "folder").mkdir(mode=0o750)
        (root / "folder" / "file").write_text("1")
        (root / "folder" / "file").chmod(0o711)
        os.link(root / "folder" / "file", root / "link")
        os.symlink("file", root / "folder" / "symlink")
        os.utime(root / "folder", ns=(5, 1_234_567_890_123_456_789))

    found = moment(root, do)
    make(found.disk(-1), tmp_path / "made")
    assert snapshot(tmp_path / "made", contents=True) == snapshot(root, contents=True)


def test_a_case_says_which_it_is() -> None:
    case = Case(CrashModel.ORDERED, 3, 17, 0x1F)
    assert Case.parse(str(case)) == case


CALLS = {
    "mkdir": "os.mkdir",
    "mkdirat": "os.mkdir",
    "rename": "os.rename",
    "renameat": "os.rename",
    "renameat2": "harness.exchange",
    "link": "os.link",
    "linkat": "os.link",
    "unlink": "os.remove",
    "unlinkat": "os.remove",
    "rmdir": "os.rmdir",
    "fsync": "harness.sync_file",
    "syncfs": "harness.sync_disk",
}
"""What the kernel is asked for, and what is recorded of it. What changes contents, modes and stamps
is seen by looking.
"""

PROGRAM = """
import sys
from pathlib import Path
from tests.verify.proofs.test_crash_model import accepted
accepted(Path(sys.argv[1]))
"""


def accepted(root: Path) -> None:
    """One test event of katas in a folder, with a tree that is staged; prints the calls that were
    recorded of it.
    """
    with recorded(root) as (recorder, records):
        (root / "begin").mkdir()
        play(
            FolderKatas(root),
            Avatar(),
            {"file": "1"},
            lambda tree: (tree / "made").mkdir(),
            durable=True,
        )
        recorder.mark("done")
    sys.stdout.write("\n".join(each["call"] for each in records if each["call"] in CALLS.values()))


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace(1) here")
def test_the_kernel_is_asked_for_what_is_recorded(tmp_path: Path) -> None:
    """And for nothing else, in this order: the recorder misses no call."""
    root, trace = tmp_path / "katas", tmp_path / "trace"
    root.mkdir()
    command = ["strace", "-f", "-qq", "-e", f"trace={','.join(CALLS)}", "-o", str(trace)]
    done = subprocess.run(
        [*command, sys.executable, "-c", PROGRAM, str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    told = done.stdout.split()
    assert told.count("harness.sync_disk") >= 2
    assert list(_traced(trace.read_text())) == told


def _traced(trace: str) -> Iterator[str]:
    """What the first process of a trace asks for from the mark on: what others do to the folder is
    seen by looking.
    """
    begun, first = False, trace.split(None, 1)[0]
    for line in trace.splitlines():
        number, asked = line.split(None, 1)
        if number != first:
            continue
        call = asked.partition("(")[0]
        begun = begun or "/begin" in line
        if begun and call in CALLS:
            name = CALLS[call]
            if call == "unlinkat" and "AT_REMOVEDIR" in line:
                name = "os.rmdir"
            yield name
