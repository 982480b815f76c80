"""The local engine: where it works, what it claims with bubblewrap and without, and that nothing of
it is left behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engines import Limits, Sandbox, SandboxSpec, Volume, seccomp
from harness.engines.folders import Labelled, Shelf, sandboxes_home, temporary_folder
from harness.engines.guest.caches import NOT_RUN
from harness.engines.guest.environment import TRUSTED
from harness.engines.guest.protocol import Request
from harness.engines.local import cgroups
from harness.engines.local import engine as local
from harness.engines.local.bubblewrap import bubblewrap_problem
from harness.engines.local.engine import GUEST, PLAYER, LocalEngine
from harness.engines.local.launch import JOIN_SESSION_KEYRING, leave_keyring
from harness.engines.local.processes import end_tree, labels, tells_children
from harness.engines.owner import OWNER_LABEL, TEMPORARY, Owner
from harness.engines.spec import HostFolder, WholeVolume
from harness.engines.streams import ProcessStream
from harness.inside.disk import remove_tree
from harness.inside.errors import EngineError, KatasError, UsageError
from harness.inside.layout import Avatar
from harness.katas.places import TemporaryKatas
from harness.katas.volume_katas import VolumeKatas
from tests.children import unprivileged
from tests.support import PATIENCE, eventually, fill, one_line, running

GONE = str(replace(Owner.current(), started=1))
"""An owner that this machine knows to have ended."""

needs_bubblewrap = pytest.mark.skipif(bool(bubblewrap_problem()), reason=bubblewrap_problem())
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    """Plain processes, which work everywhere."""
    with closing(LocalEngine(tmp_path / "home", bubblewrap=False)) as opened:
        yield opened


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A PATH without programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    bubblewrap_problem.cache_clear()
    yield tmp_path
    bubblewrap_problem.cache_clear()


def said(sandbox: Sandbox, command: str) -> bytes:
    execution = sandbox.execute(command, PATIENCE)
    assert not execution.timed_out
    return execution.stdout


def test_it_describes_itself(engine: LocalEngine) -> None:
    assert engine.describe()["engine"] == "local, plain processes"
    assert engine.note == "plain processes, which measure but do not isolate (not asked for)"
    assert not engine.isolates


@needs_bubblewrap
def test_bubblewrap_is_taken_where_it_works(tmp_path: Path) -> None:
    with closing(LocalEngine(tmp_path)) as engine:
        assert engine.isolates
        assert engine.note == "bubblewrap"


def test_without_bubblewrap_it_says_so(no_programs: Path) -> None:
    """And refuses where bubblewrap was asked for."""
    (no_programs / "tar").symlink_to("/bin/tar")
    with closing(LocalEngine(no_programs)) as engine:
        assert not engine.isolates
        assert "(bubblewrap is not installed)" in engine.note
    with pytest.raises(EngineError, match="does not work here: bubblewrap is not installed"):
        LocalEngine(no_programs, bubblewrap=True)


def test_a_tar_that_is_not_gnu_tar_is_refused(no_programs: Path) -> None:
    """So is none at all."""
    with pytest.raises(EngineError, match="install GNU tar"):
        LocalEngine(no_programs)
    (no_programs / "tar").write_text("#!/bin/sh\necho bsdtar 3.6.2 - libarchive 3.6.2")
    (no_programs / "tar").chmod(0o755)
    with pytest.raises(EngineError, match="install GNU tar"):
        LocalEngine(no_programs)


@needs_root
def test_plain_processes_are_nobodys_and_have_resource_limits(engine: LocalEngine) -> None:
    """It does not isolate, but what is bounded for each process is; address space is not."""
    limits = Limits(file=1 << 20, open_files=100)
    with closing(engine.open(SandboxSpec(limits=limits))) as sandbox:
        assert said(sandbox, "id -u") == b"65534\n"
        assert (
            said(sandbox, "ulimit -Hc; ulimit -Hf; ulimit -Hn; ulimit -Hv")
            == b"0\n2048\n100\nunlimited\n"
        )


def test_what_left_its_session_is_ended_too(engine: LocalEngine) -> None:
    """At the end of a run, and when the run is killed."""
    with closing(engine.open(SandboxSpec())) as sandbox:
        said(sandbox, "setsid sleep 1000.125 & setsid setsid sleep 1000.125 &")
        assert not running("sleep\0001000.125")
        assert sandbox.execute("setsid sleep 1000.125 & sleep 1000", 1.0).timed_out
        assert not running("sleep\0001000.125")


LOST = "env -i setsid sh -c 'sleep 1000.0625 & exec sleep 1000.0625' &"
"""It leaves its session, its environment, and soon its parent."""


def test_what_left_its_environment_is_ended_too(engine: LocalEngine) -> None:
    """At the end of a run, when it is killed, and when what stood by is closed; also what still
    holds the output.
    """
    with closing(engine.open(SandboxSpec())) as sandbox:
        assert said(sandbox, f"({LOST}); echo done") == b"done\n"
        assert not running("sleep\0001000.0625")
        assert (
            said(sandbox, f"({LOST} ({LOST})) >/dev/null 2>&1 </dev/null; echo again") == b"again\n"
        )
        assert not running("sleep\0001000.0625")
        assert sandbox.execute(f"({LOST}); sleep 1000.0625", 1.0).timed_out
        assert not running("sleep\0001000.0625")
    with closing(engine.open(SandboxSpec())) as sandbox:
        sandbox.guest.ask(Request.RUN, 60, command=b"(%b); sleep 1000.0625" % LOST.encode())
        eventually(lambda: running("sleep\0001000.0625"), "the run begins")
    assert not running("sleep\0001000.0625")


@pytest.mark.parametrize("tells", [True, False])
def test_ending_a_tree_ends_what_the_kernel_does_not_list_too(
    monkeypatch: pytest.MonkeyPatch, tells: bool
) -> None:
    """Where the kernel does not tell the children of a process, and of one whose first thread has
    ended.
    """
    if not tells:
        tells_children.cache_clear()
        monkeypatch.setattr(os.path, "exists", lambda path: False)
    program = (
        "import ctypes, os, threading, time\n"
        "if os.fork(): time.sleep(1000)\n"
        "threading.Thread(target=time.sleep, args=(1000,)).start()\n"
        "if not os.fork(): os.execlp('sleep', 'sleep', '1000.03')\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        eventually(lambda: running("sleep\0001000.03"), "the tree is there")
        found, ended = end_tree(process.pid)
        assert found
        assert len(ended) == 2
        assert not running("sleep\0001000.03")
    tells_children.cache_clear()


def test_what_a_guest_that_died_had_started_is_found_by_its_label(engine: LocalEngine) -> None:
    with closing(engine.open(SandboxSpec())) as sandbox:
        sandbox.guest.ask(Request.RUN, 60, command=b"sleep 1000.09375")
        eventually(lambda: running("sleep\0001000.09375"), "the run begins")
        assert isinstance(sandbox.guest.stream, ProcessStream)
        os.kill(sandbox.guest.stream.process.pid, signal.SIGKILL)
    assert not running("sleep\0001000.09375")


ZOMBIES = """
import os, sys
from contextlib import closing
from pathlib import Path
from harness.engines import SandboxSpec
from harness.engines.local.engine import LocalEngine

