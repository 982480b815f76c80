"""The framed stream of an attached container: frames cut anywhere, both ways at once, and the end
of the other side.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from harness.engines.docker import images
from harness.engines.docker.engine import DockerEngine
from harness.engines.streams import READ_BYTES
from harness.engines.streams.attached import HEADER, DockerStream
from harness.inside.errors import StreamCut
from tests.support import eventually, soon

MEGABYTES = 20
LONG = 20.0
"""Seconds: less than an engine may take to close the connection of a container that has died."""

PIECE = bytes(range(256)) * 4096


class Attached:
    """One end of a connection, as docker-py hands it over, with the other end in `theirs`."""

    def __init__(self) -> None:
        self._sock, self.theirs = socket.socketpair()

    def close(self) -> None:
        self._sock.close()


@pytest.fixture
def attached() -> Iterator[Attached]:
    ends = Attached()
    yield ends
    ends.close()
    ends.theirs.close()


@pytest.fixture
def stream(attached: Attached) -> Iterator[DockerStream]:
    with closing(DockerStream(attached, lambda: None)) as opened:
        yield opened


def frame(source: int, data: bytes) -> bytes:
    return HEADER.pack(source, len(data)) + data


def joined(stream: DockerStream) -> dict[int, bytes]:
    """Everything until the end, by its source."""
    found: dict[int, list[bytes]] = {}
    while (piece := stream.read(soon()))[0]:
        found.setdefault(piece[0], []).append(piece[1])
    return {source: b"".join(pieces) for source, pieces in found.items()}


FRAMES = frame(1, b"out ") + frame(2, b"err ") + frame(1, b"") + frame(1, b"put") + frame(2, b"or")


@pytest.mark.parametrize("size", range(1, len(FRAMES) + 1))
def test_a_frame_may_be_cut_anywhere(size: int, attached: Attached, stream: DockerStream) -> None:
    """How the bytes are grouped on their way means nothing; an empty frame is no end."""
    pieces = [FRAMES[start : start + size] for start in range(0, len(FRAMES), size)]
    found: dict[int, bytes] = {}
    for each in pieces:
        attached.theirs.sendall(each)
        try:
            while (piece := stream.read(time.monotonic() + 0.001))[0]:
                found[piece[0]] = found.get(piece[0], b"") + piece[1]
        except TimeoutError:
            pass
    attached.theirs.close()
    for source, data in joined(stream).items():
        found[source] = found.get(source, b"") + data
    assert found == {1: b"out put", 2: b"err or"}


@pytest.mark.parametrize(
    "size", [1, 1000, READ_BYTES - HEADER.size - 3, READ_BYTES, READ_BYTES * 2 + 1]
)
def test_frames_of_any_size_follow_each_other(
    size: int, attached: Attached, stream: DockerStream
) -> None:
    """Smaller and larger than what is read at once, and a header on the border between two
    reads.
    """
    sent = [bytes([number]) * size for number in range(20)]

    def send() -> None:
        for number, each in enumerate(sent):
            attached.theirs.sendall(frame(1 + number % 2, each))
        attached.theirs.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    assert joined(stream) == {1: b"".join(sent[::2]), 2: b"".join(sent[1::2])}
    sender.join()


@pytest.mark.parametrize("kept", range(len(frame(1, b"half"))))
def test_the_end_in_the_middle_of_a_frame_is_the_end(
    kept: int, attached: Attached, stream: DockerStream
) -> None:
    """What arrived is handed on; whether it was all is for the reader's own end marker to say."""
    attached.theirs.sendall(frame(1, b"half")[:kept])
    attached.theirs.close()
    assert joined(stream) == ({1: b"half"[: kept - HEADER.size]} if kept > HEADER.size else {})


def test_a_deadline_ends_a_read_and_not_the_stream(
    attached: Attached, stream: DockerStream
) -> None:
    for deadline in (time.monotonic() + 0.05, time.monotonic() - 1):
        with pytest.raises(TimeoutError):
            stream.read(deadline)
    attached.theirs.sendall(frame(1, b"late"))
    assert stream.read(soon()) == (1, b"late")


def test_a_write_to_an_engine_that_has_gone(attached: Attached, stream: DockerStream) -> None:
    attached.theirs.close()
    with pytest.raises(StreamCut, match="has gone"):
        stream.write(PIECE, soon())


def test_a_write_that_nobody_reads(stream: DockerStream) -> None:
    with pytest.raises(StreamCut, match="did not read in time"):
        stream.write(PIECE * 8, time.monotonic() + 0.1)


def test_a_write_to_a_container_that_has_died(attached: Attached, stream: DockerStream) -> None:
    """The engine has told the end of its output, and reads no more, but still holds the connection:
    this is no time to wait, though there is something left to be read.
    """
    attached.theirs.sendall(FRAMES)
    attached.theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(StreamCut, match="no longer reads"):
        stream.write(PIECE * 8, soon())


def test_closing_ends_the_other_sides_input(attached: Attached, stream: DockerStream) -> None:
    stream.close()
    assert attached.theirs.recv(1) == b""


@pytest.fixture
def start(docker_engine: DockerEngine) -> Iterator[Callable[[str], DockerStream]]:
    """Starts a shell command in a container, which ends with the test."""
    started: list[DockerStream] = []

    def start_it(command: str) -> DockerStream:
        stream = docker_engine.containers.start(
            "a test",
            image=images.RUN_IMAGE,
            entrypoint=["sh", "-c", command],
            mounts=[],
            cap_add=[],
            tmpfs={},
        )
        started.append(stream)
        return stream

    yield start_it
    for each in started:
        each.kill()
        each.close()


def test_both_ways_at_once_through_an_engine(start: Callable[[str], DockerStream]) -> None:
    """20 MB to a reader that writes back, then the end of the input, after which the rest still
    comes.
    """
    stream = start("cat; echo end >&2")

    def send() -> None:
        for _ in range(MEGABYTES):
            stream.write(PIECE, soon())
        stream.close_write()

    sender = threading.Thread(target=send)
    sender.start()
    found = joined(stream)
    sender.join()
    assert found[1] == PIECE * MEGABYTES
    assert found[2] == b"end\n"


def test_a_container_that_dies_while_it_is_written_to(start: Callable[[str], DockerStream]) -> None:
    """It is noticed at once, not when the engine has given up passing on what nobody reads."""
    stream = start("head -c 10 >/dev/null; echo last words")
    with pytest.raises(StreamCut, match="has gone"):
        stream.write(PIECE * MEGABYTES, time.monotonic() + LONG)
    assert joined(stream) == {1: b"last words\n"}


def test_a_killed_container_ends_the_read(
    docker_engine: DockerEngine, start: Callable[[str], DockerStream]
) -> None:
    """The container itself is killed, not only the connection to it; what it said before is not
    lost.
    """
    stream = start("echo before; exec sleep 1000")
    assert stream.read(soon()) == (1, b"before\n")
    stream.kill()
    assert joined(stream) == {}
    eventually(lambda: not docker_engine.traces(), "the container goes")
