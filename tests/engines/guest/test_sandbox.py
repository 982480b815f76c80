"""A sandbox and its guest: what they say to each other, on every engine, and when the stream
between them is cut.
"""

from __future__ import annotations

import itertools
import os
import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engines import Engine, Execution, Limits, Sandbox, SandboxSpec
from harness.engines.docker import engine as docker_engine
from harness.engines.docker.engine import DockerEngine
from harness.engines.guest import sandbox as sandbox_module
from harness.engines.guest.caches import cache_remarks
from harness.engines.guest.protocol import Request
from harness.engines.local.processes import PLAYER
from harness.engines.streams import ProcessStream, Stream
from harness.engines.usage import ResourceUsage
from harness.inside import tarpipe
from harness.inside.errors import EngineError, StreamCut, UsageError
from harness.inside.tree import Snapshot, snapshot
from tests.support import PATIENCE, eventually, fill, one_line, running, script

KEPT = Limits().output

PRINTS_75_KB = "head -c 76800 /dev/zero | tr '\\0' x"


@pytest.fixture(scope="module")
def sandbox(shared_engine: Engine) -> Iterator[Sandbox]:
    """One for all tests that do it no harm: it serves any number of requests."""
    with closing(shared_engine.open(SandboxSpec())) as opened:
        yield opened


@pytest.fixture
def fresh(shared_engine: Engine) -> Iterator[Sandbox]:
    with closing(shared_engine.open(SandboxSpec())) as opened:
        yield opened


def execute(sandbox: Sandbox, command: str) -> Execution:
    """The command, which must end by itself."""
    execution = sandbox.execute(command, PATIENCE)
    assert not execution.timed_out
    return execution


def observed(tree: Snapshot) -> Snapshot:
    """A snapshot as it is seen without contents."""
    return {path: replace(entry, target=b"", digest="", link=b"") for path, entry in tree.items()}


def test_a_tree_goes_round_several_times(fresh: Sandbox, tmp_path: Path) -> None:
    """Each time it is the tree that it was, to the nanosecond, with what the command did to it."""
    tree = tmp_path / "0"
    tree.mkdir(mode=0o755)
    (tree / "a file").write_text("0")
    (tree / "link").symlink_to("a file")
    os.utime(tree / "a file", ns=(1, 1_234_567_890_123_456_789))
    for number in range(1, 4):
        before = snapshot(tree, contents=True)
        fresh.unpack(lambda write, tree=tree: tarpipe.pack(str(tree), write))
        arrived = fresh.observe()
        execution = execute(fresh, f"echo {number} | tee made-{number}")
        assert (execution.status, execution.stdout) == (0, b"%d\n" % number)
        seen = fresh.observe()
        tree = tmp_path / str(number)
        tree.mkdir()
        tarpipe.unpack(str(tree), fresh.pack())
        after = snapshot(tree, contents=True)
        assert arrived == observed(before)
        assert seen == observed(after)
        assert after.keys() - before.keys() == {b"made-%d" % number}
        assert [path for path in before if before[path] != after[path]] == [b"."]


def test_stdout_and_stderr_are_apart_and_raw(sandbox: Sandbox) -> None:
    execution = execute(sandbox, "printf 'out\\377'; printf 'err\\0' >&2; exit 3")
    assert (execution.stdout, execution.stderr) == (b"out\xff", b"err\0")
    assert (execution.status, execution.truncated, execution.reason) == (3, False, "")


@pytest.mark.parametrize("redirected", ["", ">&2"])
def test_output_past_the_limit_is_dropped_and_flagged(sandbox: Sandbox, redirected: str) -> None:
    """The program is not killed by a full pipe: it goes on, and its exit status is its own."""
    execution = execute(
        sandbox, f"{{ {PRINTS_75_KB} && echo went on >kept; }} {redirected}; cat kept; exit 7"
    )
    assert execution.status == 7
    assert execution.truncated
    assert len(execution.stderr if redirected else execution.stdout) == KEPT
    assert execution.stdout == (b"went on\n" if redirected else b"x" * KEPT)


def test_output_of_just_the_limit_is_not_flagged(sandbox: Sandbox) -> None:
    execution = execute(sandbox, f"head -c {KEPT} /dev/zero; head -c {KEPT} /dev/zero >&2")
    assert (len(execution.stdout), len(execution.stderr), execution.truncated) == (
        KEPT,
        KEPT,
        False,
    )