assert os.getpid() == 1
with closing(LocalEngine(Path(sys.argv[1]), bubblewrap=False)) as engine:
    for _ in range(3):
        with closing(engine.open(SandboxSpec())) as sandbox:
            sandbox.execute("env -i setsid sleep 1000 & sleep 0.01 & (sleep 0.01 & sleep 0.02)", 60)
        with closing(engine.open(SandboxSpec())) as sandbox:
            sandbox.execute("(setsid sleep 1000 &); sleep 1000", 0.3)
stats = [(each / "stat").read_text() for each in Path("/proc").glob("[0-9]*")]
print([each for each in stats if each.rpartition(")")[2].split()[:2] == ["Z", "1"]])
"""


def test_a_harness_that_is_the_first_process_of_a_container_keeps_no_zombies(
    tmp_path: Path,
) -> None:
    """It becomes the parent of all whose parents end, and nobody else waits for them."""
    words = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no pid namespace to be had")
    command = [*words, sys.executable, "-c", ZOMBIES, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


KEEPING = """
import os, sys
from pathlib import Path
from harness.engines.local.engine import LocalEngine
from harness.katas.volume_katas import VolumeKatas
from harness.inside.layout import Avatar

event = VolumeKatas(LocalEngine(Path(sys.argv[1]), bubblewrap=False), "katas").event(Avatar())
os.kill(event.link.stream.process.pid, 19)
os.kill(os.getpid(), 9)
"""


def test_a_keeper_that_is_stopped_is_found_once_its_owner_has_gone(engine: LocalEngine) -> None:
    """It would hold the avatar's lock for ever."""
    before = set(engine.leftovers())
    done = subprocess.run([sys.executable, "-c", KEEPING, str(engine.home)], check=False)
    assert done.returncode == -signal.SIGKILL
    left = set(engine.leftovers()) - before
    assert {line.partition(" ")[0] for line in left} == {"process"}
    assert left <= set(engine.sweep())
    with closing(VolumeKatas(engine, "katas")) as katas, closing(katas.event(Avatar())):
        assert engine.traces(), "a keeper that is at work can be seen"


