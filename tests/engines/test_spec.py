"""What a spec and its limits promise holds on every engine that isolates: what the player's code
is, sees and may use up.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.engines import Engine, Execution, Limits, Sandbox, SandboxSpec
from harness.engines.guest.environment import players
from harness.engines.spec import MIB, NOBODY
from tests.support import PATIENCE, fill, running

isolating = pytest.mark.parametrize("shared_engine", ["local", "docker", "docker26"], indirect=True)
pytestmark = isolating


@pytest.fixture(scope="module")
def sandbox(shared_engine: Engine) -> Iterator[Sandbox]:
    """One for all tests that only look around."""
    with closing(shared_engine.open(SandboxSpec())) as opened:
        yield opened


def execute(sandbox: Sandbox, command: str) -> Execution:
    """The command, which must end by itself."""
    execution = sandbox.execute(command, PATIENCE)
    assert not execution.timed_out, execution
    return execution


def said(sandbox: Sandbox, command: str) -> list[str]:
    """The lines that the command prints."""
    execution = execute(sandbox, command)
    assert (execution.status, execution.stderr) == (0, b"")
    return execution.stdout.decode().splitlines()


def limited(engine: Engine, command: str, **limits: int) -> Execution:
    """The command under these limits; afterwards the sandbox must still serve."""
    with closing(engine.open(SandboxSpec(limits=Limits(**limits)))) as sandbox:
        execution = execute(sandbox, command)
        assert said(sandbox, "echo next") == ["next"]
        return execution


def test_the_player_is_nobody(sandbox: Sandbox) -> None:
    assert said(sandbox, "id -u; id -g; id -G") == [str(NOBODY)] * 3


def test_the_player_has_no_capability_and_can_get_none(sandbox: Sandbox) -> None:
    status = dict(line.split(":\t", 1) for line in said(sandbox, "cat /proc/self/status"))
    assert {
        name: int(status[name], 16) for name in status if name.startswith("Cap")
    } == dict.fromkeys(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"], 0)
    assert status["NoNewPrivs"] == "1"


def test_there_is_no_network(sandbox: Sandbox) -> None:
    """No interface but the one to oneself, and no route."""
    interfaces = [line.partition(":")[0].strip() for line in said(sandbox, "cat /proc/net/dev")[2:]]
    assert interfaces == ["lo"]
    assert len(said(sandbox, "cat /proc/net/route")) <= 1


def test_nothing_can_be_written_but_what_is_the_sandboxs(sandbox: Sandbox) -> None:
    """Its folder and the temporary ones, in which programs run, too."""
    tried = "/ /usr /usr/bin /etc /dev /var /run /home /root /proc/1 /sys . /tmp /dev/shm"
    write = f"for each in {tried}; do {{ echo 'echo ran' >$each/tried; }} 2>/dev/null && echo $each; done"
    run = "for each in . /tmp; do chmod +x $each/tried && $each/tried; done"
    assert said(sandbox, f"{write}; {run}; rm ./tried /tmp/tried") == [
        ".",
        "/tmp",
        "/dev/shm",
        "ran",
        "ran",
    ]


def test_the_environment_holds_nothing_of_the_harness(sandbox: Sandbox) -> None:
    environment = dict(line.split("=", 1) for line in said(sandbox, "env"))
    assert environment.keys() <= {*players(), "HOSTNAME", "PWD", "SHLVL", "_"}
    assert (environment["HOME"], environment["PWD"]) == ("/tmp", "/sandbox")


def test_only_its_own_processes_are_seen(sandbox: Sandbox) -> None:
    seen = said(
        sandbox, "echo /proc/[0-9]*; cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; true"
    )
    assert 2 <= len(seen[0].split()) < 20
    assert not [line for line in seen if "pytest" in line]


def test_nothing_of_the_host_is_seen(sandbox: Sandbox, tmp_path: Path) -> None:
    """Neither homes, nor temporary files, nor what has secrets."""
    (tmp_path / "ours").touch()
    places = f"{tmp_path} {Path(__file__)} /root /home /etc/shadow /var/run/docker.sock /tmp /boot"
    found = f"for each in {places}; do for file in $each $each/*; do cat $file >/dev/null && echo $file; done; done"
    assert execute(sandbox, found).stdout == b""


def test_the_kernel_knows_the_limits(shared_engine: Engine) -> None:
    """No core dumps, not even through a program of the host, and the bounds that were asked for."""
    asked = Limits(file=8 * MIB, open_files=100)
    with closing(shared_engine.open(SandboxSpec(limits=asked))) as sandbox:
        look = 'while read -r line; do case $line in "Max core"*) echo "$line"; esac; done'
        (core,) = said(sandbox, f"{look} </proc/self/limits")
        assert core.split()[-3:] == ["1", "1", "bytes"]
        assert said(sandbox, "ulimit -Hf; ulimit -Hn") == [
            str(8 * MIB // 512),
            "100",
        ]


def test_a_file_has_a_bound(shared_engine: Engine) -> None:
    execution = limited(shared_engine, "head -c 9000000 /dev/zero >big; wc -c <big", file=MIB)
    assert execution.stdout.split() == [b"1048576"]


def test_the_number_of_files_has_a_bound(shared_engine: Engine) -> None:
    """Folders and further names count like files; what is removed makes room."""
    make = "for i in 1 2 3; do : >$i; done; mkdir d; ln 1 e; ls; rm 1; : >f && ls"
    execution = limited(shared_engine, make, files=4)
    assert execution.stdout.split() == [*b"1 2 3 d".split(), *b"2 3 d f".split()]
    assert b"No space left on device" in execution.stderr


def test_temporary_files_have_a_bound(shared_engine: Engine) -> None:
    execution = limited(shared_engine, "head -c 9000000 /dev/zero >/tmp/big", temporary=MIB)
    assert execution.status != 0
    assert b"No space left on device" in execution.stderr


def test_memory_has_a_bound(shared_engine: Engine) -> None:
    """Who wants more does not get it, and the sandbox outlives that."""
    execution = limited(
        shared_engine, "head -c 300000000 /dev/zero | tail -c 299999999", memory=64 * MIB
    )
    assert execution.status in (1, 137)
    assert execution.stdout == b""
    assert execution.starved > 0


def test_memory_that_has_no_name_has_the_same_bound(shared_engine: Engine) -> None:
    """A file that lies in no file system counts too."""
    program = "import os; f = os.memfd_create('x'); [os.write(f, bytes(1 << 20)) for _ in range(300)]; print('all')"
    compiled = f"command -v python3 >/dev/null || exit 77; python3 -c {shlex.quote(program)}"
    execution = limited(shared_engine, compiled, memory=64 * MIB)
    if execution.status == 77:
        pytest.skip(
            "no Python in the sandbox; the proof of isolated tries it with a program of its own"
        )
    assert execution.stdout == b""
    assert execution.starved > 0


def test_who_fails_for_another_reason_was_not_starved(shared_engine: Engine) -> None:
    assert limited(shared_engine, "exit 137").starved == 0


def test_address_space_has_no_bound(sandbox: Sandbox) -> None:
    """Sanitizers, the JVM and wasm reserve much of it and use little."""
    assert said(sandbox, "ulimit -v") == ["unlimited"]


BOMBS = {
    "waiting": "while sleep 1000.15625 & do :; done",
    "growing": "bomb() { bomb | bomb & }; bomb; sleep 1",
    "detached": "bomb() { setsid sh -c 'while :; do sleep 1000.15625 & done' & }; bomb; bomb; sleep 1",
    "stubborn": "trap '' TERM INT HUP; (while :; do (while :; do :; done) & done) & wait $!",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_processes_have_a_bound(shared_engine: Engine, bomb: str) -> None:
    """Whoever forks for ever is stopped at the limit and told, and all of it is gone afterwards."""
    execution = limited(shared_engine, bomb, processes=40)
    assert execution.status is not None
    assert b"Cannot fork" in execution.stderr
    assert not running("sleep\0001000.15625")


def test_one_that_kills_all_it_can_kills_itself_alone(sandbox: Sandbox) -> None:
    for command in ("kill -9 -1", "kill -9 1 $PPID; kill -9 0"):
        assert execute(sandbox, command).status is not None
        assert said(sandbox, "echo next") == ["next"]


def test_one_that_deletes_all_it_can(shared_engine: Engine) -> None:
    """Empties its own sandbox and nothing else."""
    with closing(shared_engine.open(SandboxSpec())) as sandbox:
        fill(sandbox, {"a": "1", ".b/c": "2", "-d": "3"})
        execute(sandbox, "rm -rf -- * .[!.]* /tmp/* /etc /dev /run")
        assert list(sandbox.observe()) == [b"."]
        assert said(sandbox, "echo next") == ["next"]


def test_endless_output_is_kept_up_to_the_limit(shared_engine: Engine) -> None:
    with closing(shared_engine.open(SandboxSpec(limits=Limits(output=1000)))) as sandbox:
        execution = sandbox.execute("while :; do echo x; done", 1.0)
    assert execution.timed_out
    assert execution.truncated
    assert execution.stdout == b"x\n" * 500
