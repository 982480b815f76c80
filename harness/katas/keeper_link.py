"""The conversation with one keeper, and the program that a keeper runs.

The harness sends a keeper one request after another over its stdin and stdout.
"""

from __future__ import annotations

import contextlib
import functools
import io
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import resources
from typing import Any, Concatenate, ParamSpec, TypeVar

from harness.engines import Stream
from harness.engines.guest.conversation import OUTPUT
from harness.engines.streams import take
from harness.inside import tarpipe
from harness.inside.channel import Channel, CutShort
from harness.inside.errors import EngineError, HarnessError, StreamCut
from harness.inside.keeper import (
    Keeper,
    request_of,
    result_of,
)

ANSWER_SECONDS = 120.0
"""How long a keeper may take to answer a request outside a test event, in seconds.

Half of it may pass until a test event ends, and a keeper needs a second for a tree of 160 MB. A
test event has its own limit.
"""

_P = ParamSpec("_P")
_R = TypeVar("_R")


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