def test_a_keeper_has_no_file_that_it_could_leave_behind(engine: LocalEngine) -> None:
    """However it ends: its program is in a file without a name."""
    with closing(VolumeKatas(engine, "katas")) as katas, closing(katas.event(Avatar())) as event:
        stream = event.link.stream
        assert isinstance(stream, ProcessStream)
        files = [os.readlink(each) for each in Path(f"/proc/{stream.process.pid}/fd").iterdir()]
        named = [
            each for each in files if each.startswith(("/tmp", "/var/tmp")) and os.path.isfile(each)
        ]
        assert len(files) > 3
        assert not named


def test_what_the_harness_was_started_with_rules_nothing_that_is_trusted(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a guest nor a keeper: a variable may name programs, libraries and options, as an
    image's may.
    """
    for name in ("PATH", "BASH_ENV", "LD_LIBRARY_PATH", "TAR_OPTIONS", "PYTHONPATH", "A"):
        monkeypatch.setenv(name, f"{os.environ.get(name, '')}:")
    with (
        closing(engine.open(SandboxSpec())) as sandbox,
        closing(VolumeKatas(engine, "katas")) as katas,
        closing(katas.event(Avatar())) as event,
    ):
        sandbox.get_ready()
        for stream in (sandbox.guest.stream, event.link.stream):
            assert isinstance(stream, ProcessStream)
            variables = Path(f"/proc/{stream.process.pid}/environ").read_bytes().split(b"\0")[:-1]
            found = dict(each.decode().split("=", 1) for each in variables)
            assert found.pop(GUEST).startswith(f"{Owner.current()}/")
            assert found == TRUSTED


KEYS = """
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int count, char **given) { return syscall(SYS_request_key, "user", given[1], NULL, 0) < 0; }
"""


@needs_bubblewrap
def test_a_run_has_no_key_of_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though nothing filters its system calls, as where there is no libseccomp."""
    if platform.machine() != "x86_64":
        pytest.skip("the numbers of the calls are not known here")
    monkeypatch.setattr(seccomp, "filter_problem", lambda: "not here")
    libc = ctypes.CDLL(None)
    if libc.syscall(250, JOIN_SESSION_KEYRING, None) < 0:
        pytest.skip("the kernel has no keyrings, or this container may not use them")
    try:
        assert (
            libc.syscall(
                248, b"user", b"harness-test-key", b"x", ctypes.c_long(1), ctypes.c_long(-3)
            )
            > 0
        )
        with (
            closing(LocalEngine(tmp_path)) as engine,
            closing(engine.open(SandboxSpec())) as sandbox,
        ):
            fill(sandbox, {"keys.c": KEYS})
            assert sandbox.execute("gcc -o keys keys.c", PATIENCE).status == 0
            assert sandbox.execute("./keys harness-test-key", PATIENCE).status == 1
    finally:
        leave_keyring()


