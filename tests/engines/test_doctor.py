"""The doctor: what it says is so, it says it on any machine, and it leaves everything as it was."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from harness.engines import Engine, SandboxSpec, doctor
from harness.engines.docker import endpoint
from harness.engines.docker.engine import DockerEngine
from harness.engines.doctor import (
    Diagnosis,
    Finding,
    FindingGroup,
    Fitness,
    file_systems,
    local,
    machine,
    programs,
    round_trip,
)
from harness.engines.doctor import docker as docker_doctor
from harness.engines.doctor.finding import install_command, softly
from harness.engines.guest import command_line
from harness.engines.local import cgroups
from harness.engines.local.bubblewrap import bubblewrap_problem
from harness.engines.local.engine import LocalEngine
from harness.engines.owner import OWNER_LABEL, Owner
from harness.inside import tarpipe
from harness.inside.errors import EngineError
from harness.inside.tree import snapshot
from harness.report.doctor import diagnosis

CUTTING = ("tar", "--create", "--format=gnu", "--file=-")
"""A tar that cuts stamps to whole seconds, as most do by default."""

NOWHERE = "unix:///nowhere/docker.sock"

STATES = {"good", "fair", "missing"}

A_TRIP = round_trip.RoundTrip(
    changed=(), tar="GNU tar 1.34", start_seconds=0.5, read_seconds=0.06, count=1
)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of this test's own for everything; a run under another uid may enter
    it.
    """
    with tempfile.TemporaryDirectory(prefix="doctor-") as name:
        Path(name).chmod(0o711)
        for folder in ("tmp", "state"):
            (Path(name) / folder).mkdir(mode=0o711)
        monkeypatch.setenv("TMPDIR", f"{name}/tmp")
        monkeypatch.setenv("HARNESS_HOME", f"{name}/state/not/made/yet")
        monkeypatch.setenv("XDG_CACHE_HOME", f"{name}/cache")
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(name)


@pytest.fixture
def fresh_bubblewrap() -> Iterator[None]:
    """What is remembered of bubblewrap is forgotten, before and after."""
    bubblewrap_problem.cache_clear()
    yield
    bubblewrap_problem.cache_clear()


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fresh_bubblewrap: None) -> None:
    """A machine without Docker and without a single program."""
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)


def found(diagnosis: Diagnosis, title: str) -> dict[str, Finding]:
    """The findings of a group by their subjects."""
    return {
        each.subject: each
        for group in diagnosis.groups
        if group.title.startswith(title)
        for each in group.findings
    }


