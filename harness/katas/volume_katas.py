"""Katas in a volume that only keepers can see: the harness's side of the conversation.

A keeper is a long-lived container that mounts the volume and runs the program
`harness.inside.keeper`. The harness sends it one request after another over its stdin and stdout.
"""

from __future__ import annotations

import contextlib
import functools
import io
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar

from harness.engines import Engine, Stream
from harness.engines.folders import scratch
from harness.engines.guest.conversation import OUTPUT
from harness.engines.streams import take
from harness.engines.streams.forks import Origin
from harness.inside import tarpipe, wire
from harness.inside.changes import Changes
from harness.inside.channel import Channel, CutShort
from harness.inside.delta import Delta, Stamped
from harness.inside.errors import EngineError, HarnessError, KatasError, StreamCut
from harness.inside.journal import pack_changes
from harness.inside.keeper import (
    COPY_EVENT,
    LAYERED_EVENT,
    PLAIN_EVENT,
    Keeper,
    request_of,
    result_of,
)
from harness.inside.layered_event import Stack
from harness.inside.layout import HISTORY, Avatar
from harness.inside.repack import Sizes
from harness.inside.saving import SavedFile
from harness.inside.store import EVENT_SECONDS, Acceptance, Held, Increment, SendPlan, Unread
from harness.inside.tree import Entry
from harness.inside.usage import DiskUsage
from harness.katas.idle_keepers import IdleKeepers

ANSWER_SECONDS = 120.0
"""How long a keeper may take to answer a request outside a test event, in seconds.

Half of it may pass until a test event ends, and a keeper needs a second for a tree of 160 MB. A
test event has its own limit.
"""

_START_SECONDS = 0.5
"""How long to wait for a keeper that still clears up: no longer than another takes to start."""

_GLANCE_SECONDS = 0.001
"""How long to look whether one has cleared up, while others could be taken."""

_GRACE_SECONDS = 2.0
"""How much longer than its own limit a keeper may take to report that an avatar is busy."""


_P = ParamSpec("_P")
_R = TypeVar("_R")


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


class VolumeEvent:
    """One test event of an avatar in a volume.

    `Event` in `harness.inside.store` describes its methods.
    """

    keeper_kind: ClassVar[str] = PLAIN_EVENT
    """What a keeper calls it."""

    def __init__(self, link: KeeperLink, give_back: Any, roots: tuple[int, ...] = ()) -> None:
        self._give_back, self._roots = give_back, roots
        self.link = link
        """The keeper that plays it."""

    @property
    def roots(self) -> tuple[int, ...]:
        return self._roots

    def compare(self, manifest: Mapping[bytes, Stamped]) -> SendPlan:
        return wire.unpack_send_plan(
            self.link.call(Keeper.do_compare, manifest=wire.pack_manifest(manifest))
        )

    def start_afresh(self) -> None:
        self.link.call(Keeper.do_start_afresh)

    def save(
        self,
        files: Iterable[SavedFile],
        delta: Delta,
        *,
        owner: tuple[int, int] | None,
    ) -> None:
        self.link.send_stream(
            wire.pack_files(files), Keeper.do_save, delta=wire.pack_delta(delta), owner=owner
        )

    def hold(self) -> Held:
        return wire.unpack_held(self.link.call(Keeper.do_hold))

    def resume(
        self,
        mark: str,
        files: Iterable[SavedFile],
        delta: Delta,
        *,
        latest: int,
    ) -> bool:
        resumed: bool = self.link.send_stream(
            wire.pack_files(files),
            Keeper.do_resume,
            mark=mark,
            delta=wire.pack_delta(delta),
            latest=latest,
        )
        return resumed

    def pack(self, write: tarpipe.Write, paths: Sequence[bytes] | None = None) -> int:
        names = None if paths is None else wire.pack_names(list(paths))
        return self.link.receive_stream(write, Keeper.do_pack, paths=names)

    def digests(self, sizes: Mapping[bytes, int]) -> dict[bytes, str]:
        digests = self.link.call(
            Keeper.do_digests, paths=wire.pack_names(list(sizes)), sizes=list(sizes.values())
        )
        return {path: digest for path, digest in zip(sizes, digests, strict=True) if digest}

    def stage(self, chunks: Iterable[bytes]) -> int:
        count: int = self.link.send_stream(chunks, Keeper.do_stage)
        return count

    def accept(
        self, acceptance: Acceptance, changes: Changes | None = None, *, mounted: bool = False
    ) -> None:
        pieces = (name.encode() + content for name, content in acceptance.objects)
        self.link.send_stream(
            pieces,
            Keeper.do_accept,
            commit=acceptance.commit,
            increment=asdict(acceptance.increment),
            changes=None if changes is None else pack_changes(changes),
            mounted=mounted,
        )

    def snapshot(self, *, contents: bool = False) -> dict[bytes, Entry]:
        return wire.unpack_snapshot(self.link.call(Keeper.do_snapshot, contents=contents))

    def usage(self) -> DiskUsage:
        return DiskUsage(**self.link.call(Keeper.do_weigh))

    def _with_roots(
        self, request: Callable[Concatenate[Keeper, _P], Any], /, *none: _P.args, **named: _P.kwargs
    ) -> tuple[Any, tuple[int, ...]]:
        answer, roots = self.link.call(request, *none, **named)
        return answer, tuple(roots)

    def close(self) -> None:
        # Do not wait: the keeper removes the old tree while the player reads the output. Whoever
        # wants a keeper meanwhile takes another.
        if not self.link.broken:
            with contextlib.suppress(HarnessError):
                self.link.call_later(Keeper.do_close)
        self._give_back(self.link)