@needs_bubblewrap
def test_a_killed_run_has_ended_when_the_kill_returns(tmp_path: Path) -> None:
    """Whatever it was doing in its own namespace: what is mounted must not change any more."""
    with closing(LocalEngine(tmp_path, bubblewrap=True)) as engine:
        for _ in range(5):
            with closing(engine.open(SandboxSpec())) as sandbox:
                assert sandbox.execute(
                    "setsid setsid sleep 1000.375 & sleep 1000.375", 0.3
                ).timed_out
                assert not running("sleep\0001000.375")


def test_in_place_there_is_nothing_between_shell_and_command(tmp_path: Path) -> None:
    """The floor pays for no isolation, whatever the engine would do."""
    with (
        closing(LocalEngine(tmp_path)) as engine,
        closing(engine.open(SandboxSpec(in_place=True))) as sandbox,
    ):
        assert said(sandbox, "pwd").startswith(bytes(sandboxes_home()))


def test_a_strict_umask_does_not_shut_the_player_out(temporary: Path, engine: LocalEngine) -> None:
    before = os.umask(0o077)
    try:
        with closing(engine.open(SandboxSpec())) as sandbox:
            fill(sandbox, {"cyber-dojo.sh": "#!/bin/sh\necho ran $PWD"})
            assert said(sandbox, '"$PWD"/cyber-dojo.sh').startswith(b"ran /")
    finally:
        os.umask(before)


@needs_root
def test_a_folder_of_somebody_elses_is_not_used(temporary: Path, engine: LocalEngine) -> None:
    """In /tmp anybody may make a folder of the name that is wanted."""
    sandboxes_home().mkdir()
    os.chown(sandboxes_home(), 65533, 65533)
    with (
        closing(engine.open(SandboxSpec())) as sandbox,
        pytest.raises(EngineError, match="belongs to another user; set TMPDIR") as refused,
    ):
        sandbox.wait()
    one_line(refused.value)


@pytest.mark.parametrize("bubblewrap", [pytest.param(True, marks=needs_bubblewrap), False])
@needs_root
def test_a_sandbox_is_closed_to_other_users(
    temporary: Path, tmp_path: Path, bubblewrap: bool
) -> None:
    """Though its path stands in the list of processes, and whatever its own mode."""
    with (
        closing(LocalEngine(tmp_path, bubblewrap=bubblewrap)) as engine,
        closing(engine.open(SandboxSpec())) as sandbox,
    ):
        fill(sandbox, {"secret": "x"})
        (inside,) = sandboxes_home().glob("*/closed/sandbox")
        look = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "ls", str(inside)]
        looked = subprocess.run(look, capture_output=True, text=True, check=False)
        assert "Permission denied" in looked.stderr
        assert looked.stdout == ""


@needs_root
def test_plain_processes_play_in_a_folder_below_one_that_is_closed(
    tmp_path: Path, engine: LocalEngine
) -> None:
    """The player may not enter root's folder, and need not: it sees its own mounted elsewhere."""
    (tmp_path / "closed" / "its-own").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    os.chown(tmp_path / "closed" / "its-own", 65534, 65534)
    with closing(
        engine.open(SandboxSpec(mount=HostFolder(tmp_path / "closed" / "its-own")))
    ) as sandbox:
        assert said(sandbox, 'echo it >"$PWD/made" && ls "$PWD"') == b"made\n"
    assert (tmp_path / "closed" / "its-own" / "made").read_text() == "it\n"


def test_no_room_for_a_sandbox_is_told(temporary: Path, engine: LocalEngine) -> None:
    sandboxes_home().touch()
    with (
        closing(engine.open(SandboxSpec())) as sandbox,
        pytest.raises(
            EngineError, match=r"no sandbox folder can be made in .*; set TMPDIR"
        ) as refused,
    ):
        sandbox.wait()
    one_line(refused.value)