def printed(found: Diagnosis, width: int = 80) -> str:
    """As it is seen without colours."""
    console = Console(file=StringIO(), width=width)
    console.print(diagnosis(found))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_docker_is_examined_and_left_as_it_was(
    docker_engine: DockerEngine, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A running engine is described, its tar and its cost found by trying, and nothing is left: no
    container of this process, no file, not even a folder or a line in a cache.
    """
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    before = {path: replace(entry, mtime_ns=0) for path, entry in snapshot(place).items()}
    diagnosis = doctor.examine()
    assert {path: replace(entry, mtime_ns=0) for path, entry in snapshot(place).items()} == before
    labels = [
        each["Labels"]
        for each in docker_engine.api.containers(all=True, filters={"label": OWNER_LABEL})
    ]
    assert str(Owner.current()) not in [each[OWNER_LABEL] for each in labels]

    docker = found(diagnosis, "Docker")
    assert docker["engine"].state == "good"
    assert docker_engine.describe()["engine"] in docker["engine"].what
    assert docker["storage driver"].what.startswith(docker_engine.describe()["storage driver"])
    if docker["images"].state != "missing":
        assert docker["tar in image"].state == "good"
        assert "GNU tar" in docker["tar in image"].what
    assert diagnosis.working[0] == "docker"


def test_a_machine_with_nothing(place: Path, nothing: None) -> None:
    """Every probe fails softly: each group is there, what is missing comes with advice, and the
    verdict is one line with a reason for each engine.
    """
    diagnosis = doctor.examine()
    assert not diagnosis.working
    assert "\n" not in diagnosis.verdict()
    assert NOWHERE in diagnosis.verdict()
    assert "local: " in diagnosis.verdict()
    tools = found(diagnosis, "Programs")
    assert {name: each.state for name, each in tools.items()} == {
        "tar": "missing",
        "gcc": "missing",
        "make": "missing",
        "git": "fair",
    }
    assert all(each.advice for each in tools.values())
    assert found(diagnosis, "Local")["bubblewrap"].advice == "install bubblewrap"
    assert found(diagnosis, "Docker")["engine"].advice
    assert found(diagnosis, "File system")["stamps"].state == "good"
    assert not any(place.glob("tmp/*"))


def test_without_docker_the_local_engine_is_left(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict names it, and why Docker is not taken stands in its finding."""
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    diagnosis = doctor.examine()
    assert diagnosis.working == ("local",)
    assert "local" in diagnosis.verdict()
    assert NOWHERE in found(diagnosis, "Docker")["engine"].what
    assert all(each.state in STATES for group in diagnosis.groups for each in group.findings)


def test_an_engine_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes the connection and never answers is given up, and said to be so."""
    monkeypatch.setattr(endpoint, "KNOCK_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/silent")
        findings, fitness = docker_doctor.examine(1, None, lambda line: None)
    assert "no Docker engine answers" in fitness.problem
    assert [each.state for each in findings] == ["missing"]


@pytest.mark.parametrize(
    ("reason", "variable", "advice"),
    [
        ("... (Permission denied)", "", "usermod"),
        ("... (Connection refused)", "DOCKER_HOST", "unset it"),
        ("there is no Docker context x", "DOCKER_CONTEXT", "DOCKER_CONTEXT is tcp"),
        ("... (No such file or directory)", "", "docker"),
    ],
)
def test_advice_for_an_engine_that_does_not_answer(
    reason: str, variable: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fits the reason."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "tcp://elsewhere")
    assert advice in docker_doctor.unreachable(reason).advice


def test_a_trip_is_exact_on_every_engine(engine: Engine) -> None:
    """The harness's own engines bring every entry back as it went, and have what builds C."""
    taken = round_trip.make_round_trip(engine, 2)
    assert taken.problem == ""
    assert taken.count == 2
    assert taken.lacks == ()
    assert taken.read_seconds is not None
    assert taken.start_seconds > 0


def test_a_tar_in_the_sandbox_that_cuts_stamps_is_found(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by its version: by what became of the stamps on the way back."""
    monkeypatch.setattr(command_line, "PACK", CUTTING)
    taken = round_trip.make_round_trip(engine)
    assert set(taken.changed) == {".", "folder", "folder/file", "link"}
    assert docker_doctor.tar_finding(taken).state == "missing"
    assert local.engine_finding(taken, isolates=True).state == "missing"


def test_a_tar_on_this_machine_that_cuts_stamps_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tar-pipe's own is exact; one that cuts is missing, with the consequence."""
    assert round_trip.exact_pipe() == ()
    monkeypatch.setattr(tarpipe, "PACK", CUTTING)
    tar = {each.subject: each for each in programs.examine()}["tar"]
    assert tar.state == "missing"
    assert "stale" in tar.follows


def test_a_sandbox_that_runs_nothing_is_an_error(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says why, and no cost is told of an engine that does not work."""
    monkeypatch.setattr(round_trip, "READ_COMPILER", "exit 1")
    assert round_trip.make_round_trip(engine).read_seconds is None
    monkeypatch.setattr(command_line, "GUEST", "echo broken >&2; exit 1")
    with pytest.raises(EngineError):
        round_trip.make_round_trip(engine)


@pytest.mark.parametrize(
    ("without", "words"),
    [
        ("gcc -o", "stdio.h"),
        ("make -s", "make"),
    ],
)
def test_an_engine_that_builds_no_c_is_not_ready(
    without: str, words: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by building a program, since a compiler without the C library's headers tells its
    version all the same; compare asks the same.
    """
    if without == "make -s":
        monkeypatch.setattr(
            round_trip, "BUILD", round_trip.BUILD.replace("make -s", "no-such-make -s")
        )
        monkeypatch.setattr(round_trip, "BUILDERS", ("gcc", "no-such-make"))
    else:
        monkeypatch.setattr(
            round_trip, "BUILD", round_trip.BUILD.replace("gcc -o", "gcc -nostdinc -o")
        )
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    diagnosis = doctor.examine()
    assert not diagnosis.ready
    assert diagnosis.verdict().startswith(
        "Not ready: the local engine works, but cannot build C without "
    )
    assert words in diagnosis.verdict()
    assert found(diagnosis, "Local")["engine"].state == "fair"
    assert "install" in found(diagnosis, "Local")["engine"].advice
    with (
        closing(LocalEngine()) as engine,
        pytest.raises(EngineError, match=r"^not ready: the local engine"),
    ):
        doctor.check_builds(engine, None)


def test_what_is_tried_leaves_nothing(engine: Engine) -> None:
    """Every engine of the harness's own builds C, and the sandbox is empty afterwards."""
    doctor.check_builds(engine, None)
    with closing(engine.open(SandboxSpec())) as sandbox:
        assert round_trip.lacking(sandbox) == ()
        assert sandbox.execute("ls -A", 60).stdout == b""


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("tar (GNU tar) 1.34\nCopyright", "GNU tar 1.34"),
        ("bsdtar 3.6.2 - libarchive 3.6.2", "bsdtar 3.6.2 - libarchive 3.6.2"),
        ("tar (busybox) 1.36.1", "busybox 1.36.1"),
        ("", "a tar that does not tell its version"),
    ],
)
def test_the_flavour_of_a_tar(said: str, name: str) -> None:
    """Short, and whatever the tar."""
    assert round_trip.flavour(said) == name


@pytest.mark.parametrize(
    ("ages", "state"),
    [
        ({"gcc": "current", "keeper": "current"}, "good"),
        ({"gcc": "outdated", "keeper": "current"}, "fair"),
        ({"gcc": "outdated", "keeper": "missing"}, "missing"),
    ],
)
def test_images(ages: dict[str, str], state: str) -> None:
    """Outdated ones are less than good, missing ones are missing, and both say how they are
    made.
    """
    finding = docker_doctor.images_finding(ages)
    assert finding.state == state
    assert bool(finding.advice) == (state != "good")


def test_the_storage_driver() -> None:
    """overlay2 is good whatever was measured on a noisy machine; every other is fair; the ratio is
    to the host.
    """
    assert docker_doctor.driver_finding("overlay2", A_TRIP, 0.001).state == "good"
    slow = docker_doctor.driver_finding("fuse-overlayfs", A_TRIP, 0.02)
    assert slow.state == "fair"
    assert "3 times" in slow.what
    assert "one try" in slow.what
    assert "median of 5" in docker_doctor.driver_finding("vfs", replace(A_TRIP, count=5), None).what
    unmeasured = docker_doctor.driver_finding("fuse-overlayfs", None, 0.02)
    assert unmeasured.what == "fuse-overlayfs"
    assert "2 to 5 times" in unmeasured.follows


@pytest.mark.parametrize(
    ("api", "state"), [("1.41", "fair"), ("1.9", "fair"), ("1.45", "good"), ("1.100", "good")]
)
def test_volume_subpath(api: str, state: str) -> None:
    """Possible from API 1.45 on, by number and not by letter."""
    assert docker_doctor.subpath_finding(api).state == state


def test_plain_processes_are_only_fair() -> None:
    """They do not isolate, and a sandbox without a compiler builds nothing: both are said."""
    assert local.engine_finding(A_TRIP, isolates=True).state == "good"
    plain = local.engine_finding(A_TRIP, isolates=False)
    assert plain.state == "fair"
    assert "do not isolate" in plain.follows
    open_ = local.engine_finding(A_TRIP, isolates=True, gaps=("memory is not bounded",))
    assert open_.state == "fair"
    assert "is not claimed" in open_.follows
    bare = local.engine_finding(replace(A_TRIP, lacks=("gcc",)), isolates=True)
    assert bare.state == "fair"
    assert "gcc" in bare.follows


def test_what_the_local_engine_leaves_open() -> None:
    """Each gap is missing, with its reason, what follows and what to do; without one it is good."""
    for finding in (local.calls_finding, local.groups_finding):
        told = finding("the reason")
        assert told.state == "missing"
        assert "the reason" in told.what
        assert "`isolated` is not claimed" in told.follows
        assert told.advice
    assert local.calls_finding("").state == "good"
    if not cgroups.cgroup_problem():
        assert local.groups_finding("").state == "good"


def test_whether_runs_can_see_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unpacked is named; what is lost without a program is told, and so is the reason for
    which none works.
    """
    told = local.roots_finding("the reason", ())
    assert (told.state, bool(told.follows)) == ("missing", True)
    assert "the reason" in told.what
    monkeypatch.setattr(shutil, "which", lambda program: program)
    whole = local.roots_finding("", ("gcc:13", "mine:latest"))
    assert (whole.state, whole.follows) == ("good", "")
    assert whole.what.endswith("unpacked so far: gcc:13, mine:latest")
    assert local.roots_finding("", ()).what.endswith("none yet")
    monkeypatch.setattr(shutil, "which", lambda program: None)
    for program in local.LACKED:
        assert program in local.roots_finding("", ()).follows


def test_the_clock_of_a_file_system(tmp_path: Path) -> None:
    """Steps are above zero, the smallest is the smallest, and pairs that share a stamp are among
    the pairs.
    """
    clock = file_systems.measure_clock(tmp_path)
    assert clock.smallest_ns is not None
    assert clock.typical_ns is not None
    assert clock.smallest_ns > 0
    assert clock.smallest_ns % clock.format_ns == 0
    assert 0 <= clock.shared <= clock.pairs
    assert file_systems.clock_finding(clock).state == "good"


def test_a_coarse_clock_is_less_than_good() -> None:
    """Of two seconds, as on FAT, or one that never ticked; ticks that a busy machine made this
    process miss are not.
    """
    assert (
        file_systems.clock_finding(
            file_systems.FileClock(2 * 10**9, 2 * 10**9, 2 * 10**9, 9, 9)
        ).state
        == "fair"
    )
    assert (
        file_systems.clock_finding(file_systems.FileClock(None, None, 2 * 10**9, 9, 9)).state
        == "missing"
    )
    assert (
        file_systems.clock_finding(file_systems.FileClock(36 * 10**6, 40 * 10**6, 1, 9, 9)).state
        == "good"
    )


def test_the_stamps_of_a_file_system(tmp_path: Path) -> None:
    """What is read back from beyond the limits is what the file system really keeps: setting it
    changes nothing.
    """
    stamps = file_systems.measure_stamps(tmp_path)
    assert stamps.exact
    for stamp in (stamps.first_ns, stamps.last_ns):
        os.utime(tmp_path, ns=(stamp, stamp))
        assert tmp_path.stat().st_mtime_ns == stamp


def test_what_is_said_of_stamps() -> None:
    """A range is told by its dates; no range, no word of one; whole seconds are not enough."""
    limited = file_systems.stamps_finding(
        file_systems.Stamps(True, -(2**31) * 10**9, 15_032_385_535 * 10**9)
    )
    assert "from 1901-12-13 to 2446-05-10" in limited.what
    assert (
        "any date"
        in file_systems.stamps_finding(
            file_systems.Stamps(True, file_systems.EARLY_NS, file_systems.LATE_NS)
        ).what
    )
    assert (
        file_systems.stamps_finding(file_systems.Stamps(True, file_systems.LATE_NS, 0)).state
        == "fair"
    )
    assert (
        file_systems.stamps_finding(
            file_systems.Stamps(False, file_systems.EARLY_NS, file_systems.LATE_NS)
        ).state
        == "missing"
    )


def test_exchange_and_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exchanging is tried; where it fails the reason is told."""
    assert file_systems.exchange_finding(file_systems.exchange_problem(tmp_path)).state == "good"

    def refuse(one: str, other: str) -> None:
        raise OSError(22, "Invalid argument", one, None, other)

    monkeypatch.setattr(file_systems, "exchange", refuse)
    (tmp_path / "again").mkdir()
    refused = file_systems.exchange_finding(file_systems.exchange_problem(tmp_path / "again"))
    assert refused.state == "missing"
    assert "Invalid argument" in refused.what
    assert file_systems.space_finding(file_systems.LITTLE - 1).state == "fair"


def test_places_on_one_file_system_are_examined_once(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is not made yet is on the file system of the nearest that is; it is not made
    for that.
    """
    (group,) = file_systems.examine()
    assert str(place / "state") in group.title
    assert not (place / "state" / "not").exists()
    monkeypatch.setenv("HARNESS_HOME", "/proc/nothing/here")
    assert [each.findings[0].state for each in file_systems.examine()] == ["good", "missing"]


def test_a_compiler_that_cannot_compile_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gcc without its headers is of no use, and its own error is passed on."""
    gcc = tmp_path / "gcc"
    gcc.write_text("#!/bin/sh\necho 'x.c:1: fatal error: stdio.h: No such file' >&2\nexit 1\n")
    gcc.chmod(0o755)
    monkeypatch.setattr(programs, "TOOL_PATH", str(tmp_path))
    tools = {each.subject: each for each in programs.examine()}
    assert tools["gcc"].state == "missing"
    assert "stdio.h" in tools["gcc"].what
    assert tools["make"].state == "missing"


def test_a_busy_machine_is_only_fair() -> None:
    """Its times scatter."""
    assert machine.processors_finding(2, 0.1).state == "good"
    assert machine.processors_finding(2, 5.0).state == "fair"


def test_whatever_a_probe_raises_is_a_finding() -> None:
    """The others are still made; an error that says nothing is named."""

    def fails() -> Finding:
        raise ZeroDivisionError

    assert softly("x", fails) == Finding("x", "missing", "could not be examined: ZeroDivisionError")


def test_packages_are_installed_as_this_machine_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own package manager, with sudo for a user; by no name where there is none that we
    know.
    """
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "dnf" else None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert install_command("gcc", "make") == "sudo dnf install gcc make"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert install_command("gcc") == "dnf install gcc"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert install_command("gcc") == "install gcc"


def test_the_verdict_names_the_engine_that_is_taken() -> None:
    """Docker before local, another as a choice, and what keeps the first from building."""
    both = Diagnosis((), {"docker": Fitness(), "local": Fitness()})
    assert (
        both.verdict()
        == "Ready: `harness compare` takes the docker engine; --engine local works too."
    )
    bare = Diagnosis((), {"docker": Fitness("no answer"), "local": Fitness(lacks=("gcc", "make"))})
    assert "gcc, make" in bare.verdict()
    assert bare.verdict().startswith("Not ready: ")
    assert (both.ready, bare.ready) == (True, False)
    none = Diagnosis((), {"docker": Fitness("no answer"), "local": Fitness("no tar")})
    assert "docker: no answer; local: no tar" in none.verdict()


def test_an_engine_that_mounts_no_folder_is_not_ready() -> None:
    """As where there is no mount(8): one of the three runners could not play; the others can, and
    it is said how.
    """
    found = Diagnosis(
        (),
        {"docker": Fitness("no answer"), "local": Fitness(refuses="no folder can be mounted here")},
    )
    assert not found.ready
    assert found.verdict().startswith("Not ready: katas-volume")
    assert "--runner tmp" in found.verdict()
    assert local.mounts_finding("no folder can be mounted here").state == "missing"
    assert local.mounts_finding("").state == "good"


def test_an_engine_that_is_taken_and_does_not_work_is_not_ready() -> None:
    """The one that answers is taken by itself: that another would work helps nobody who does not
    name it.
    """
    broken = Fitness("Podman 4.3.1 cannot mount; take Docker", answers=True)
    found = Diagnosis((), {"docker": broken, "local": Fitness()})
    assert found.verdict() == (
        "Not ready: `harness compare` takes the docker engine: Podman 4.3.1 cannot mount; take Docker; --engine local works."
    )
    assert (found.ready, found.taken, found.working) == (False, "docker", ("local",))


def test_what_an_engine_cannot_mount_is_told() -> None:
    """With the runner that is refused; a new version is not believed of an engine that is known to
    do otherwise.
    """
    assert docker_doctor.overlay_finding("").state == "good"
    refused = docker_doctor.overlay_finding("Podman 4.3.1 ignores it; take another")
    assert (refused.state, "katas-overlay" in refused.follows) == ("fair", True)
    assert "Podman 4.3.1 ignores it; take another" in refused.what
    later = docker_doctor.subpath_finding("1.45", "Podman 6.0.0 ignores it; take another")
    assert (later.state, "katas-subpath" in later.follows) == ("fair", True)


@pytest.mark.parametrize(
    "gaps", [(), ("memory and processes of a run are not bounded together (not here)",)]
)
def test_what_an_engine_leaves_open_is_told(
    gaps: tuple[str, ...], docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it says of its kernel."""
    monkeypatch.setattr(docker_engine, "gaps", gaps)
    found = docker_doctor.bounds_finding(docker_engine)
    assert (found.state == "good") == (not gaps)
    assert all(gap in found.what for gap in gaps)


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_and_reads_without_colours(width: int) -> None:
    """No line is wider; states are words with signs, advice has its arrow, and square brackets come
    out as they went in.
    """
    group = FindingGroup(
        "A group",
        (
            Finding("one", "good", "word " * 40),
            Finding(
                "the other", "missing", "/" + "long" * 60, "[bold]brackets[/bold]", "install it"
            ),
            Finding("third", "fair", "so so"),
        ),
    )
    text = printed(Diagnosis((group,), {}), width)
    assert all(len(line) <= width for line in text.splitlines())
    for words in (
        "A group",
        "+ good",
        "! missing",
        "~ fair",
        "[bold]brackets[/bold]",
        "-> install it",
    ):
        assert words in text
    assert text.isascii()