def test_the_devices_of_the_standard_streams_can_be_opened(sandbox: Sandbox) -> None:
    execution = execute(
        sandbox, "echo to stdout >/dev/stdout; echo to stderr >/dev/stderr; cat /dev/stdin"
    )
    assert (execution.status, execution.stdout, execution.stderr) == (
        0,
        b"to stdout\n",
        b"to stderr\n",
    )


FORGERY = r"""
for each in /proc/[0-9]*/fd/[0-9]* /proc/1/fd/1 /proc/1/fd/2 /run/harness/* /dev/console /dev/tty; do
    case $each in /proc/$$/*) continue ;; esac
    printf '\n%s ran 0\nran 0\n\n' "$(cat /proc/[0-9]*/environ 2>/dev/null | tr '\0' ' ')" >"$each"
done 2>/dev/null
for each in /proc/[0-9]*/environ /proc/[0-9]*/cmdline /run/harness/* /tmp/* ./*; do
    echo "$each"; timeout 1 cat "$each"
done 2>/dev/null
exit 5
"""


def test_an_answer_cannot_be_forged(shared_engine: Engine) -> None:
    """A player that writes into every stream that it can open is not believed: its status is its
    own, what it wrote is part of its output at most, and nowhere can it read the nonce that marks
    an answer.
    """
    if not shared_engine.isolates:
        pytest.skip(
            "would write into streams of others on this machine: this engine does not isolate"
        )
    with closing(shared_engine.open(SandboxSpec(limits=Limits(output=1 << 22)))) as sandbox:
        fill(sandbox, script(FORGERY))
        execution = execute(sandbox, "./cyber-dojo.sh")
        assert execution.status == 5
        assert not execution.truncated
        assert sandbox.guest.nonce not in execution.stdout
        assert b"cyber-dojo.sh" in execution.stdout, "what it may read it has read"
        assert execute(sandbox, "echo next").stdout == b"next\n"


@pytest.mark.parametrize("detached", ["", "setsid "])
def test_what_runs_on_in_the_background_is_ended(sandbox: Sandbox, detached: str) -> None:
    """It does not hold the run up, though it holds the output open."""
    execution = execute(sandbox, f"{detached}sleep 1000.5 & echo done")
    assert (execution.status, execution.stdout) == (0, b"done\n")
    assert not running("sleep\0001000.5")


def test_a_run_that_kills_all_it_can_ends_like_any_other(
    sandbox: Sandbox, shared_engine: Engine
) -> None:
    """First its own shell, then, in the same moment, whoever comes to end what is left of it: again
    and again, since it takes luck to hit that.
    """
    if not shared_engine.isolates:
        pytest.skip("would kill others on this machine: this engine does not isolate")
    fill(sandbox, script("kill -9 -1; kill -9 0"))
    for _ in range(30):
        execution = execute(sandbox, "./cyber-dojo.sh")
        assert (execution.status, execution.reason) == (137, "")


GROWS = "while :; do head -c 20000000 /dev/zero >>grows; : >grows; done"


def test_what_writes_in_the_background_is_gone_before_the_tree_is_packed(sandbox: Sandbox) -> None:
    """One that holds no output open too, and that a kill catches in the middle of a long write."""
    for _ in range(10):
        execute(
            sandbox,
            f"for i in 1 2; do ({GROWS}) >/dev/null 2>&1 & done; until [ -e grows ]; do :; done",
        )
        before = sandbox.observe()
        assert b"".join(sandbox.pack())
        assert sandbox.observe() == before
        execute(sandbox, "rm grows")


@pytest.mark.parametrize("status", [0, 1, 2, 3, 124, 125, 126, 127, 137, 255])
def test_an_exit_status_is_the_commands_own(sandbox: Sandbox, status: int) -> None:
    """Whatever else means 137 elsewhere: this command did not time out, and could be started."""
    fill(sandbox, script(f"exit {status}"))
    execution = execute(sandbox, "./cyber-dojo.sh")
    assert (execution.status, execution.reason) == (status, "")


@pytest.mark.parametrize(("signal", "status"), [("KILL", 137), ("TERM", 143), ("SEGV", 139)])
def test_a_command_that_dies_of_a_signal(sandbox: Sandbox, signal: str, status: int) -> None:
    execution = execute(sandbox, f"kill -{signal} $$")
    assert (execution.status, execution.timed_out, execution.reason) == (status, False, "")