def test_a_sandbox_that_cannot_be_started_leaves_nothing(
    temporary: Path, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(process: int, limits: Limits, *, together: bool) -> None:
        raise ProcessLookupError(3, "No such process")

    monkeypatch.setattr(local, "limit", fail)
    with (
        closing(engine.open(SandboxSpec())) as sandbox,
        pytest.raises(EngineError, match=r"no sandbox can be made in .*: No such process"),
    ):
        sandbox.wait()
    assert not list(sandboxes_home().iterdir())
    eventually(lambda: not running(str(temporary)), "its guest ends")


def test_a_volume_is_a_folder(engine: LocalEngine) -> None:
    for _ in range(2):
        engine.create_volume("kept", temporary=False)
    engine.create_volume("temporary", temporary=True)
    assert engine.volumes() == [
        Volume("kept", temporary=False),
        Volume("temporary", temporary=True),
    ]
    for _ in range(2):
        engine.remove_volume("kept")
    assert engine.volumes() == [Volume("temporary", temporary=True)]


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/tmp"])
def test_a_volume_has_a_name_and_no_path(engine: LocalEngine, name: str) -> None:
    for attempt in (engine.remove_volume, lambda name: engine.create_volume(name, temporary=True)):
        with pytest.raises(UsageError, match="cannot name a volume"):
            attempt(name)


def test_no_room_for_a_volume_is_told(engine: LocalEngine) -> None:
    engine.home.touch()
    with pytest.raises(
        KatasError, match=r"the volume full cannot be made in .*: Not a directory"
    ) as refused:
        engine.create_volume("full", temporary=True)
    one_line(refused.value)


@pytest.mark.parametrize(
    "label", [GONE, str(Owner.current()), "somebody else's"], ids=["gone", "living", "other"]
)
def test_what_is_swept_is_what_an_owner_that_has_gone_left(
    temporary: Path, engine: LocalEngine, label: str
) -> None:
    """Folders with whatever modes, temporary volumes, and processes; nothing of a living owner,
    nothing that somebody else labelled, and no katas that a user keeps.
    """
    folder = temporary_folder("sandbox")
    (folder / OWNER_LABEL).write_text(label)
    (folder / "closed").mkdir(mode=0o000)
    for name in ("kept", "temporary"):
        engine.create_volume(name, temporary=name == "temporary")
        (engine.home / "volumes" / name / OWNER_LABEL).write_text(label)
    players = [
        subprocess.Popen(
            ["sh", "-c", "sleep 1000 & wait"],
            env={**os.environ, name: f"{label}/sandbox-1"},
            start_new_session=True,
        )
        for name in (PLAYER, GUEST)
    ]
    theirs = {
        f"folder {folder}",
        f"volume {engine.home / 'volumes' / 'temporary'}",
        *(f"process {each.pid}" for each in players),
    }
    try:
        # A process that has only just begun to be a program has no environment yet.
        wanted = {each.pid for each in players}
        eventually(lambda: wanted <= {process for process, _ in labels()}, "the labels can be read")
        assert theirs & set(engine.leftovers()) == (theirs if label == GONE else set())
        assert theirs & set(engine.sweep()) == (theirs if label == GONE else set())
        assert not theirs & set(engine.leftovers())
        assert folder.exists() == (label != GONE)
        assert [each.poll() is None for each in players] == [label != GONE] * 2
        assert Volume("kept", temporary=False) in engine.volumes()
        assert (engine.home / "volumes" / "temporary" / TEMPORARY).exists() == (label != GONE)
    finally:
        for each in players:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)
            each.wait()


@needs_bubblewrap
def test_a_run_that_outlives_bubblewrap_is_still_found(tmp_path: Path) -> None:
    """The first process in bubblewrap has the label, and ends all others with it; they do not have
    it.
    """
    with closing(LocalEngine(tmp_path)) as engine, closing(engine.open(SandboxSpec())) as sandbox:
        assert GUEST.encode() not in said(sandbox, "env")
        sandbox.guest.ask(Request.RUN, 60, command=b"sleep 1000.25")
        eventually(lambda: running("sleep\0001000.25"), "the run begins")
        (first,) = (
            process
            for process, label in labels()
            if label.startswith(f"{Owner.current()}/")
            and Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"sh\0-c\0unset ")
        )
        os.kill(first, signal.SIGKILL)
        eventually(lambda: not running("sleep\0001000.25"), "the run ends")


