"""The keeper: serves the katas in one folder to the harness, over its stdin and stdout.

Each request is one call of `harness.inside.store`. `harness.katas.keeper_link` is the other end;
`volume_katas` and `volume_event` beside it name the methods of Keeper. Requests and answers are the
messages of `harness.inside.channel`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from harness.inside import errors, journal, tarpipe, wire
from harness.inside.channel import Channel
from harness.inside.copy_event import CopyEvent
from harness.inside.errors import HarnessError, KatasError
from harness.inside.folder_event import FolderEvent
from harness.inside.folder_katas import FolderKatas
from harness.inside.layered_event import LayeredEvent
from harness.inside.layout import Avatar
from harness.inside.store import EVENT_SECONDS, Acceptance, Increment

PLAIN_EVENT, COPY_EVENT, LAYERED_EVENT = "plain", "copy", "layered"

_KINDS = {PLAIN_EVENT: FolderEvent, COPY_EVENT: CopyEvent, LAYERED_EVENT: LayeredEvent}
"""The kinds of test event that the harness can ask for."""

CALL, _ANSWER, _ERROR, _LINE = "call", "answer", "error", "line"
"""The keys of a request and of its answer. The arguments of the call are others."""

_DO = "do_"
"""What the names of the methods that answer requests begin with."""

_Event = TypeVar("_Event", bound=FolderEvent)

_ID = 40
"""Length of a git id in hexadecimal digits."""


class Keeper:
    """Answers one request after another; `do_X` answers the request X.

    It holds at most one test event at a time.
    """

    def __init__(self, root: Path, channel: Channel) -> None:
        self._katas = FolderKatas(root, entered=True)
        self._channel = channel
        self._event: FolderEvent | None = None

    def serve(self) -> None:
        """Answer requests until the other side closes the stream."""
        while request := self._channel.receive():
            call = getattr(self, f"{_DO}{request.pop(CALL)}")
            try:
                answer = call(**request)
            except HarnessError as error:
                self._channel.send({_ERROR: type(error).__name__, _LINE: str(error)})
            except OSError as error:
                line = f"{error.filename or 'the katas'}: {error.strerror or error}"
                self._channel.send({_ERROR: KatasError.__name__, _LINE: line})
            else:
                self._channel.send({_ANSWER: answer})
        self.do_close()
        self._katas.close()

    def do_nothing(self) -> None:
        """Show that the keeper answers."""

    def do_event(
        self,
        /,
        kata: str,
        name: str,
        kind: str = PLAIN_EVENT,
        seconds: float = EVENT_SECONDS,
        durable: bool = False,
        **how: Any,
    ) -> Any:
        made = partial(_KINDS[kind], **how)
        self._event = self._katas.event(Avatar(kata, name), made, seconds=seconds, durable=durable)
        return self._event.roots if kind == PLAIN_EVENT else ()

    def do_place(self) -> Any:
        event = self._current_of(CopyEvent)
        return event.place(), event.roots

    def do_copy(self, owner: Any) -> None:
        self._current_of(CopyEvent).copy(_owner(owner))

    def do_stack(self, owner: Any) -> Any:
        event = self._current_of(LayeredEvent)
        return asdict(event.stack(_owner(owner))), event.roots

    def do_compare(self, manifest: Any) -> Any:
        return wire.pack_send_plan(self._current.compare(wire.unpack_manifest(manifest)))

    def do_start_afresh(self) -> None:
        self._current.start_afresh()

    def do_save(self, delta: Any, owner: Any) -> None:
        pieces = self._channel.receive_pieces()
        try:
            self._current.save(
                wire.unpack_files(pieces), wire.unpack_delta(delta), owner=_owner(owner)
            )
        finally:
            _drain(pieces)

    def do_hold(self) -> Any:
        return wire.pack_held(self._current.hold())

    def do_resume(self, mark: str, delta: Any, latest: int) -> bool:
        pieces = self._channel.receive_pieces()
        try:
            files = wire.unpack_files(pieces)
            return self._current.resume(mark, files, wire.unpack_delta(delta), latest=latest)
        finally:
            _drain(pieces)

    def do_pack(self, paths: Any) -> int:
        names = None if paths is None else wire.unpack_names(paths)
        return self._send(lambda write: self._current.pack(write, names))

    def do_digests(self, paths: Any, sizes: Any) -> Any:
        names = wire.unpack_names(paths)
        digests = self._current.digests(dict(zip(names, sizes, strict=True)))
        return [digests.get(name) for name in names]

    def do_stage(self) -> int:
        pieces = self._channel.receive_pieces()
        try:
            return self._current.stage(pieces)
        finally:
            _drain(pieces)

    def do_accept(self, commit: str, increment: Any, changes: Any, mounted: bool) -> None:
        pieces = self._channel.receive_pieces()
        objects = ((piece[:_ID].decode(), piece[_ID:]) for piece in pieces)
        try:
            self._current.accept(
                Acceptance(commit, objects, Increment(**increment)),
                None if changes is None else journal.unpack_changes(changes),
                mounted=mounted,
            )
        finally:
            _drain(pieces)

    def do_snapshot(self, contents: bool) -> Any:
        return wire.pack_snapshot(self._current.snapshot(contents=contents))

    def do_weigh(self) -> Any:
        return asdict(self._current.usage())

    def do_close(self) -> None:
        if self._event is not None:
            self._event.close()
            self._event = None

    def do_list(self, kata: str | None = None) -> Any:
        unread: dict[str, str] = {}
        return wire.pack_listing(self._katas.list(kata, unread=unread.__setitem__), unread)

    def do_history(self, kata: str, name: str) -> int:
        return self._send(lambda write: self._katas.pack_history(Avatar(kata, name), write))

    def do_tidy(self) -> Any:
        return asdict(self._katas.tidy())

    def do_download(self, kata: str) -> int:
        return self._send(lambda write: self._katas.download(kata, write))

    def do_remove(self, kata: str, name: str | None) -> None:
        self._katas.remove(kata, name)

    def do_usage(self) -> Any:
        return wire.pack_usage(self._katas.usage())

    def do_export(self) -> int:
        return self._send(self._katas.export)

    @property
    def _current(self) -> FolderEvent:
        if self._event is None:
            raise KatasError("no test event is in progress")
        return self._event

    def _current_of(self, kind: type[_Event]) -> _Event:
        event = self._current
        if not isinstance(event, kind):
            raise KatasError("the test event in progress is of another kind")
        return event

    def _send(self, pack: Callable[[tarpipe.Write], int]) -> int:
        """Send what `pack` writes as a stream and end it, even if `pack` fails.

        Everything that can fail must happen in `pack`, because the other side waits for the stream
        first.
        """
        try:
            return pack(self._channel.send_piece)
        finally:
            # An error follows as the answer, so the stream simply ends here.
            self._channel.end_pieces()


def request_of(call: Callable[..., object], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message that asks for a call of one of Keeper's methods."""
    return {CALL: call.__name__.removeprefix(_DO), **arguments}


def result_of(answer: Mapping[str, Any]) -> Any:
    """Return what the call returned. Raises the error that it raised."""
    if _ERROR in answer:
        raise rebuild_error(answer[_ERROR], answer[_LINE])
    return answer[_ANSWER]


def rebuild_error(name: str, line: str) -> HarnessError:
    """Return the error that a keeper reported."""
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, HarnessError):
        return kind(line)
    return KatasError(line)


def _owner(data: Any) -> tuple[int, int] | None:
    return tuple(data) if data else None


def _drain(pieces: Iterator[bytes]) -> None:
    try:
        for _ in pieces:
            pass
    except HarnessError:
        # The sender gave up, and so knows about it.
        pass


def main() -> None:
    """Serve the katas in the folder that is the only argument: the zipapp's entry point."""
    # A player must be able to enter the folders above a mounted sandbox.
    os.umask(0o022)

    def write(data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    Keeper(Path(sys.argv[1]), Channel(sys.stdin.buffer.read, write)).serve()
