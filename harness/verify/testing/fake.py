"""A fake engine: sandboxes in folders of this machine, served by this process.

    engine = FakeEngine(tmp_path)
    engine.inject(KillAt(request=2))        # the next run-container dies at its second request
    engine.clock = Clock(ahead_ns=3600 * 10**9)
    with closing(KatasDataContainer(engine, KatasDataContainer.open_katas(engine, None))) as runner:
        runner.run(Avatar(), files)

It speaks the protocol of real guests and keepers, so it exercises everything that talks to an
engine: the tar-pipe, the end markers, the keeper's messages. You choose its faults and its clock.

It does not isolate, and claims no isolation. It starts no process for a sandbox or a keeper: a test
event starts tar, now and then stat, and the player's program; with a `player` in Python, not even
the program.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.engines import Sandbox, SandboxSpec, Volume
from harness.engines.folders import temporary_folder
from harness.engines.local.engine import LocalEngine
from harness.engines.spec import HostFolder, Mount, PartOfVolume, WholeVolume, unknown_mount
from harness.engines.streams import READ_BYTES, Stream, remaining, send_all
from harness.inside.channel import Channel
from harness.inside.errors import EngineError, HarnessError
from harness.inside.keeper import Keeper
from harness.katas.keeper_link import bundle
from harness.verify.faults.stream_faults import FaultQueue, StreamFault
from harness.verify.testing.fake_guest import FakeGuest
from harness.verify.testing.player import Clock, Played, PlayerProgram, shell

__all__ = ["Clock", "FakeEngine", "Played", "Volume", "shell"]


FAKE_MOUNTS: Mapping[type[Mount], Callable[[Any, Callable[[str], Path]], Path]] = {
    HostFolder: lambda mount, katas: mount.path,
    WholeVolume: lambda mount, katas: katas(mount.volume) / mount.sandbox,
    PartOfVolume: lambda mount, katas: katas(mount.volume) / mount.folder,
}
"""For each kind of mount that the fake engine makes, where its folder is, given the mount and where
the katas of a volume are.
"""


class FakeEngine(LocalEngine):
    """The fake engine. Volumes, labels and leftovers are those of the local engine."""

    name = "fake"
    mounts = frozenset(FAKE_MOUNTS)
    quick = False  # a player in Python may take its time

    def __init__(
        self,
        home: Path | None = None,
        *,
        player: PlayerProgram | None = None,
        room: int | None = None,
    ) -> None:
        """Make an engine with the `home` of a LocalEngine; `room` is the size of each sandbox.

        What is sent to a sandbox after `room` bytes meets a full disk; None: there is no limit.
        """
        super().__init__(home, bubblewrap=False)
        self.play = player or shell()
        self.clock = Clock()
        self.room = room
        self.player = None
        self.counts_memory = False
        self._queue = FaultQueue()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.home,)

    def inject(self, *faults: StreamFault, keeper: bool = False) -> None:
        """Break the next run-containers, or keepers, that are opened: one fault each, in order."""
        self._queue.inject(*faults, keeper=keeper)

    def describe(self) -> Mapping[str, str]:
        return {**super().describe(), "engine": "fake"}

    def check_image(self, image: str | None) -> str:
        return image or "none (the host's programs)"

    def refusal(self, mount: type[Mount]) -> str:
        return "" if mount in FAKE_MOUNTS else unknown_mount(self.name, mount)

    def open(self, spec: SandboxSpec) -> Sandbox:
        return Sandbox(lambda: self._queue.broken(self._guest(spec)), spec.limits)

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        if program != bundle():  # a proof's own, or one with a fault in it
            return self._queue.broken(super().open_keeper(volume, program), keeper=True)
        return self._queue.broken(_FakeKeeper(self._volumes.katas(volume)), keeper=True)

    def _guest(self, spec: SandboxSpec) -> Stream:
        if spec.mount is not None and type(spec.mount) not in FAKE_MOUNTS:
            raise EngineError(unknown_mount(self.name, type(spec.mount)))
        folder = temporary_folder("sandbox")
        if spec.mount is not None:
            place = FAKE_MOUNTS[type(spec.mount)]
            return FakeGuest(self, folder, place(spec.mount, self._volumes.katas))
        sandbox = folder / "sandbox"
        sandbox.mkdir(mode=0o755)
        return FakeGuest(self, folder, sandbox)


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
