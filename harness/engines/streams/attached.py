"""The hijacked connection of `docker attach`: stdin one way, framed stdout and stderr the other.

A frame is one byte of stream type, three zero bytes, four bytes of big-endian length, then the data
(Docker Engine API, "ContainerAttach").
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from harness.engines.streams import READ_BYTES, remaining, send_all
from harness.engines.streams.forks import Origin

_KILL_SECONDS = 10.0
"""Seconds to go on reading from a container that is being killed and prints nothing."""

HEADER = struct.Struct(">BxxxL")
"""The header of a frame: stream type and length."""


class DockerStream:
    """The stream of one attached container."""

    def __init__(
        self,
        attached: Any,
        kill: Callable[[], None],
        *,
        stop: Callable[[], None] = lambda: None,
        remove: Callable[[], None] = lambda: None,
    ) -> None:
        """`attached` is a socket, or docker-py's attach_socket's result; `kill` ends the container.

        The object keeps the latter, because its garbage collection would close the connection.
        `stop` and `remove` end the container as others do; see Removable.
        """
        self._attached = attached
        self._socket: socket.socket = getattr(attached, "_sock", attached)
        self._kill = kill
        self._others = stop, remove
        self._origin = Origin()
        self._reading = threading.Lock()  # held during a read
        self._data = memoryview(bytearray(READ_BYTES))
        # The part of _data that is not read yet.
        self._start, self._end = 0, 0
        # The current frame: its stream, and how many of its bytes are left.
        self._source, self._left = 0, 0

    def write(self, data: bytes, deadline: float) -> None:
        self._origin.require("stream")
        send_all(self._socket, data, deadline)

    def close_write(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def read(self, deadline: float) -> tuple[int, bytes]:
        self._origin.require("stream")
        with self._reading:
            return self._read(deadline)

    def _read(self, deadline: float) -> tuple[int, bytes]:
        while True:
            available = self._end - self._start
            if self._left and available:
                size = min(self._left, available)
                piece = bytes(self._data[self._start : self._start + size])
                self._start += size
                self._left -= size
                return self._source, piece
            if not self._left and available >= HEADER.size:
                self._source, self._left = HEADER.unpack_from(self._data, self._start)
                self._start += HEADER.size
                continue
            if not self._receive(deadline):
                return 0, b""

    def kill(self) -> None:
        if not self._origin.is_here():
            return
        # The engine answers once the container is dead, and counts it as dead once its output is
        # read.
        killing = threading.Thread(target=self._kill)
        killing.start()
        if self._reading.acquire(blocking=False):  # otherwise another thread reads the output
            with contextlib.suppress(TimeoutError):
                while self._receive(time.monotonic() + _KILL_SECONDS):
                    self._start = self._end
            self._reading.release()
        killing.join()

    def stop(self) -> None:
        self._others[0]()

    def remove(self) -> None:
        self._others[1]()

    def close(self) -> None:
        if self._origin.is_here():
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._attached.close()
        self._socket.close()

    def _receive(self, deadline: float) -> bool:
        kept = self._end - self._start  # at most part of a header
        self._data[:kept] = self._data[self._start : self._end]
        self._start, self._end = 0, kept
        try:
            self._socket.settimeout(remaining(deadline))
            size = self._socket.recv_into(self._data[kept:])
        except TimeoutError:
            raise
        except OSError:
            return False  # the connection was reset, or another thread has closed it
        self._end += size
        return size > 0
