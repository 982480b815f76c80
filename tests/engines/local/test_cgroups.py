"""Control groups: they bound all processes of a run together, end them for sure, and are found
after a crash.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from harness.engines import Limits, SandboxSpec
from harness.engines.local import cgroups
from harness.engines.local.bubblewrap import bubblewrap_problem
from harness.engines.local.cgroups import CgroupPlace, ControlGroup
from harness.engines.local.engine import LocalEngine
from harness.engines.local.launch import launch
from harness.engines.owner import Owner
from harness.engines.spec import MIB
from harness.inside.errors import EngineError
from tests.support import PATIENCE, eventually

needs_groups = pytest.mark.skipif(bool(cgroups.cgroup_problem()), reason=cgroups.cgroup_problem())
needs_bubblewrap = pytest.mark.skipif(bool(bubblewrap_problem()), reason=bubblewrap_problem())

LIMITS = Limits(memory=64 * MIB, processes=40)


@pytest.fixture
def group() -> Iterator[ControlGroup]:
    """A group of this test's own."""
    made = cgroups.create(f"test/of/{os.getpid()}/0/group", LIMITS)
    yield made
    made.kill()
    made.remove()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    with closing(LocalEngine(tmp_path, bubblewrap=True)) as opened:
        yield opened


def started(group: ControlGroup, script: str) -> subprocess.Popen[bytes]:
    """A shell in the group, that has said that it runs."""
    process = launch(
        lambda: subprocess.Popen(["sh", "-c", f"read go; {script}"], stdin=subprocess.PIPE),
        group.enter,
    )
    group.take(process.pid)
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    process.stdin.close()
    return process


@needs_groups
def test_what_is_started_in_it_is_in_it_and_the_caller_is_not(group: ControlGroup) -> None:
    own = Path("/proc/self/cgroup").read_text()
    process = started(group, "sleep 1000 & sleep 1000")
    eventually(lambda: len(group.processes()) == 3, "both sleeps are in it")
    assert Path("/proc/self/cgroup").read_text() == own
    assert os.getpid() not in group.processes()
    group.kill()
    process.wait()


@needs_groups
@pytest.mark.parametrize(
    "bomb",
    [
        "while :; do sleep 1000 & done",
        "trap '' TERM; while :; do setsid sh -c 'sleep 1000 &' & done",
    ],
)
def test_it_ends_what_forks_as_fast_as_it_can(group: ControlGroup, bomb: str) -> None:
    """Also what left its session, and what ignores signals; nothing is there when the call
    returns.
    """
    process = started(group, f"exec 2>/dev/null; {bomb}")
    eventually(lambda: len(group.processes()) > 5, "it forks")
    assert len(group.processes()) <= LIMITS.processes
    group.kill()
    assert not group.processes()
    process.wait()


@needs_groups
def test_it_is_found_by_its_label_and_goes(group: ControlGroup) -> None:
    """Whole: all that was made of it is removed."""
    found = {each.label: each for each in cgroups.harness_groups()}
    assert found[group.label].folders == group.folders
    found[group.label].remove()
    assert group.label not in {each.label for each in cgroups.harness_groups()}
    assert not any(each.exists() for each in group.folders.values())


@needs_groups
def test_one_that_is_half_removed_is_found_and_removed(group: ControlGroup) -> None:
    next(iter(reversed(list(group.folders.values())))).rmdir()
    for each in cgroups.harness_groups():
        if each.label == group.label:
            each.kill()
            each.remove()
    assert not any(each.exists() for each in group.folders.values())


@needs_groups
def test_a_label_that_is_taken_is_told(group: ControlGroup) -> None:
    """In one line, and what was there is not harmed."""
    with pytest.raises(EngineError, match="no control group can be made"):
        cgroups.create(group.label, LIMITS)


def test_a_kill_reaches_all_of_a_group_of_version_2() -> None:
    """The kernel's own, where it has one: on a machine with both versions too."""
    base = next(
        (
            each.point
            for each in cgroups.cgroup_mounts()
            if each.version == 2 and os.access(each.point, os.W_OK)
        ),
        None,
    )
    if base is None:
        pytest.skip("there is no control group of version 2 here that this user may write to")
    folder = base / f"harness-test-{os.getpid()}"
    with suppress(OSError):
        folder.mkdir()
    if not (folder / "cgroup.procs").exists():
        pytest.skip("no group can be made there")
    group = ControlGroup("test", 2, {"memory": folder, "pids": folder})
    try:
        process = started(group, "sleep 1000 & setsid sleep 1000 & sleep 1000")
        eventually(lambda: len(group.processes()) == 4, "all are in it")
        group.kill()
        assert not group.processes()
        process.wait()
    finally:
        group.remove()
    assert not folder.exists()