@pytest.mark.parametrize(
    ("files", "command", "reason"),
    [
        ({}, "./missing.sh", "there is no ./missing.sh in the sandbox"),
        (
            {"cyber-dojo.sh": "echo"},
            "./cyber-dojo.sh",
            "./cyber-dojo.sh is not executable; chmod +x it",
        ),
        (
            {"cyber-dojo.sh": "#!/no/sh -e\necho"},
            "./cyber-dojo.sh a",
            "interpreter of ./cyber-dojo.sh, /no/sh,",
        ),
        (
            {"cyber-dojo.sh": "#! /no/sh"},
            "./cyber-dojo.sh",
            "interpreter of ./cyber-dojo.sh, /no/sh,",
        ),
        ({"cyber-dojo.sh": "#!/bin/sh\r\necho"}, "./cyber-dojo.sh", "./cyber-dojo.sh end in CR LF"),
        (
            {"cyber-dojo.sh": "#!/usr/bin/env no\n"},
            "./cyber-dojo.sh",
            "interpreter of ./cyber-dojo.sh, no,",
        ),
        ({}, "no-such-program --all", "the image has no no-such-program"),
        (
            {"cyber-dojo.sh": "#!/no\\nran\\tsh\\c"},
            "./cyber-dojo.sh",
            "interpreter of ./cyber-dojo.sh, /no\\nran\\tsh\\c, is not in the image",
        ),
        ({}, "./missing\\\\c.sh", "there is no ./missing\\\\c.sh in the sandbox"),
    ],
)
def test_a_command_that_cannot_be_started(
    sandbox: Sandbox, files: dict[str, str], command: str, reason: str
) -> None:
    """Has no exit status, but a reason."""
    if files:
        fill(sandbox, files)
    execution = execute(sandbox, command)
    assert execution.status is None
    assert reason in execution.reason
    assert execution.reason.isprintable()


@pytest.mark.parametrize("becomes", ["mkfifo", "mkdir", "truncate -s 500M"])
def test_a_script_that_becomes_something_else_and_exits_127(sandbox: Sandbox, becomes: str) -> None:
    """Has the exit status that it gave, at once: nobody waits for a pipe that nobody fills, or
    reads a file to its end.
    """
    fill(
        sandbox,
        script(f"rm cyber-dojo.sh; {becomes} cyber-dojo.sh; chmod 755 cyber-dojo.sh; exit 127"),
    )
    execution = execute(sandbox, "./cyber-dojo.sh")
    execute(sandbox, "rm -rf cyber-dojo.sh")
    assert (execution.status, execution.reason) == (127, "")


@pytest.mark.parametrize(
    "line", ["#!/usr/bin/env -S sh -e", "#!/usr/bin/env -S A=1 sh", "#!/bin/sh", "# none"]
)
def test_a_script_that_exits_127_by_itself_was_started(sandbox: Sandbox, line: str) -> None:
    """However its interpreter is named."""
    fill(sandbox, {"cyber-dojo.sh": f"{line}\nexit 127\n"})
    execution = execute(sandbox, "chmod +x cyber-dojo.sh; ./cyber-dojo.sh")
    assert (execution.status, execution.reason) == (127, "")
    execution = execute(sandbox, "./cyber-dojo.sh")
    assert (execution.status, execution.reason) == (127, "")


def test_a_sandbox_that_lets_nobody_in_is_the_reason(fresh: Sandbox) -> None:
    """Its folder is the player's to shut, and what follows from it is told."""
    execute(fresh, "chmod 0 .")
    execution = execute(fresh, "./cyber-dojo.sh")
    assert execution.status is None
    assert execution.reason == "the folder of the sandbox cannot be entered; chmod 755 it"


def test_a_guest_that_is_killed_ends_the_test_event_at_once(shared_engine: Engine) -> None:
    """As the kernel does it when memory runs out: an error, which neither waits for the limit nor
    counts as a run past it.
    """
    others = shared_engine.containers.alive() if isinstance(shared_engine, DockerEngine) else set()
    started = time.monotonic()
    with closing(shared_engine.open(SandboxSpec())) as sandbox, ThreadPoolExecutor(1) as other:
        sandbox.get_ready()
        guest = guest_of(shared_engine, sandbox, others)
        killed = other.submit(
            lambda: eventually(lambda: running("sleep\0001000.5"), "it runs") or os.kill(guest, 9)
        )
        with pytest.raises(StreamCut, match="the run-container ended in the middle"):
            sandbox.execute("sleep 1000.5", 1000)
        killed.result()
    assert time.monotonic() - started < 300
    eventually(lambda: not running("sleep\0001000.5"), "what it had started ends")


