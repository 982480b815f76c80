"""What was made before a fork is of no use after it in the fork, and whatever the fork closes is
not closed for the other.
"""

from __future__ import annotations

import os
import socket
import traceback
import warnings
from collections.abc import Callable
from contextlib import closing

import pytest

from harness.engines.streams import ProcessStream, Stream
from harness.engines.streams.attached import HEADER, DockerStream
from harness.engines.streams.forks import Origin
from harness.inside.errors import UsageError
from tests.support import one_line, soon


def in_a_fork(call: Callable[[], object]) -> None:
    """It must not raise there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork where there are threads
        child = os.fork()
    if not child:
        try:
            call()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_fork_is_told() -> None:
    """In one line, with what to do."""
    origin = Origin()
    origin.require("runner")
    assert origin.is_here()

    def fork() -> None:
        assert not origin.is_here()
        with pytest.raises(
            UsageError, match=r"was opened by process .*; open another one after the fork"
        ) as told:
            origin.require("runner")
        one_line(told.value)

    in_a_fork(fork)


def give_up(stream: Stream) -> None:
    for attempt in (lambda: stream.write(b"x", soon()), lambda: stream.read(soon())):
        with pytest.raises(UsageError):
            attempt()
    stream.kill()
    stream.close()


def test_a_process_goes_on_when_a_fork_closes_its_stream() -> None:
    environment = {"PATH": "/usr/bin:/bin"}
    with closing(
        ProcessStream(["sh", "-c", "read line; echo got $line"], environment=environment)
    ) as stream:
        in_a_fork(lambda: give_up(stream))
        stream.write(b"it\n", soon())
        assert stream.read(soon()) == (1, b"got it\n")


def test_the_end_of_the_input_is_seen_though_a_fork_holds_on() -> None:
    """A fork that lives on, as a worker does, has a copy of the socket."""
    command = ["sh", "-c", "trap 'exit 7' TERM; cat >/dev/null; exit 5"]
    stream = ProcessStream(command, environment={"PATH": "/usr/bin:/bin"})
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.read(ours, 1)
        os._exit(0)
    stream.close()
    os.write(theirs, b"x")
    os.waitpid(child, 0)
    os.close(ours)
    os.close(theirs)
    assert stream.process.returncode == 5, "it ended by itself"


def test_an_attached_container_goes_on_when_a_fork_closes_its_stream() -> None:
    ours, theirs = socket.socketpair()
    killed: list[str] = []

    class Attached:
        _sock = ours

        def close(self) -> None:
            ours.close()

    with theirs, closing(DockerStream(Attached(), lambda: killed.append("killed"))) as stream:

        def fork() -> None:
            give_up(stream)
            assert not killed

        in_a_fork(fork)
        theirs.sendall(HEADER.pack(1, 2) + b"on")
        assert stream.read(soon()) == (1, b"on")
        stream.write(b"too", soon())
        assert theirs.recv(3) == b"too"
