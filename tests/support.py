"""What several tests need: to wait for what is asynchronous, to play test events, and an engine
that dies.
"""

from __future__ import annotations

import contextlib
import secrets
import selectors
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from hypothesis import settings

from harness import runners
from harness.engines import Engine, Sandbox
from harness.inside import tarpipe
from harness.inside.layout import Avatar
from harness.inside.store import Katas
from harness.inside.tree import Entry
from harness.katas.visible import VisibleFiles
from harness.runners.base import BaseRunner
from harness.runners.run import Outcome, Run

on_disk = settings(max_examples=20, deadline=None)
"""For a property whose examples touch a disk: fewer of them, and no deadline that a busy machine
could miss.
"""

PATIENCE = 30.0
"""Seconds that a test waits for what must come; it fails then, so that it never hangs."""


def eventually(true: Callable[[], object], what: str) -> None:
    """Wait until it is true; engines remove containers, and kernels processes, some time after
    their end.
    """
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def soon() -> float:
    """A deadline for a stream."""
    return time.monotonic() + PATIENCE


def one_line(error: BaseException) -> str:
    """What the error says, which must be one clear line."""
    said = str(error)
    assert said
    assert "\n" not in said
    return said


def running(marker: str) -> bool:
    """Whether a process on this machine has `marker` in its command line."""
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if marker.encode() in each.read_bytes():
                return True
    return False


def fill(sandbox: Sandbox, files: Mapping[str, str | bytes]) -> None:
    """Unpack these files into a sandbox."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        VisibleFiles(files).write(folder)
        sandbox.unpack(lambda write: tarpipe.pack(folder, write))


def make_runner(name: str, engine: Engine, **options: object) -> BaseRunner:
    """A runner with temporary katas."""
    kind = runners.find(name)
    katas = kind.open_katas(engine, None)
    try:
        return kind(engine, katas, **options)
    except BaseException:
        katas.close()
        raise


def an_avatar() -> Avatar:
    """One that nobody has used before, so that tests can share their katas."""
    return Avatar("".join(secrets.choice("0123456789ABCDEF") for _ in range(10)))


def script(text: str, **files: str | bytes) -> dict[str, str | bytes]:
    """Visible files: this cyber-dojo.sh, and others."""
    return {"cyber-dojo.sh": "#!/bin/sh\n" + text, **files}


def completed(run: Run) -> Run:
    """The same run; it must have completed."""
    assert run.outcome == Outcome.COMPLETED, run
    return run


def play(runner: BaseRunner, avatar: Avatar, text: str, **files: str | bytes) -> Run:
    """A test event that completes."""
    return completed(runner.run(avatar, script(text, **files), max_seconds=60))


def snapshot(katas: Katas, avatar: Avatar) -> Mapping[bytes, Entry]:
    """What the katas hold of the avatar's sandbox, contents included."""
    with closing(katas.event(avatar)) as event:
        return event.snapshot(contents=True)


class Proxy:
    """A Docker engine that can die: a unix socket in front of the real one."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.host = f"unix://{folder / 'engine.sock'}"
        self._engine = engine.removeprefix("unix://")
        self._fatal = b""
        self._connections: list[socket.socket] = []
        self._lock = threading.Lock()
        self._alive = True
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "engine.sock"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def die_at(self, words: bytes) -> None:
        """Die as soon as these words come by, in whichever direction; they do not arrive."""
        self._fatal = words

    def die(self) -> None:
        """Cut every connection, and take no more."""
        with self._lock:
            self._alive = False
            for each in self._connections:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._connections.clear()

    def come_back(self) -> None:
        self._fatal = b""
        self._alive = True

    def died(self) -> bool:
        return not self._alive

    def close(self) -> None:
        self.die()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                theirs, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[theirs], daemon=True).start()

    def _serve(self, theirs: socket.socket) -> None:
        with theirs, socket.socket(socket.AF_UNIX) as ours, selectors.DefaultSelector() as ready:
            with self._lock:
                if not self._alive:
                    return
                self._connections += [theirs, ours]
            with contextlib.suppress(OSError):
                ours.connect(self._engine)
                ready.register(theirs, selectors.EVENT_READ, ours)
                ready.register(ours, selectors.EVENT_READ, theirs)
                while ready.get_map():
                    for key, _ in ready.select():
                        self._pass_on(key, ready)

    def _pass_on(self, key: selectors.SelectorKey, ready: selectors.BaseSelector) -> None:
        source, target = key.fileobj, key.data
        assert isinstance(source, socket.socket)
        data = source.recv(1 << 16)
        if self._fatal and self._fatal in data:
            self.die()
        elif data:
            target.sendall(data)
        else:
            ready.unregister(source)
            target.shutdown(socket.SHUT_WR)