def guest_of(engine: Engine, sandbox: Sandbox, others: set[str]) -> int:
    """The guest's process on this machine, which is in none of the other containers."""
    if isinstance(engine, DockerEngine):
        untyped: Any = engine.api
        (container,) = engine.containers.alive() - others
        first = untyped.inspect_container(container)["State"]["Pid"]
        children = Path(f"/proc/{first}/task/{first}/children")
        if not children.exists():
            pytest.skip("the engine is on another machine")
        return int(children.read_text().split()[0])
    stream = sandbox.guest.stream
    assert isinstance(stream, ProcessStream)
    return stream.process.pid


def test_what_a_run_keeps_in_its_home_is_told(shared_engine: Engine) -> None:
    """Where the next run does not see it; what it keeps in the sandbox, or elsewhere in HOME, is
    none of it.
    """
    with closing(shared_engine.open(SandboxSpec())) as sandbox:
        assert (
            execute(
                sandbox, "mkdir .cache; HOME=$PWD/.home; mkdir -p $HOME/.npm; touch /tmp/.cargo"
            ).caches
            == ()
        )
        made = execute(
            sandbox, "rm -f /tmp/.cargo; mkdir -p ~/.cargo/registry ~/.cache ~/.other; exit 3"
        )
        execute(sandbox, "rmdir ~/.cargo/registry ~/.cargo ~/.cache ~/.other")
    assert made.status == 3
    lost = shared_engine.isolates
    assert set(made.caches) == ({".cache", ".cargo"} if lost else set())
    assert len(cache_remarks(made.caches)) == lost


def test_python_sees_each_edit_of_a_second(fresh: Sandbox) -> None:
    """It judges bytecode by second and size; so none is kept."""
    if execute(fresh, "python3 -c 'import sys'").status != 0:
        pytest.skip("its image has no python3")
    said = []
    for part in "135":
        fill(
            fresh,
            {"main.py": "import p.a\nprint(p.a.f())\n", "p/a.py": f"def f(): return {part}\n"},
        )
        execution = execute(
            fresh, f"touch -d @1700000000.{part} p/a.py; python3 main.py; find . -name '*.pyc'"
        )
        said.append(execution.stdout)
    assert said == [b"1\n", b"3\n", b"5\n"]


def test_each_engine_gives_a_player_the_same_environment(shared_engine: Engine) -> None:
    """Only what is in it by right: nothing of the harness's own, but the label by which plain
    processes are found.
    """
    with closing(shared_engine.open(SandboxSpec())) as sandbox:
        said = execute(sandbox, "env").stdout.decode()
        folder = execute(sandbox, "pwd").stdout.decode().strip()
    given = dict(line.split("=", 1) for line in said.splitlines() if not line.startswith(PLAYER))
    assert given == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PWD": folder,
    }


def test_a_command_of_two_lines_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(UsageError, match="must be one line"):
        sandbox.execute("echo 1\necho 2", PATIENCE)


def test_closing_twice_is_closing_once(fresh: Sandbox) -> None:
    """Also one that was in the middle of something, and whose stream has gone."""
    fresh.guest.ask(Request.RUN, 60, command=b"sleep 1000.5")
    fresh.kill()
    fresh.close()
    fresh.close()


def test_what_is_ready_runs_like_any_other(fresh: Sandbox) -> None:
    """Got ready before the tree came in, and then again: the command sees the tree, has its own
    status, and ends with what it started.
    """
    fresh.get_ready()
    fill(fresh, script("echo $((1 + $(cat number))); sleep 1000.5 & exit 7", number="1"))
    fresh.get_ready()
    for _ in range(2):  # the second without
        execution = execute(fresh, "./cyber-dojo.sh")
        assert (execution.status, execution.stdout, execution.stderr) == (7, b"2\n", b"")
        assert not running("sleep\0001000.5")


def test_past_its_limit_a_command_is_killed_with_its_container(fresh: Sandbox) -> None:
    """What it printed until then is kept; nothing can be had from the sandbox any more."""
    execution = fresh.execute("echo before; echo error >&2; while :; do :; done", 1.0)
    assert execution.timed_out
    assert (execution.status, execution.stdout, execution.stderr) == (None, b"before\n", b"error\n")
    with pytest.raises(StreamCut):
        list(fresh.pack())


