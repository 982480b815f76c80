"""The conversation with a guest: requests, and answers that the player's output cannot forge.

`harness.engines.guest.protocol` has the requests and their answers; `guest.sh` is the other end.
The deadline of the test event holds for all of it.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait

from harness.engines.guest.protocol import END_OF_CHUNKS, Request, chunk
from harness.engines.streams import Stream, take
from harness.inside.errors import EngineError, StreamCut
from harness.inside.tarpipe import CHUNK

OUTPUT, COMPLAINTS = 1, 2
"""The sources of a stream: stdout, which also carries the answers, and stderr."""

_AT_ONCE = 1 << 15
"""Bytes that the pipe to a guest takes even if the guest reads none of them."""

SENT_SECONDS = 1.0
"""How long to wait for the last paths to be sent after the answer has failed."""

_BEGINNINGS = {request.begins for request in Request if request.begins}
"""The words of answers that another one follows."""


class Conversation:
    """Requests to one guest, and its answers.

    Every method that speaks to the guest raises StreamCut if the stream ends before its answer, and
    EngineError if the whole test event takes longer than its limit.
    """

    def __init__(self, open_stream: Callable[[], Stream], event_seconds: float) -> None:
        """`open_stream` may block until the guest can be written to."""
        self._open = open_stream
        self._event_seconds = event_seconds
        self.deadline = time.monotonic() + event_seconds
        """When the test event has to end, in monotonic seconds."""
        self.nonce = secrets.token_hex(16).encode()
        """What marks an answer. The player never sees it."""
        self.stream: Stream | None = None
        """The stream, once the guest has started."""
        self._failed = False  # to start
        self._closed = False
        self.busy = False
        """Whether a request was sent whose last answer has not come."""
        self._buffers = {OUTPUT: bytearray(), COMPLAINTS: bytearray()}

    def wrap(self, wrapper: Callable[[Stream], Stream]) -> None:
        """Put a wrapper around the stream, to watch or break it. Call it before the first use."""
        unwrapped = self._open
        self._open = lambda: wrapper(unwrapped())

    def begin(self, since: float | None = None) -> None:
        """Start the clock of the test event: now, or at `since`, in monotonic seconds."""
        self.deadline = (time.monotonic() if since is None else since) + self._event_seconds

    def connect(self) -> None:
        """Wait until the guest has started."""
        if self.stream is None:
            try:
                self.stream = self._open()
            except TimeoutError as error:
                self._failed = True
                raise self.too_long() from error
            except EngineError:
                self._failed = True
                raise
            self.send(self.nonce + b"\n")

    def ask(self, request: Request, *arguments: int, command: bytes | None = None) -> None:
        """Send the line of a request, and the command if one follows it."""
        self.connect()
        self.busy = True
        self.send(request.line(*arguments) + (b"" if command is None else command + b"\n"))

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        assert self.stream is not None
        self.stream.write(data, self.deadline)

    @contextlib.contextmanager
    def sending(self, request: Request, paths: Iterable[bytes]) -> Iterator[None]:
        """Send the paths that follow the request, while the block reads the answer.

        The guest answers the first paths before it has read the last.
        """
        data = b"".join(b"%b%b\0" % (request.prefix, path) for path in paths)

        def send() -> None:
            for start in range(0, len(data), CHUNK):
                self.send(chunk(data[start : start + CHUNK]))
            self.send(END_OF_CHUNKS)

        if len(data) <= _AT_ONCE:
            send()
            yield
            return
        with ThreadPoolExecutor(1) as sender:
            sent = sender.submit(send)
            try:
                yield
            except BaseException:
                if wait([sent], SENT_SECONDS).not_done:
                    # No one reads the answer any more, so the guest stops reading paths.
                    self.kill()
                raise
            sent.result()

    def output(self, request: Request, what: str) -> bytes:
        """Return what comes before the answer. Raises what `answer` raises."""
        output = bytearray()
        self.answer(request, what, output.extend)
        return bytes(output)

    def answer(
        self, request: Request, what: str, give: Callable[[bytes], object] | None = None
    ) -> None:
        """Wait for an answer with a status, and hand `give` what comes before it.

        Raises StreamCut if the guest could not do `what`.
        """
        answer = self.until(OUTPUT, request.answer, give)
        status, _, complaint = answer.partition(b" ")
        if status != b"0":
            reason = complaint.decode(errors="replace").strip() or "it gave no reason"
            raise StreamCut(
                f"the run-container could not {what} (exit {status.decode()}): {reason}"
            )

    def until(
        self,
        source: int,
        word: str,
        give: Callable[[bytes], object] | None = None,
        deadline: float | None = None,
    ) -> bytes:
        """Hand `give` what comes before the line `NONCE word ...`, and return the rest of the line.

        Raises TimeoutError after `deadline`, if it is earlier than that of the test event.
        """
        while not self.advance(source, word, give or _drop, deadline):
            pass
        return self._take_line(source, word)

    def advance(
        self,
        source: int,
        word: str,
        give: Callable[[bytes], object],
        deadline: float | None = None,
    ) -> bool:
        """Hand `give` what is surely before the end line, and read on if the line is not complete.

        Returns True once the whole end line is there.
        """
        marker = b"\n%b %b" % (self.nonce, word.encode())
        buffer = self._buffers[source]
        place = buffer.find(marker)
        if place >= 0 and buffer.find(b"\n", place + 1) >= 0:
            give(take(buffer, place))
            return True
        sure = place if place >= 0 else len(buffer) - len(marker)
        if sure > 0:
            give(take(buffer, sure))
        self._receive(self.deadline if deadline is None else deadline)
        return False

    def rest(self, source: int) -> bytes:
        """Return what was read but not handed out."""
        return bytes(self._buffers[source])

    def too_long(self) -> EngineError:
        """End the run-container, and return the error that says why."""
        self.kill()
        return EngineError(f"the whole test event took longer than {self._event_seconds:g} seconds")

    def kill(self) -> None:
        """End the run-container at once."""
        if self.stream is not None:
            self.stream.kill()

    def close(self) -> None:
        """End the run-container. Further calls do nothing."""
        if self._closed:
            return
        self._closed = True
        if self.stream is None and not self._failed:
            with contextlib.suppress(EngineError, TimeoutError):
                self.stream = self._open()
        if self.stream is not None:
            if self.busy:
                self.stream.kill()
            self.stream.close()

    def _take_line(self, source: int, word: str) -> bytes:
        buffer = self._buffers[source]
        end = buffer.index(b"\n", 1)
        line = take(buffer, end + 1)[1:end]
        self.busy = word in _BEGINNINGS
        return line.removeprefix(b"%b %b" % (self.nonce, word.encode())).strip()

    def _receive(self, deadline: float) -> None:
        assert self.stream is not None
        try:
            source, data = self.stream.read(deadline)
        except TimeoutError:
            if time.monotonic() >= self.deadline:
                raise self.too_long() from None
            raise
        if not source:
            last_words = self.rest(COMPLAINTS).decode(errors="replace").split()[-40:]
            reason = ": " + " ".join(last_words) if last_words else ""
            raise StreamCut(f"the run-container ended in the middle{reason}")
        self._buffers[source] += data


def _drop(data: bytes) -> None:
    """Ignore output before the answer."""