def test_temporary_katas_of_an_owner_that_has_gone_are_swept(
    temporary: Path, engine: LocalEngine
) -> None:
    """And while he is there they are his."""
    katas = TemporaryKatas()
    (katas.root / "AB" / "CDEFGHIJ").mkdir(parents=True)
    (folder,) = sandboxes_home().iterdir()
    assert not engine.leftovers()
    assert not engine.traces()
    (folder / OWNER_LABEL).write_text(GONE)
    assert engine.sweep() == [f"folder {folder}"]
    assert not katas.root.exists()


def test_a_folder_that_its_owner_is_just_removing_does_not_stop_a_sweep(
    temporary: Path, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = temporary_folder("sandbox")
    (folder / OWNER_LABEL).write_text(GONE)
    look = Shelf.labelled

    def late(shelf: Shelf) -> list[Labelled]:
        found = look(shelf)
        remove_tree(folder)
        return found

    monkeypatch.setattr(Shelf, "labelled", late)
    assert engine.sweep() == [f"folder {folder}"]


def test_two_sweeps_at_once_are_not_in_each_other_s_way(
    temporary: Path, engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proofs in several processes sweep whenever they have killed a harness: each folder is removed
    by one of them.
    """
    folders = [temporary_folder("sandbox") for _ in range(20)]
    for each in folders:
        (each / OWNER_LABEL).write_text(GONE)
    look = Shelf.labelled

    def slowly(shelf: Shelf) -> list[Labelled]:
        found = look(shelf)
        time.sleep(0.2)  # long enough for the other to find them too
        return found

    monkeypatch.setattr(Shelf, "labelled", slowly)
    with closing(LocalEngine(tmp_path / "another")) as other, ThreadPoolExecutor(2) as both:
        swept = [
            line for lines in both.map(lambda each: each.sweep(), (engine, other)) for line in lines
        ]
    assert sorted(swept) == sorted(f"folder {each}" for each in folders)


ORPHAN = """
import sys
from contextlib import closing
from pathlib import Path
from harness.engines import SandboxSpec
from harness.engines.local.engine import LocalEngine

engine = LocalEngine(Path(sys.argv[1]), bubblewrap=sys.argv[2] == "bubblewrap")
with closing(engine.open(SandboxSpec())) as sandbox:
    sandbox.execute("setsid sleep 1000.625 & sleep 1000.625", 1000)
"""


@pytest.mark.parametrize("kind", [pytest.param("bubblewrap", marks=needs_bubblewrap), "plain"])
def test_what_a_killed_harness_left_is_found_and_ended(
    engine: LocalEngine, tmp_path: Path, kind: str
) -> None:
    """Guest, player, and what left the player's session; the sandbox's folder and its control group
    too.
    """
    child = subprocess.Popen([sys.executable, "-c", ORPHAN, str(tmp_path), kind])
    eventually(lambda: running("sleep\0001000.625"), "the child is in the middle of a run")
    before = set(engine.leftovers())
    child.kill()
    child.wait()
    left = set(engine.leftovers()) - before
    kinds = {"process", "folder"} | (set() if cgroups.cgroup_problem() else {"control"})
    assert {line.partition(" ")[0] for line in left} == kinds
    assert left <= set(engine.sweep())
    assert not left & set(engine.leftovers())
    eventually(lambda: not running("sleep\0001000.625"), "the player ends")


def test_the_guest_of_a_killed_harness_ends_by_itself(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if nobody sweeps: some time after its limit the command is ended, and with it the
    guest.
    """
    monkeypatch.setattr("harness.engines.guest.sandbox.GRACE_SECONDS", 0)
    with closing(engine.open(SandboxSpec())) as sandbox:
        sandbox.guest.ask(Request.RUN, 1, command=b"sleep 1000.875")
        assert sandbox.guest.stream is not None
        eventually(lambda: running("sleep\0001000.875"), "the command runs")
        sandbox.guest.stream.close_write()
        eventually(lambda: not running("sleep\0001000.875"), "the command is ended")
        sandbox.guest.busy = False


@unprivileged
def test_a_user_without_privileges_is_as_well_isolated(tmp_path: Path) -> None:
    """The player has no capability, sees neither host nor network, and can write nowhere else."""
    bubblewrap_problem.cache_clear()
    if reason := bubblewrap_problem():
        pytest.skip(reason)
    with closing(LocalEngine(tmp_path)) as engine:
        with closing(engine.open(SandboxSpec())) as sandbox:
            assert said(sandbox, "id -u") == b"65534\n"
            assert said(sandbox, "grep -c 'Cap.*:.0000000000000000$' /proc/self/status") == b"5\n"
            assert said(sandbox, "grep NoNewPrivs /proc/self/status") == b"NoNewPrivs:\t1\n"
            assert said(sandbox, "tail -n +3 /proc/net/dev | grep -v lo:") == b""
            assert said(sandbox, f"ls -d {tmp_path} /home /root /tmp/*") == b""
            written = "for each in / /usr /etc /dev /dev/shm /tmp .; do touch $each/x 2>&- && echo $each; done"
            assert said(sandbox, written) == b"/dev/shm\n/tmp\n.\n"
            assert len(said(sandbox, "echo /proc/[0-9]*").split()) < 10
        eventually(lambda: not engine.traces(), "its folder goes")


@needs_bubblewrap
def test_a_bubblewrap_that_fails_is_no_command_that_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its status would be accepted for that of a script which never ran."""
    enclose = local.enclose

    def failing(*arguments: Any, **options: Any) -> list[str]:
        words = enclose(*arguments, **options)
        end = words.index("--")
        return [*words[:end], "--bind", "/nonexistent", "/tmp/x", *words[end:]]

    monkeypatch.setattr(local, "enclose", failing)
    with closing(LocalEngine(tmp_path)) as engine, closing(engine.open(SandboxSpec())) as sandbox:
        execution = sandbox.execute("true", PATIENCE)
        assert (execution.status, execution.reason) == (None, NOT_RUN)
        assert b"/nonexistent" in execution.stderr


@unprivileged
def test_of_a_volume_a_run_writes_to_its_sandbox_alone(tmp_path: Path) -> None:
    """The player has the uid of the katas, and a link of its own beside them would lead the keeper
    to any file of the host.
    """
    bubblewrap_problem.cache_clear()
    if reason := bubblewrap_problem():
        pytest.skip(reason)
    with closing(LocalEngine(tmp_path)) as engine:
        engine.create_volume("v", temporary=False)
        katas = tmp_path / "volumes" / "v" / "katas"
        (katas / "kata" / "lion" / "sandbox").mkdir(parents=True)
        spec = SandboxSpec(mount=WholeVolume("v", "kata/lion/sandbox"))
        with closing(engine.open(spec)) as sandbox:
            assert said(sandbox, "echo made >a; ln -s a b; cat b") == b"made\n"
            outside = ". .. ../.. ../../.."
            tried = f"for each in {outside}; do touch $each/x 2>&- && echo $each; ln -s /etc $each/y 2>&- && echo $each; done"
            assert said(sandbox, tried) == b".\n.\n"
            assert said(sandbox, "mv ../sandbox ../other 2>&- || echo no") == b"no\n"
        assert (katas / "kata" / "lion" / "sandbox" / "a").read_text() == "made\n"


@unprivileged
def test_a_user_without_privileges_reads_what_a_run_made_unreadable(tmp_path: Path) -> None:
    """The tree is packed with it, with its mode, and the folder can be removed."""
    with closing(LocalEngine(tmp_path)) as engine:
        with closing(engine.open(SandboxSpec())) as sandbox:
            said(sandbox, "echo 1 >a; mkdir b; echo 2 >b/c; chmod 0 a b/c b")
            assert b"".join(sandbox.pack())
            modes = {path: entry.mode for path, entry in sandbox.observe().items()}
        assert modes == {b".": 0o755, b"a": 0, b"b": 0, b"b/c": 0}
        eventually(lambda: not engine.traces(), "its folder goes")


def test_a_volume_stays_its_first_owners(tmp_path: Path) -> None:
    """Whoever else uses it and dies: a sweep leaves it to who lives."""
    with closing(LocalEngine(tmp_path)) as engine:
        engine.create_volume("katas", temporary=True)
        label = tmp_path / "volumes" / "katas" / OWNER_LABEL
        label.write_text("somebody's")
        engine.create_volume("katas", temporary=False)
        assert label.read_text() == "somebody's"
