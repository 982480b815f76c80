"""A fake engine: sandboxes in folders of this machine, served by this process.

    engine = FakeEngine(tmp_path)
    engine.inject(KillAt(request=2))        # the next run-container dies at its second request
    engine.clock = Clock(ahead_ns=3600 * 10**9)
    with closing(KatasDataContainer(engine, KatasDataContainer.open_katas(engine, None))) as runner:
        runner.run(Avatar(), files)

It speaks the protocol of real guests and keepers, so it exercises everything that talks to an
engine: the tar-pipe, the end markers, the keeper's messages. You choose its faults and its clock.

It does not isolate, and claims no isolation. It starts no process for a sandbox or a keeper: a test
event starts tar and the player's program; with a `player` in Python, not even the program.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.engines import Sandbox, SandboxSpec, Volume
from harness.engines.folders import remove_folder, temporary_folder
from harness.engines.guest.environment import players
from harness.engines.local.engine import LocalEngine
from harness.engines.spec import Mount, Overlay, PartOfVolume, WholeVolume
from harness.engines.streams import READ_BYTES, Stream, remaining, send_all
from harness.inside import tarpipe
from harness.inside.channel import Channel
from harness.inside.errors import EngineError, HarnessError, StreamCut
from harness.inside.keeper import Keeper
from harness.inside.tree import snapshot, walk
from harness.verify.testing.faults import StreamFault

__all__ = ["Clock", "FakeEngine", "Played", "Volume", "shell"]


@dataclass(frozen=True)
class Played:
    """What the player's program did."""

    status: int = 0
    """Its exit status."""
    stdout: bytes = b""
    """What it printed."""
    stderr: bytes = b""
    """What it printed there."""


_Player = Callable[[Path, str], Played | None]
"""Plays a command line in a sandbox; None if it never ends, and the limit comes at once."""


@dataclass(frozen=True)
class Clock:
    """The clock that stamps a run's files, relative to that of the katas."""

    ahead_ns: int = 0
    """Nanoseconds that it is ahead; negative if it is behind."""
    tick_ns: int = 1
    """Stamps are cut to multiples, as old file systems do: 10**9, or 2 * 10**9 for FAT."""

    def stamp(self, real_ns: int) -> int:
        return (real_ns + self.ahead_ns) // self.tick_ns * self.tick_ns