class VolumeCopyEvent(VolumeEvent):
    """A test event in a copy of the sandbox; see CopyEvent."""

    keeper_kind = COPY_EVENT

    def place(self) -> str:
        """Make the folder for the copy."""
        folder: str
        folder, self._roots = self._with_roots(Keeper.do_place)
        return folder

    def copy(self, owner: tuple[int, int] | None) -> None:
        """Fill the copy."""
        self.link.call(Keeper.do_copy, owner=owner)


class VolumeLayeredEvent(VolumeEvent):
    """A test event in a layer of its own; see LayeredEvent."""

    keeper_kind = LAYERED_EVENT

    def stack(self, owner: tuple[int, int] | None) -> Stack:
        """Make the layer of the test event."""
        stack, self._roots = self._with_roots(Keeper.do_stack, owner=owner)
        return Stack(tuple(stack["lower"]), stack["upper"], stack["work"])


KindOfEvent = TypeVar("KindOfEvent", bound=VolumeEvent)


class KeeperLink:
    """One keeper and the conversation with it."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        """What connects it with the keeper."""
        self._channel = Channel(self._read, self._write, read_some=self._read_some)
        self._data = bytearray()
        # What the keeper wrote to stderr: normally nothing, otherwise a traceback.
        self._said = bytearray()
        # Answers still to come to calls that were not waited for.
        self._owed = 0
        # Deadline of the test event, in monotonic seconds; None outside one.
        self.deadline: float | None = None
        # Whether a request was sent, whether the conversation failed, and whether the keeper hangs.
        self.used = False
        self.broken = False
        self.stuck = False

    def call(
        self, request: Callable[Concatenate[Keeper, _P], _R], /, *none: _P.args, **named: _P.kwargs
    ) -> _R:
        """Let the keeper call this method of its own, with arguments that have names."""
        self._ask(request, named)
        result: _R = self._answer()
        return result

    def call_later(self, request: Callable[[Keeper], object]) -> None:
        """Do the same, and do not wait for the answer."""
        self._ask(request, {})
        self._owed += 1

    def send_stream(
        self,
        pieces: Iterable[bytes],
        request: Callable[Concatenate[Keeper, _P], _R],
        /,
        *none: _P.args,
        **named: _P.kwargs,
    ) -> _R:
        """Do the same with a stream that the method receives."""
        failed: BaseException | None = None
        self._ask(request, named)
        with self._minding():
            try:
                self._channel.send_pieces(pieces)
            except CutShort as cut:
                # Read the keeper's answer, so that the next request is understood.
                with contextlib.suppress(HarnessError):
                    self._answer()
                failed = cut.__cause__ or cut
        if failed:
            raise failed
        result: _R = self._answer()
        return result

    def receive_stream(
        self,
        write: tarpipe.Write,
        request: Callable[Concatenate[Keeper, _P], int],
        /,
        *none: _P.args,
        **named: _P.kwargs,
    ) -> int:
        """Do the same with a stream that the method sends; return its size in bytes."""
        self._ask(request, named)
        with self._minding():
            for piece in self._channel.receive_pieces(whole=False):
                write(piece)
        count: int = self._answer()
        return count

    def close(self) -> None:
        self.stream.close()

    def kill(self) -> None:
        """Kill the keeper from another thread; the thread that uses it gets StreamCut."""
        self.stream.kill()

    def end(self) -> None:
        """End the keeper, whatever it is doing."""
        self.stream.kill()
        self.stream.close()

    def _ask(self, request: Callable[..., object], arguments: Mapping[str, Any]) -> None:
        self.settle()
        with self._minding():
            self._channel.send(request_of(request, arguments))

    def is_free(self, seconds: float) -> bool:
        """Return whether it owes no answer, or begins to give it within that time.

        An answer that is owed is small, and its end comes with its beginning. One that has died is
        free too: the next request finds out.
        """
        deadline = time.monotonic() + seconds
        while self._owed and not self._data:
            try:
                source, data = self.stream.read(deadline)
            except TimeoutError:
                return False
            except (HarnessError, OSError):
                return True
            if source == OUTPUT:
                self._data += data
            elif source:
                self._said += data
            else:
                return True
        return True

    def settle(self) -> None:
        """Wait for the answers to calls that were not waited for."""
        self.used = True
        while self._owed:
            self._owed -= 1
            self._answer()

    def _answer(self) -> Any:
        with self._minding():
            answer = self._channel.receive()
            if answer is None:
                raise StreamCut("the keeper has gone")
        return result_of(answer)

    @contextlib.contextmanager
    def _minding(self) -> Iterator[None]:
        """Mark the link as broken if the block fails: what follows could not be understood."""
        try:
            yield
        except TimeoutError as error:
            self.broken = self.stuck = True
            limit = (
                f"in {ANSWER_SECONDS:g} seconds"
                if self.deadline is None
                else "within the time of the whole test event"
            )
            raise EngineError(
                f"the keeper did not answer {limit}: it was stopped, or its disk hangs; "
                "it was ended, try again"
            ) from error
        except BaseException:
            self.broken = True
            raise

    def _write(self, data: bytes) -> None:
        self.stream.write(data, self._until())

    def _read(self, size: int) -> bytes:
        while len(self._data) < size:
            self._data += self._receive()
        return take(self._data, size)

    def _read_some(self, size: int) -> bytes:
        if self._data:
            return take(self._data, size)
        data = self._receive()
        self._data += data[size:]
        return data[:size]

    def _until(self) -> float:
        return time.monotonic() + ANSWER_SECONDS if self.deadline is None else self.deadline

    def _receive(self) -> bytes:
        while True:
            source, data = self.stream.read(self._until())
            if source == OUTPUT:
                return data
            if not source:
                said = self._said.decode(errors="replace").strip().splitlines()
                raise StreamCut(
                    "the keeper ended in the middle" + (f": {said[-1]}" if said else "")
                )
            self._said += data


@functools.cache
def bundle() -> bytes:
    """Return the keeper's program as a zipapp: the folder `harness.inside`."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", "from harness.inside.keeper import main\n\nmain()\n")
        archive.writestr("harness/__init__.py", "")
        for module in resources.files("harness.inside").iterdir():
            if module.name.endswith(".py"):
                archive.writestr(f"harness/inside/{module.name}", module.read_bytes())
    return data.getvalue()