def proc(folder: Path, mount: str, own: str, *, point: str = "") -> Path:
    """What a kernel tells of a process: one mount of control groups, and the process's own."""
    made = folder / "proc"
    made.mkdir()
    (made / "mountinfo").write_text(f"1 2 0:3 / {folder / point} rw {mount}\n")
    (made / "cgroup").write_text(own + "\n")
    return made


def test_where_version_2_is_delegated_a_group_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the group that this process is in, where the kernel allows none that is bounded, but
    in the nearest above it that bounds; its limits are written, swap included.
    """
    slice_, own = tmp_path / "slice", tmp_path / "slice" / "own"
    own.mkdir(parents=True)
    (own / "cgroup.subtree_control").write_text("")
    (slice_ / "cgroup.subtree_control").write_text("cpu memory pids")
    written: dict[str, str] = {}

    def write(file: Path, text: str) -> None:
        if file.parent == own:
            raise OSError(16, "Device or resource busy", str(file))
        written[file.name] = text

    monkeypatch.setattr(cgroups, "write_control", write)
    place = cgroups.cgroup_place(proc(tmp_path, "- cgroup2 none rw", "0::/slice/own"))
    assert place == CgroupPlace(2, dict.fromkeys(cgroups.NEEDED, slice_))
    monkeypatch.setattr(Path, "exists", lambda path: True)
    monkeypatch.setattr(cgroups, "cgroup_place", lambda: place)
    cgroups.create("label", LIMITS)
    assert written["memory.max"] == str(LIMITS.memory)
    assert written["memory.swap.max"] == "0"
    assert written["pids.max"] == str(LIMITS.processes)


@pytest.mark.parametrize(
    ("controllers", "why"),
    [
        ("cpu", "the kernel has none for memory and processes"),
        ("memory,pids", "No such file or directory"),
    ],
)
def test_where_none_can_be_made_it_is_told(controllers: str, why: str, tmp_path: Path) -> None:
    mount = f"- cgroup none {controllers}"
    own = f"1:{controllers}:/"
    with pytest.raises(EngineError, match=why) as refused:
        cgroups.cgroup_place(proc(tmp_path, mount, own, point="gone"))
    assert "\n" not in str(refused.value)


@needs_groups
@needs_bubblewrap
def test_the_processes_of_one_run_are_not_counted_in_another(engine: LocalEngine) -> None:
    """Though all are of one user: beside one that has all that it may have, another has its own."""
    spec = SandboxSpec(limits=LIMITS)
    with closing(engine.open(spec)) as hungry, closing(engine.open(spec)) as other:
        bomb = hungry.execute(
            "i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done", PATIENCE
        )
        assert b"fork" in bomb.stderr
        for _ in range(3):
            assert (
                other.execute(
                    "for i in 1 2 3 4 5; do ls / >/dev/null & done; wait", PATIENCE
                ).stderr
                == b""
            )


@needs_groups
@needs_bubblewrap
def test_a_group_goes_with_its_run(engine: LocalEngine) -> None:
    with closing(engine.open(SandboxSpec())) as sandbox:
        assert sandbox.execute(":", PATIENCE).status == 0
        assert any(str(Owner.current()) in each.label for each in cgroups.harness_groups())
    eventually(
        lambda: not any(str(Owner.current()) in each.label for each in cgroups.harness_groups()),
        "it goes",
    )


@needs_bubblewrap
def test_where_there_are_none_the_engine_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It isolates still, and tells what it leaves open."""
    monkeypatch.setattr(cgroups, "cgroup_problem", lambda: "not here")
    with closing(LocalEngine(tmp_path)) as engine, closing(engine.open(SandboxSpec())) as sandbox:
        assert engine.isolates
        assert [each for each in engine.gaps if "(not here)" in each]
        assert "not bounded together (not here)" in engine.describe()["isolation"]
        assert sandbox.execute("ulimit -u", PATIENCE).stdout != b"unlimited\n"
