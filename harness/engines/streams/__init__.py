"""The duplex stream between the harness and a guest or a keeper."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import selectors
import socket
import subprocess
import time
from typing import Protocol

from harness.engines.streams.forks import Origin
from harness.inside.errors import EngineError, StreamCut

READ_BYTES = 1 << 18
"""Bytes of one read; the kernel returns what the pipe or socket holds."""


_ONCE_SECONDS = 1e6
"""How long to wait at once, in seconds: the kernel counts milliseconds in 31 bits."""

_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None)


class Stream(Protocol):
    """Works both ways at once: one thread may write while another reads."""

    def write(self, data: bytes, deadline: float) -> None:
        """Send all of `data`.

        Raises StreamCut if the other side stops reading, or the deadline (monotonic seconds)
        passes.
        """

    def close_write(self) -> None:
        """End the input of the other side. Reading goes on."""

    def read(self, deadline: float) -> tuple[int, bytes]:
        """Return the next piece: (1, data) of stdout, (2, data) of stderr, (0, b"") at their end.

        Raises TimeoutError if the deadline (monotonic seconds) passes first.
        """

    def kill(self) -> None:
        """Kill the other side, and everything that it started."""

    def close(self) -> None:
        """Close the stream. The other side sees the end of its input."""


class Removable(Stream, Protocol):
    """A stream to a container, which others can end without asking the harness."""

    def stop(self) -> None:
        """Have the engine stop the container, as by `docker stop --time 0`."""

    def remove(self) -> None:
        """Have the engine remove the container, as by `docker rm --force`."""


def remaining(deadline: float) -> float:
    """Return the seconds until `deadline`, but no more than can be waited for at once.

    Raises TimeoutError if it has passed.
    """
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return min(seconds, _ONCE_SECONDS)


def take(buffer: bytearray, size: int) -> bytes:
    """Remove the first bytes of a buffer, at most `size`, and return them. Copies them once."""
    with memoryview(buffer) as view:
        taken = bytes(view[:size])
    del buffer[:size]
    return taken


class ProcessStream:
    """The stream of a child process, which leads its own process group."""

    def __init__(
        self,
        arguments: list[str],
        *,
        environment: dict[str, str],
        folder: str | None = None,
        adopts: bool = False,
    ) -> None:
        """Start the process.

        With `adopts`, it becomes the parent of its descendants when their own parents end
        (prctl(2), PR_SET_CHILD_SUBREAPER), so that none gets lost. Raises EngineError if it cannot
        be started.
        """
        self.origin = Origin()
        ours, theirs = socket.socketpair()
        try:
            self.process = subprocess.Popen(
                arguments,
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd=folder,
                start_new_session=True,
                preexec_fn=_adopt if adopts else None,  # noqa: PLW1509 - a system call, and no lock
            )
        except OSError as error:
            ours.close()
            raise EngineError(f"{arguments[0]} cannot be started: {error.strerror}") from error
        finally:
            theirs.close()
        self._socket = ours
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._outputs = (self.process.stdout, self.process.stderr)
        self._selector = selectors.DefaultSelector()
        for number, file in enumerate(self._outputs, 1):
            self._selector.register(file, selectors.EVENT_READ, number)
        self._end = os.fdopen(os.pidfd_open(self.process.pid), "rb", buffering=0)
        self._selector.register(self._end, selectors.EVENT_READ, 0)

    def write(self, data: bytes, deadline: float) -> None:
        self.origin.require("stream")
        send_all(self._socket, data, deadline)

    def close_write(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def read(self, deadline: float) -> tuple[int, bytes]:
        self.origin.require("stream")
        while any(key.data for key in self._selector.get_map().values()):
            ready = [key for key, _ in self._selector.select(remaining(deadline))]
            for key in ready:
                if key.data and (data := os.read(key.fd, READ_BYTES)):
                    return int(key.data), data
                if key.data:
                    self._selector.unregister(key.fileobj)
            # It has ended and its output is read. Other processes that hold the outputs do not
            # count.
            if ready and not any(key.data for key in ready):
                break
        return 0, b""

    def kill(self) -> None:
        if self.origin.is_here() and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, 9)

    def close(self) -> None:
        # Needed because a fork may keep the socket open, which would hide the end of the input.
        if self.origin.is_here():
            self.close_write()
        self._socket.close()
        self._selector.close()
        for file in (*self._outputs, self._end):
            file.close()
        if not self.origin.is_here():
            return
        try:
            self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()


def _adopt() -> None:
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def send_all(connection: socket.socket, data: bytes, deadline: float) -> None:
    """Send `data` through a socket.

    Raises StreamCut at the deadline, or if the other end has closed its half. An engine keeps the
    connection of a dead container for half a minute or more, and reads nothing. The only sign is
    the end of the container's output, and it comes at once.
    """
    poll = select.poll()
    poll.register(connection, select.POLLOUT | select.POLLRDHUP)
    left = memoryview(data)
    try:
        while left:
            happened = poll.poll(remaining(deadline) * 1000)
            if happened and not happened[0][1] & select.POLLOUT:
                raise StreamCut("the other end of the stream has gone: it no longer reads")
            if happened:
                connection.settimeout(remaining(deadline))
                left = left[connection.send(left) :]
    except TimeoutError as error:
        raise StreamCut("the other end of the stream did not read in time") from error
    except OSError as error:
        raise StreamCut(f"the other end of the stream has gone: {error.strerror}") from error
