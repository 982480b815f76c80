"""Katas in a volume that only keepers can see: the harness's side of the conversation.

A keeper is a long-lived container that mounts the volume and runs the program
`harness.inside.keeper`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from harness.engines import Engine, Stream
from harness.engines.folders import scratch
from harness.engines.streams.forks import Origin
from harness.inside import tarpipe, wire
from harness.inside.errors import EngineError, KatasError, StreamCut
from harness.inside.keeper import (
    Keeper,
)
from harness.inside.layout import HISTORY, Avatar
from harness.inside.repack import Sizes
from harness.inside.store import EVENT_SECONDS, Increment, Unread
from harness.inside.usage import DiskUsage
from harness.katas.idle_keepers import IdleKeepers
from harness.katas.keeper_link import ANSWER_SECONDS, KeeperLink, bundle
from harness.katas.volume_event import VolumeEvent

_START_SECONDS = 0.5
"""How long to wait for a keeper that still clears up: no longer than another takes to start."""

_GLANCE_SECONDS = 0.001
"""How long to look whether one has cleared up, while others could be taken."""

_GRACE_SECONDS = 2.0
"""How much longer than its own limit a keeper may take to report that an avatar is busy."""


KindOfEvent = TypeVar("KindOfEvent", bound=VolumeEvent)


class VolumeKatas:
    """The katas in a volume of an engine, reached through one keeper per concurrent test event."""

    def __init__(
        self, engine: Engine, volume: str, *, temporary: bool = False, part_of: str = ""
    ) -> None:
        """Create the volume if it does not exist, labelled with the katas that it is `part_of`.

        `close` removes a temporary volume.
        """
        self._engine, self.volume, self._temporary = engine, volume, temporary
        engine.create_volume(volume, temporary=temporary, katas=part_of)
        self.idle: IdleKeepers[KeeperLink] = IdleKeepers()
        """The keepers that wait for requests."""
        self._busy: set[KeeperLink] = set()
        self._lock = threading.Lock()
        self._origin = Origin()
        self._closed = False

    def describe(self) -> str:
        return f"{self.place()} of the {self._engine.name} engine"

    def place(self) -> str:
        return f"volume:{self.volume}"

    def container(self, avatar: Avatar) -> str:
        return self.volume

    def event(
        self, avatar: Avatar, *, seconds: float = EVENT_SECONDS, durable: bool = False
    ) -> VolumeEvent:
        return self.event_of(VolumeEvent, avatar, seconds=seconds, durable=durable)

    def event_of(
        self,
        kind: type[KindOfEvent],
        avatar: Avatar,
        *,
        seconds: float = EVENT_SECONDS,
        durable: bool = False,
        **how: int,
    ) -> KindOfEvent:
        """Begin a test event of this type, with what it takes in `how`.

        `seconds` limits everything that keepers do during the test event.
        """
        options: dict[str, Any] = {**how, "durable": True} if durable else {**how}
        deadline = time.monotonic() + seconds
        roots: list[int] = []

        def ask(link: KeeperLink) -> None:
            left = max(deadline - time.monotonic(), 0.0)
            link.deadline = time.monotonic() + left + _GRACE_SECONDS
            roots[:] = link.call(
                Keeper.do_event,
                kata=avatar.kata,
                name=avatar.name,
                kind=kind.keeper_kind,
                seconds=left,
                **options,
            )

        return kind(self._reach(ask, deadline), self._give_back, tuple(roots))

    def list(
        self, kata: str | None = None, *, unread: Unread | None = None
    ) -> dict[str, dict[str, list[Increment]]]:
        with self._link() as link:
            listing, problems = wire.unpack_listing(link.call(Keeper.do_list, kata=kata))
        for name, problem in problems.items():
            if unread is None:
                raise KatasError(problem)
            unread(name, problem)
        return listing

    @contextlib.contextmanager
    def history(self, avatar: Avatar) -> Iterator[Path]:
        with scratch("history") as folder:
            archive = folder / "history.tar"
            with self._link() as link, archive.open("wb") as file:
                link.receive_stream(
                    file.write, Keeper.do_history, kata=avatar.kata, name=avatar.name
                )
            with archive.open("rb") as file:
                tarpipe.unpack(str(folder), tarpipe.read_chunks(file))
            yield folder / HISTORY

    def download(self, kata: str, write: tarpipe.Write) -> int:
        with self._link() as link:
            return link.receive_stream(write, Keeper.do_download, kata=kata)

    def tidy(self) -> Sizes:
        with self._link() as link:
            return Sizes(**link.call(Keeper.do_tidy))

    def remove(self, kata: str, name: str | None = None) -> None:
        with self._link() as link:
            link.call(Keeper.do_remove, kata=kata, name=name)

    def usage(self) -> dict[str, dict[str, DiskUsage]]:
        with self._link() as link:
            return wire.unpack_usage(link.call(Keeper.do_usage))

    def export(self, write: tarpipe.Write) -> int:
        """Write all that the volume holds as a tar stream and return the number of bytes."""
        with self._link() as link:
            return link.receive_stream(write, Keeper.do_export)

    def release(self) -> None:
        """End the keepers that are waiting for requests."""
        self.idle.clear()

    def interrupt(self) -> None:
        """Cut all conversations: callers get StreamCut, and no new request succeeds."""
        with self._lock:
            self._closed = True
            busy = list(self._busy)
        for link in busy:
            link.kill()

    def close(self) -> None:
        """End all keepers; do nothing in a fork of the process that made this."""
        if not self._origin.is_here():
            return
        self.interrupt()
        self.release()
        if self._temporary:
            self._engine.remove_volume(self.volume)

    @contextlib.contextmanager
    def _link(self) -> Iterator[KeeperLink]:
        link = self._reach(
            lambda link: link.call(Keeper.do_nothing), time.monotonic() + ANSWER_SECONDS
        )
        try:
            yield link
        finally:
            self._give_back(link)

    def _reach(self, ask: Callable[[KeeperLink], object], deadline: float) -> KeeperLink:
        """Return a keeper that has answered `ask`, which may be called twice."""
        while True:
            link = self._take(deadline)
            reused = link.used
            try:
                ask(link)
            except BaseException as error:
                self._give_back(link)
                if reused and isinstance(error, StreamCut) and not self._closed:
                    # It died while it was waiting for a request, so nothing is lost.
                    continue
                raise
            return link

    def _take(self, deadline: float) -> KeeperLink:
        self._origin.require("volume")
        # One that still clears up after another avatar's run would make this one wait for that.
        link = self.idle.take(lambda link: link.is_free(_GLANCE_SECONDS))
        if not link and (link := self.idle.take()):
            self._hold(link)
            if not link.is_free(min(_START_SECONDS, max(deadline - time.monotonic(), 0.0))):
                self._give_back(link)
                link = None
        if not link:
            link = KeeperLink(self._start(deadline))
        self._hold(link)
        return link

    def _hold(self, link: KeeperLink) -> None:
        with self._lock:
            closed = self._closed
            if not closed:
                self._busy.add(link)
        if closed:
            link.close()
            raise KatasError(f"the volume {self.volume} was closed meanwhile")

    def _start(self, deadline: float) -> Stream:
        """Start a keeper in a thread, because an engine that hangs has no limit of its own."""
        started: Future[Stream] = Future()

        def start() -> None:
            try:
                started.set_result(self._engine.open_keeper(self.volume, bundle()))
            except BaseException as error:
                started.set_exception(error)

        threading.Thread(target=start, name="harness-keeper", daemon=True).start()
        try:
            return started.result(max(deadline - time.monotonic(), 0.0))
        except TimeoutError as error:
            started.add_done_callback(_close_late)
            raise EngineError(
                f"no keeper of volume {self.volume} started in time; "
                "see whether the engine answers and whether its machine is busy"
            ) from error

    def _give_back(self, link: KeeperLink) -> None:
        link.deadline = None
        with self._lock:
            self._busy.discard(link)
            kept = not (link.broken or self._closed)
            if kept:
                self.idle.give(link)
        if link.stuck:
            # Do not wait: ending a process that hangs may take long.
            threading.Thread(target=link.end, name="harness-keeper", daemon=True).start()
        elif not kept:
            link.close()


def _close_late(started: Future[Stream]) -> None:
    """Close a keeper that started after its caller gave up."""
    if not started.exception():
        started.result().close()
