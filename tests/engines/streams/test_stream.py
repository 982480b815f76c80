"""The stream of a child process: both ways at once, half-closed, killed, and never waited for
without a bound.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from harness.engines.streams import ProcessStream, Stream
from harness.inside.errors import EngineError, StreamCut
from tests.support import eventually, one_line, running, soon

MEGABYTES = 20
PIECE = bytes(range(256)) * 4096


@pytest.fixture
def start() -> Iterator[Callable[..., ProcessStream]]:
    """Starts a shell command; whatever it is, it ends with the test."""
    started: list[ProcessStream] = []

    def start_it(command: str) -> ProcessStream:
        stream = ProcessStream(["sh", "-c", command], environment={"PATH": "/usr/bin:/bin"})
        started.append(stream)
        return stream

    yield start_it
    for each in started:
        each.kill()
        each.close()


def read_all(stream: Stream) -> tuple[bytes, bytes]:
    """Everything until the end, on stdout and on stderr."""
    found = {1: bytearray(), 2: bytearray()}
    while (piece := stream.read(soon()))[0]:
        found[piece[0]] += piece[1]
    return bytes(found[1]), bytes(found[2])


@contextmanager
def sending(stream: Stream, pieces: int) -> Iterator[None]:
    """Another thread sends this many pieces, then the end of input."""

    def send() -> None:
        for _ in range(pieces):
            stream.write(PIECE, soon())
        stream.close_write()

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        sender.join()


def test_both_ways_at_once(start: Callable[..., ProcessStream]) -> None:
    """More than any pipe holds goes in while as much comes out: neither side waits for the other
    for ever.
    """
    stream = start("cat")
    with sending(stream, MEGABYTES):
        out, err = read_all(stream)
    assert out == PIECE * MEGABYTES
    assert err == b""


def test_half_closed(start: Callable[..., ProcessStream]) -> None:
    """The end of the input does not end the output."""
    stream = start("wc -c; echo done >&2")
    stream.write(b"12345", soon())
    stream.close_write()
    assert read_all(stream) == (b"5\n", b"done\n")


def test_stderr_is_apart(start: Callable[..., ProcessStream]) -> None:
    stream = start("for i in 1 2 3; do echo out $i; echo err $i >&2; done")
    assert read_all(stream) == (b"out 1\nout 2\nout 3\n", b"err 1\nerr 2\nerr 3\n")


def test_a_killed_process_ends_the_read(start: Callable[..., ProcessStream]) -> None:
    """What it said before is not lost."""
    stream = start("echo before; sleep 1000")
    assert stream.read(soon()) == (1, b"before\n")
    stream.kill()
    assert read_all(stream) == (b"", b"")


def test_the_end_of_the_process_ends_the_read_whoever_holds_its_outputs(
    start: Callable[..., ProcessStream],
) -> None:
    """A guest that is killed leaves others behind, which would keep the harness waiting. What it
    said before is not lost.
    """
    stream = start("sleep 25.75 & head -c 200000 /dev/zero; kill -9 $$")
    assert read_all(stream) == (bytes(200000), b"")
    assert running("25.75")


def test_a_kill_takes_the_descendants_too(start: Callable[..., ProcessStream]) -> None:
    stream = start("sleep 1000.25 & sleep 1000.25 & echo; wait")
    stream.read(soon())
    assert running("1000.25")
    stream.kill()
    eventually(lambda: not running("1000.25"), "the descendants end")


def test_a_deadline_ends_a_read_and_not_the_stream(start: Callable[..., ProcessStream]) -> None:
    stream = start("read line; echo got $line")
    for deadline in (time.monotonic() + 0.05, time.monotonic() - 1):
        with pytest.raises(TimeoutError):
            stream.read(deadline)
    stream.write(b"it\n", soon())
    assert read_all(stream) == (b"got it\n", b"")


def test_a_deadline_ends_a_write_that_nobody_reads(start: Callable[..., ProcessStream]) -> None:
    stream = start("sleep 1000")
    with pytest.raises(StreamCut, match="did not read in time"):
        stream.write(PIECE, time.monotonic() + 0.1)


def test_a_write_to_a_process_that_has_gone(start: Callable[..., ProcessStream]) -> None:
    stream = start("exit 3")
    assert read_all(stream) == (b"", b"")
    with pytest.raises(StreamCut, match="has gone: Broken pipe"):
        stream.write(PIECE, soon())


def test_a_process_that_ignores_the_end_of_its_input_is_killed() -> None:
    """After close nothing is left of it, and it has been waited for: no zombie."""
    stream = ProcessStream(["sh", "-c", "sleep 1000"], environment={"PATH": "/usr/bin:/bin"})
    stream.close()
    assert stream.process.returncode == -9


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(
        EngineError, match="no-such-program cannot be started: No such file"
    ) as refusal:
        ProcessStream(["no-such-program"], environment={})
    one_line(refusal.value)


def test_nothing_but_the_given_environment_is_passed_on() -> None:
    with closing(ProcessStream(["/usr/bin/env"], environment={"A": "1"})) as stream:
        assert read_all(stream) == (b"A=1\n", b"")