def test_a_stream_cut_in_the_middle_of_a_tree(fresh: Sandbox) -> None:
    """Though all that arrived may look like a tree, it is an error; the kill does not wait for
    somebody to read.
    """
    execute(fresh, "head -c 67108864 /dev/urandom >big")
    pieces = fresh.pack()
    assert next(pieces)
    fresh.kill()
    with pytest.raises(StreamCut, match="the run-container ended in the middle") as cut:
        list(pieces)
    one_line(cut.value)


def test_a_stream_that_is_no_archive_is_told_and_the_next_is_taken(sandbox: Sandbox) -> None:
    """The rest of it is not read as requests."""
    with pytest.raises(StreamCut, match=r"could not unpack the tree \(exit 2\): tar: ") as refusal:
        sandbox.unpack(lambda write: write(b"no archive\npack\n" * 100_000))
    one_line(refusal.value)
    fill(sandbox, {"a": "1"})
    assert execute(sandbox, "cat a").stdout == b"1"


def test_a_sender_that_fails_in_the_middle(fresh: Sandbox) -> None:
    """What it raises passes through."""

    def pump(write: tarpipe.Write) -> None:
        write(bytes(1 << 21))
        raise StreamCut("the keeper has gone")

    with pytest.raises(StreamCut, match="the keeper has gone"):
        fresh.unpack(pump)


def test_more_names_than_the_streams_hold(fresh: Sandbox) -> None:
    """The guest answers the first of them before it has read the last, and both sides go on."""
    names = [f"{number:04}-{'x' * 200}" for number in range(3000)]
    fill(fresh, dict.fromkeys(names, "1"))
    paths = [name.encode() for name in names]
    assert len(set(fresh.digest(paths).values())) == 1
    assert sum(map(len, fresh.pick(paths))) > len(b"".join(paths))
    fresh.delete(paths)
    assert fresh.observe().keys() == {b"."}


def test_who_stops_to_read_what_is_picked_is_not_left_hanging(fresh: Sandbox) -> None:
    """Of the names there are more than all the buffers of an engine hold, so that some can never be
    sent.
    """
    names = [f"{'d' * 250}/{number:04}-{'x' * 240}" for number in range(3000)]
    fill(fresh, dict.fromkeys(names, "1"))
    started = time.monotonic()
    with closing(fresh.pick(name.encode() for name in names)) as picked:
        next(picked)
    assert time.monotonic() - started < PATIENCE
    with pytest.raises(StreamCut):
        fresh.usage()