def shell(patience: float = 1.0) -> _Player:
    """Return a player that calls sh as this user; what runs for `patience` seconds never ends."""

    def play(sandbox: Path, command: str) -> Played | None:
        child = subprocess.Popen(
            ["sh", "-c", command],
            cwd=sandbox,
            env=players(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            stdout, stderr = child.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
        return Played(
            child.returncode % 256 if child.returncode >= 0 else 128 - child.returncode,
            stdout,
            stderr,
        )

    return play


class FakeEngine(LocalEngine):
    """The fake engine. Volumes, labels and leftovers are those of the local engine."""

    name = "fake"

    def __init__(
        self, home: Path | None = None, *, player: _Player | None = None, room: int | None = None
    ) -> None:
        """Make an engine with the `home` of a LocalEngine; `room` is the size of each sandbox.

        What is sent to a sandbox after `room` bytes meets a full disk; None: there is no limit.
        """
        super().__init__(home, bubblewrap=False)
        self.play = player or shell()
        self.clock = Clock()
        self.room = room
        self.player = None
        self._faults: dict[bool, deque[StreamFault]] = {False: deque(), True: deque()}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.home,)

    def inject(self, *faults: StreamFault, keeper: bool = False) -> None:
        """Break the next run-containers, or keepers, that are opened: one fault each, in order."""
        self._faults[keeper].extend(faults)

    def describe(self) -> Mapping[str, str]:
        return {**super().describe(), "engine": "fake"}

    def check_image(self, image: str | None) -> str:
        return image or "none (the host's programs)"

    def refusal(self, mount: type[Mount]) -> str:
        is_overlay = issubclass(mount, Overlay)
        return "the fake engine has no kernel that merges layers" if is_overlay else ""

    def open(self, spec: SandboxSpec) -> Sandbox:
        return Sandbox(lambda: self._broken(self._guest(spec)), spec.limits)

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        return self._broken(_FakeKeeper(self._katas(volume)), keeper=True)

    def _guest(self, spec: SandboxSpec) -> Stream:
        folder = temporary_folder("sandbox")
        sandbox = folder / "sandbox"
        if isinstance(spec.mount, WholeVolume):
            sandbox = self._katas(spec.mount.volume) / spec.mount.sandbox
        elif isinstance(spec.mount, PartOfVolume):
            sandbox = self._katas(spec.mount.volume) / spec.mount.folder
        elif isinstance(spec.mount, Path):
            sandbox = spec.mount
        else:
            sandbox.mkdir(mode=0o755)
        return _FakeGuest(self, folder, sandbox)

    def _broken(self, stream: Stream, *, keeper: bool = False) -> Stream:
        waiting = self._faults[keeper]
        return waiting.popleft().wrap(stream) if waiting else stream


class _FakeGuest:
    """guest.sh in Python, in this process: the last byte of a request brings the answer."""

    def __init__(self, engine: FakeEngine, folder: Path, sandbox: Path) -> None:
        self._engine, self._folder, self._sandbox = engine, folder, sandbox
        self._input = bytearray()
        self._output: deque[tuple[int, bytes]] = deque()
        self._nonce = b""
        # Of the request to unpack that is under way.
        self._archive: bytearray | None = None
        self._gone = self._never_ends = False

    def write(self, data: bytes, deadline: float) -> None:
        if self._gone:
            raise StreamCut("the other end of the stream has gone: Broken pipe")
        self._input += data
        while self._step():
            pass

    def close_write(self) -> None:
        """Do nothing: no request waits for the end of the input."""

    def read(self, deadline: float) -> tuple[int, bytes]:
        if self._output:
            return self._output.popleft()
        if self._gone:
            return 0, b""
        if self._never_ends:
            raise TimeoutError  # at once: this engine decides what time it is
        raise EngineError("the fake run-container was asked nothing, and would never answer")

    def kill(self) -> None:
        self._gone = True
        self._output.clear()

    def close(self) -> None:
        self._gone = True
        remove_folder(self._folder)

    def _step(self) -> bool:
        """Take one piece of the input; return False if more of it must come first."""
        line, end, _ = self._input.partition(b"\n")
        if not end:
            return False
        if self._archive is not None:
            return self._take_chunk(int(line), len(line) + 1)
        words = bytes(line).split()
        if words[:1] == [b"run"] and self._input.count(b"\n") < 2:
            return False
        del self._input[: len(line) + 1]
        if not self._nonce:
            self._nonce = bytes(line)
        elif words == [b"unpack"]:
            self._archive = bytearray()
        elif words[:1] == [b"run"]:
            command, _, _ = bytes(self._input).partition(b"\n")
            del self._input[: len(command) + 1]
            self._run(os.fsdecode(command), [int(word) for word in words[2:]])
        elif words == [b"observe"]:
            self._observe()
        elif words == [b"clock"]:
            self._say(1, b"clock %d.%09d" % divmod(self._engine.clock.stamp(time.time_ns()), 10**9))
        elif words == [b"pack"]:
            self._pack()
        else:
            self._say(1, {b"usage": b"used"}.get(words[0], words[0]))
        return True

    def _take_chunk(self, size: int, header: int) -> bool:
        assert self._archive is not None
        if len(self._input) < header + size:
            return False
        self._archive += self._input[header : header + size]
        del self._input[: header + size]
        if not size:
            archive, self._archive = bytes(self._archive), None
            self._unpack(archive)
        return True

    def _unpack(self, archive: bytes) -> None:
        room = self._engine.room
        if room is not None and len(archive) > room:
            return self._say(1, b"unpacked 2 tar: No space left on device")
        try:
            tarpipe.unpack(str(self._sandbox), [archive])
        except StreamCut as error:
            return self._say(1, b"unpacked 2 " + str(error).encode())
        return self._say(1, b"unpacked 0")

    def _run(self, command: str, roots: Sequence[int]) -> None:
        root = os.stat(self._sandbox).st_ino
        if roots and root not in roots:
            return self._say(1, b"started %d" % root)
        self._say(1, b"started")
        before = _stamps(self._sandbox)
        played = self._engine.play(self._sandbox, command)
        self._restamp(before)
        if played is None:
            self._never_ends = True
            return None
        self._output += [(1, played.stdout), (2, played.stderr)]
        self._say(2, b"ran")
        return self._say(1, b"ran %d" % played.status)

    def _restamp(self, before: Mapping[bytes, tuple[int, int]]) -> None:
        """Stamp what was written by the clock of the run."""
        root = os.fsencode(self._sandbox)
        after = _stamps(self._sandbox)
        for path in sorted(after, key=lambda path: -path.count(b"/") if path != b"." else 1):
            if before.get(path) != after[path] and self._engine.clock != Clock():
                stamp = self._engine.clock.stamp(after[path][1])
                os.utime(os.path.join(root, path), ns=(stamp, stamp), follow_symlinks=False)

    def _observe(self) -> None:
        for path, entry in snapshot(self._sandbox).items():
            seconds, fraction = divmod(entry.mtime_ns, 10**9)
            name = b"" if path == b"." else path
            line = b"%s %o %d %d.%09d0 %b\0"
            fields = (entry.kind.encode(), entry.mode, entry.size, seconds, fraction, name)
            self._output.append((1, line % fields))
        self._say(1, b"observed 0")

    def _pack(self) -> None:
        try:
            tarpipe.pack(str(self._sandbox), lambda data: self._output.append((1, data)))
        except StreamCut as error:
            return self._say(1, b"packed 2 " + str(error).encode())
        return self._say(1, b"packed 0")

    def _say(self, source: int, words: bytes) -> None:
        self._output.append((source, b"\n%b %b\n" % (self._nonce, words)))


def _stamps(folder: Path) -> dict[bytes, tuple[int, int]]:
    """Return inode and mtime of everything in the tree."""
    return {path: (status.st_ino, status.st_mtime_ns) for path, status in walk(folder)}


class _FakeKeeper:
    """A keeper in a thread of this process."""

    def __init__(self, katas: Path) -> None:
        self._socket, theirs = socket.socketpair()
        self._thread = threading.Thread(target=_serve, args=(katas, theirs), daemon=True)
        self._thread.start()

    def write(self, data: bytes, deadline: float) -> None:
        send_all(self._socket, data, deadline)

    def close_write(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def read(self, deadline: float) -> tuple[int, bytes]:
        self._socket.settimeout(remaining(deadline))
        with contextlib.suppress(ConnectionError):
            if data := self._socket.recv(READ_BYTES):
                return 1, data
        return 0, b""

    def kill(self) -> None:
        """Let the thread finish what it does, unlike a process; nobody gets its answer."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def close(self) -> None:
        self.kill()
        self._socket.close()


def _serve(katas: Path, connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as stream:
        keeper = Keeper(katas, Channel(stream.read, connection.sendall))
        with contextlib.suppress(OSError, HarnessError):
            keeper.serve()
        keeper.do_close()