@pytest.mark.parametrize("shared_engine", ["docker", "docker26", "podman"], indirect=True)
def test_the_guest_finds_out_itself_what_is_left(
    shared_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who ends the player's processes is the player's too, and may be made to say that it has."""
    monkeypatch.setattr(docker_engine, "SWEEPER", "exit 0")
    with closing(shared_engine.open(SandboxSpec())) as sandbox:
        execute(sandbox, "setsid sleep 1000.7 >/dev/null 2>&1 & sleep 0.1")
        assert not running("1000.7")


SOCKETS = """
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(void) {
    struct sockaddr_un name = {AF_UNIX, ""};
    for (int each = 0; each < 9000; each++) {
        int made = socket(AF_UNIX, SOCK_STREAM, 0);
        sprintf(name.sun_path, "socket.%d", each);
        if (bind(made, (struct sockaddr *)&name, sizeof name)) return 1;
        close(made);
    }
    return 0;
}
"""


@pytest.mark.parametrize("make", ["touch -d '+1 hour' $(seq 9000)", "cc -o made made.c && ./made"])
def test_what_tar_says_of_many_files_fills_nothing(shared_engine: Engine, make: str) -> None:
    """The guest's own folder has room for a few thousand lines; a tree comes and goes that tar has
    more to say about.
    """
    with closing(shared_engine.open(SandboxSpec())) as sandbox:
        fill(sandbox, {"made.c": SOCKETS})
        assert execute(sandbox, make).status == 0
        tree = list(sandbox.pack())
    with closing(shared_engine.open(SandboxSpec())) as sandbox:
        sandbox.unpack(lambda write: [write(piece) for piece in tree])
        assert execute(sandbox, "[ -e made.c ]").status == 0


def test_a_listing_has_a_bound(fresh: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A nest of folders is one of any length; cut, it is of no use, and what is asked next is
    answered.
    """
    fill(fresh, dict.fromkeys(map(str, range(100)), "1"))
    whole = fresh.listing()
    monkeypatch.setattr(sandbox_module, "LISTING", 1000)
    with pytest.raises(StreamCut, match="could not list the tree"):
        fresh.listing()
    monkeypatch.undo()
    assert fresh.listing().records == whole.records


@pytest.mark.parametrize("how", ["pack", "pick"])
def test_a_stream_has_a_bound(
    shared_engine: Engine, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """In a nest of folders the headers of each are as long as all above it together."""
    monkeypatch.setattr(sandbox_module, "STREAM", 1)
    with closing(shared_engine.open(SandboxSpec(limits=Limits(sandbox=100_000)))) as sandbox:
        execute(sandbox, "for i in $(seq 200); do : >$i; done")
        packed = (
            sandbox.pack()
            if how == "pack"
            else sandbox.pick(b"%d" % number for number in range(1, 201))
        )
        with pytest.raises(EngineError, match="too large to bring back") as error:
            list(packed)
        one_line(error.value)


def test_a_whole_test_event_has_a_bound(shared_engine: Engine) -> None:
    """Whatever hangs: here a command with more time than the test event itself."""
    with closing(shared_engine.open(SandboxSpec(limits=Limits(event_seconds=2.0)))) as sandbox:
        with pytest.raises(
            EngineError, match="the whole test event took longer than 2 seconds"
        ) as error:
            sandbox.execute("sleep 1000", 1000.0)
        one_line(error.value)


def test_a_sandbox_that_was_never_used_is_closed(shared_engine: Engine) -> None:
    shared_engine.open(SandboxSpec()).close()


class Scripted:
    """A stream whose other side says these pieces and then ends."""

    def __init__(self, pieces: list[tuple[int, bytes]]) -> None:
        self._pieces = pieces
        self.written = bytearray()
        self.killed = self.closed = False

    def write(self, data: bytes, deadline: float) -> None:
        self.written += data

    def close_write(self) -> None: ...

    def read(self, deadline: float) -> tuple[int, bytes]:
        return self._pieces.pop(0) if self._pieces else (0, b"")

    def kill(self) -> None:
        self.killed = True

    def close(self) -> None:
        self.closed = True


def scripted(answer: Callable[[bytes], list[tuple[int, bytes]]]) -> tuple[Sandbox, Scripted]:
    """A sandbox whose guest answers so, given the nonce."""
    stream = Scripted([])
    sandbox = Sandbox(lambda: stream, Limits())
    stream._pieces = answer(sandbox.guest.nonce)
    return sandbox, stream


RAN = b"\nNONCE started\nout NONCE ran\n \n\nNONCE ran 3 \n"
COMPLAINED = b"err\n\nNONCE ran\n"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
def test_an_answer_may_arrive_in_any_pieces(size: int) -> None:
    """However the streams are cut up and mixed; the nonce is a mark only at the beginning of a
    line.
    """

    def pieces(source: int, text: bytes, nonce: bytes) -> list[tuple[int, bytes]]:
        text = text.replace(b"NONCE", nonce)
        return [(source, text[start : start + size]) for start in range(0, len(text), size)]

    def mixed(nonce: bytes) -> list[tuple[int, bytes]]:
        both = itertools.zip_longest(pieces(1, RAN, nonce), pieces(2, COMPLAINED, nonce))
        return [each for pair in both for each in pair if each]

    sandbox, _ = scripted(mixed)
    execution = sandbox.execute("true", PATIENCE)
    assert execution.stdout == b"out %b ran\n \n" % sandbox.guest.nonce
    assert execution.stderr == b"err\n"
    assert execution.status == 3


def test_an_answer_that_is_cut_anywhere_is_no_answer() -> None:
    """Not one byte of the end line may lack."""
    for kept in range(len(b"\n packed 0\n") + 32):  # the nonce is 32 bytes long
        sandbox, stream = scripted(
            lambda nonce, kept=kept: [(1, (b"tree\n%b packed 0\n" % nonce)[: 4 + kept])]
        )
        with pytest.raises(StreamCut):
            list(sandbox.pack())
        sandbox.close()
        assert stream.closed
    assert stream.killed, "a guest that still owes an answer is not left to itself"


def test_what_a_dying_guest_says_is_the_reason() -> None:
    sandbox, _ = scripted(lambda nonce: [(2, b"sh: 1: Cannot\n fork\n")])
    with pytest.raises(StreamCut, match=r"ended in the middle: sh: 1: Cannot fork$"):
        sandbox.observe()


def test_a_start_that_failed_is_reported_once_and_closed_quietly() -> None:
    """Closing neither tries again, nor hides the error that is on its way."""
    tried = []

    def fail() -> Scripted:
        tried.append(time.monotonic())
        raise EngineError("no room")

    with pytest.raises(EngineError, match="no room"), closing(Sandbox(fail, Limits())) as sandbox:
        sandbox.wait()
    assert len(tried) == 1


def test_a_start_that_hangs_is_an_error_like_any_other() -> None:
    def hang() -> Scripted:
        raise TimeoutError

    with (
        pytest.raises(EngineError, match="longer than 600 seconds"),
        closing(Sandbox(hang, Limits())) as sandbox,
    ):
        sandbox.wait()


def test_nothing_is_left_of_a_sandbox(shared_engine: Engine) -> None:
    """Neither container nor process nor folder, after normal use and after an error in the
    middle.
    """

    def interrupted() -> None:
        with closing(shared_engine.open(SandboxSpec())) as sandbox:
            execute(sandbox, "head -c 20000000 /dev/zero >big")
            next(sandbox.pack())
            raise KeyboardInterrupt

    before = set(shared_engine.traces())
    with closing(shared_engine.open(SandboxSpec())) as sandbox:
        execute(sandbox, "true")
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    eventually(lambda: set(shared_engine.traces()) <= before, "everything is gone")


def test_what_an_engine_has_started_is_told_until_it_has_gone(engine: Engine) -> None:
    before = set(engine.traces())
    with closing(engine.open(SandboxSpec())) as sandbox:
        sandbox.wait()
        assert set(engine.traces()) - before
    eventually(lambda: not set(engine.traces()) - before, "everything is gone")


def test_an_engine_is_the_same_in_another_process(engine: Engine) -> None:
    """It reaches the same, by itself: what it starts is its own."""
    with closing(pickle.loads(pickle.dumps(engine))) as other:
        assert other.describe() == engine.describe()
        assert other.isolates == engine.isolates
        before = set(other.traces())
        with closing(other.open(SandboxSpec())) as sandbox:
            sandbox.wait()
            assert set(other.traces()) - before


def test_a_sandbox_can_be_listened_to(engine: Engine) -> None:
    """What is put between it and its stream sees every byte, and can stop them."""
    seen: list[Stream] = []

    def wrap(stream: Stream) -> Stream:
        seen.append(stream)
        return stream

    with closing(engine.open(SandboxSpec())) as sandbox:
        sandbox.wrap(wrap)
        assert not seen
        sandbox.wait()
        sandbox.wait()
    assert len(seen) == 1


def test_what_the_processes_of_a_command_used_is_counted(fresh: Sandbox) -> None:
    """Processor time grows with what the command computes, in its children too; memory, where
    somebody counts it, holds what it held, even what it has let go of.
    """
    before = fresh.usage()
    execute(fresh, "true")
    idle = fresh.usage()
    execute(fresh, "sh -c 'i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done'")
    execute(fresh, "head -c 40000000 /dev/zero >/tmp/zeros; rm /tmp/zeros")
    busy = fresh.usage()
    assert before.processor_ns is not None
    assert idle.processor_ns is not None
    assert busy.processor_ns is not None
    assert before.processor_ns <= idle.processor_ns
    assert busy.processor_ns - idle.processor_ns > 2 * (idle.processor_ns - before.processor_ns)
    if busy.memory is not None:
        assert busy.memory > 40_000_000


def test_usage_is_read_from_what_either_kind_of_control_group_and_the_shell_print() -> None:
    """What nobody counts is None, never 0."""
    assert ResourceUsage.parse(b"processor 1234000\nmemory 4096\n") == ResourceUsage(
        1_234_000, 4096
    )
    assert ResourceUsage.parse(b"processor 1234000\nmemory \n") == ResourceUsage(1_234_000, None)
    assert ResourceUsage.parse(b"0m0.01s 0m0.02s\n1m2.50s 0m0.25s\n") == ResourceUsage(
        62_780_000_000, None
    )
    assert ResourceUsage.parse(b"") == ResourceUsage(None, None)
