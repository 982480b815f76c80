"""A run-container as its runner sees it; speaks with guest.sh over a Stream."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from importlib import resources

from harness.engines.guest.caches import Caches, named
from harness.engines.spec import Limits
from harness.engines.streams import Stream, take
from harness.engines.usage import ResourceUsage
from harness.inside.changes import Listing, parse_listing
from harness.inside.errors import EngineError, StreamCut, UsageError
from harness.inside.tarpipe import CHUNK, PACK, UNPACK, Write
from harness.inside.tree import Snapshot, parse_find

GUEST = resources.files("harness.engines.guest").joinpath("guest.sh").read_text(encoding="utf-8")
"""The shell script that serves the other end."""

GRACE_SECONDS = 30
"""How long after its limit the guest itself kills the player, should the harness have died."""

OUTPUT, COMPLAINTS = 1, 2

_PIECE = 1 << 18
"""Bytes that are passed on at once while a tree is packed."""

_AT_ONCE = 1 << 15
"""Bytes that the pipe to a guest takes even if it reads none of them."""

LISTING = 1 << 24
"""Bytes of a listing: of more than 100,000 files, or of a nest of folders that is deeper than any that a person makes."""

STREAM = 4
"""So many times the bytes of a sandbox its tree takes at most as a stream: many small files, with headers of some kilobytes
each, do not come near it; a nest of folders does, whose headers grow with each.
"""

SENT_SECONDS = 1.0
"""How long the last of the paths may be on its way after an answer that is no use."""


def guest_arguments(
    *,
    sandbox: str,
    private: str,
    shown: str,
    limits: Limits,
    sweep: str,
    swept: str,
    usage: str,
    caches: Caches,
    unpack_as: Sequence[str],
    environment: Mapping[str, str],
    player: Sequence[str],
) -> list[str]:
    """The command line that serves a sandbox; guest.sh says what each argument means. It is to be started with the variables
    of `environment.TRUSTED`; `environment` is the player's.
    """
    output_bytes = str(limits.output + 1)  # one more than is kept, to know that it was cut
    return [
        "/bin/sh",
        "-c",
        GUEST,
        "guest",
        sandbox,
        private,
        shown,
        output_bytes,
        sweep,
        swept,
        usage,
        caches.look,
        caches.told,
        " ".join([*unpack_as, *UNPACK]),
        " ".join(PACK),
        shlex.join(f"{name}={value}" for name, value in environment.items()),
        environment.get("PATH", ""),
        *player,
    ]


@dataclass(frozen=True)
class Execution:
    """What one command did."""

    status: (
        int | None
    )  # its own exit status; None when it was stopped at the limit or could not be started
    stdout: bytes  # at most Limits.output bytes
    stderr: bytes
    truncated: bool  # either was cut
    timed_out: bool = False
    reason: str = ""  # why it could not be started
    starved: int = 0  # its processes that were killed for want of memory
    caches: tuple[str, ...] = ()  # what it left in its HOME, which is gone with the run-container


class Sandbox:
    """One sandbox in one run-container, ended with `close`.

    Every method raises StreamCut when the stream ends before its answer, and EngineError when the whole test
    event has lasted longer than `limits.event_seconds`.
    """

    def __init__(self, open_stream: Callable[[], Stream], limits: Limits) -> None:
        """`open_stream` may block until a start that is under way is far enough to be written to."""
        self._open = open_stream
        self._limits = limits
        self._deadline = time.monotonic() + limits.event_seconds
        self._nonce = secrets.token_hex(16).encode()
        self._stream: Stream | None = None
        self._failed = False  # to start
        self._closed = False
        self._busy = False  # a request was sent whose answer has not come
        self._buffers = {OUTPUT: bytearray(), COMPLAINTS: bytearray()}

    def wrap(self, wrap: Callable[[Stream], Stream]) -> None:
        """Put something between this sandbox and its stream, before its first use: to watch it, or to break it."""
        unwrapped = self._open
        self._open = lambda: wrap(unwrapped())

    def wait(self) -> None:
        """Until the run-container has started."""
        self._connect()

    def get_ready(self) -> None:
        """Do all of a run that can be done before its command is known; `execute` does it else."""
        self._request(b"ready")
        self._until(OUTPUT, b"ready", self._deadline, _drop)

    def begin(self, since: float | None = None) -> None:
        """The test event begins only now, or began `since`, in monotonic seconds: what stood by has all of its time before it,
        and who waited for something else has less.
        """
        self._deadline = (time.monotonic() if since is None else since) + self._limits.event_seconds

    def unpack(self, pump: Callable[[Write], object]) -> int:
        """Let `pump(write)` send a tar stream; returns its bytes once the guest's tar took it whole."""
        self._request(b"unpack")
        count = sent = 0
        waiting: list[
            bytes
        ] = []  # joined once: copying costs more processor time than anything else here

        def flush() -> None:
            nonlocal sent
            self._send(b"".join([b"%d\n" % (count - sent), *waiting]))
            waiting.clear()
            sent = count

        def write(data: bytes) -> None:
            nonlocal count
            count += len(data)
            waiting.append(data)
            if count - sent >= CHUNK:
                flush()

        pump(write)
        if count > sent:
            flush()
        self._send(b"0\n")
        self._answer(b"unpacked", "unpack the tree")
        return count

    def execute(self, command: str, max_seconds: float, roots: Sequence[int] = ()) -> Execution:
        """Run the command line as the player; past `max_seconds` the whole run-container is killed. Raises EngineError, and runs
        nothing, where the sandbox's folder has none of the inodes in `roots`, if any: it is not the one that was to be mounted.
        """
        if "\n" in command:
            raise UsageError("the command must be one line; put more lines into cyber-dojo.sh")
        words = " ".join(map(str, (int(max_seconds) + GRACE_SECONDS, *roots)))
        self._request(b"run %b\n%b" % (words.encode(), command.encode(errors="surrogateescape")))
        if found := self._until(OUTPUT, b"started", self._deadline, _drop):
            raise EngineError(
                f"the engine did not mount the katas: inode {found.decode(errors='replace')} is in the place of the sandbox, not "
                f"{' or '.join(map(str, roots))}; nothing was run; take katas-data-container or tmp, which mount nothing"
            )
        limit = min(self._deadline, time.monotonic() + max_seconds)
        stdout, stderr = bytearray(), bytearray()
        try:
            answer = self._until(OUTPUT, b"ran", limit, stdout.extend)
            self._until(COMPLAINTS, b"ran", self._deadline, stderr.extend)
        except TimeoutError:
            self.kill()
            stdout += self._buffers[OUTPUT]
            stderr += self._buffers[COMPLAINTS]
            return self._execution(None, stdout, stderr, timed_out=True)
        status, caches, reason = (*answer.split(b" ", 2), b"", b"")[:3]
        if reason:
            return self._execution(None, stdout, stderr, reason=reason.decode(errors="replace"))
        execution = self._execution(int(status), stdout, stderr, caches=named(caches))
        if execution.status:
            with contextlib.suppress(
                EngineError
            ):  # what ended has ended: its output is not lost for that
                return replace(execution, starved=self.usage().killed or 0)
        return execution

    def observe(self) -> Snapshot:
        """The sandbox as it is now, without contents; empty where the image's find cannot print stamps."""
        self._request(b"observe")
        found = bytearray()
        answer = self._until(OUTPUT, b"observed", self._deadline, found.extend)
        return parse_find(bytes(found)) if answer == b"0" else {}

    def usage(self) -> ResourceUsage:
        """What the processes in the run-container have used so far."""
        self._request(b"usage")
        found = bytearray()
        self._until(OUTPUT, b"used", self._deadline, found.extend)
        return ResourceUsage.parse(bytes(found))

    def clock(self) -> int:
        """The stamp of a file that is made there now, in nanoseconds since 1970: an engine may have another clock than this
        process.
        """
        self._request(b"clock")
        seconds, _, fraction = self._until(OUTPUT, b"clock", self._deadline, _drop).partition(b".")
        if not (seconds.isdigit() and fraction.isdigit()):
            raise StreamCut("the run-container could not tell its clock")
        return int(seconds) * 10**9 + int(fraction.ljust(9, b"0"))

    def mark(self) -> tuple[str, Listing]:
        """Two marks beside the sandbox, for a listing that is made next: see `harness.inside.changes`. Also its file
        system.
        """
        self._request(b"mark")
        file_system, _, marks = self._output(b"marked", "mark the tree").partition(b"\n")
        return file_system.decode(), parse_listing(marks)

    def listing(self) -> Listing:
        """The sandbox as it is now, told closely enough to tell later what changed. Raises StreamCut where it takes too many
        bytes to tell, too.
        """
        self._request(b"list %d" % LISTING)
        found = self._output(b"listed", "list the tree")
        if len(found) == LISTING:
            raise StreamCut("the run-container could not list the tree: it takes too many bytes")
        return parse_listing(found)

    def digest(self, paths: Iterable[bytes]) -> dict[bytes, str]:
        """The BLAKE2b of these files, in hexadecimal."""
        self._request(b"digest")
        with self._sending(paths, b"tree/"):
            lines = self._output(b"digested", "read the tree").split(b"\0")[:-1]
        return {
            path: digest.decode() for digest, path in (line.split(b"  tree/", 1) for line in lines)
        }

    def delete(self, paths: Iterable[bytes]) -> None:
        """Delete these files, as the player."""
        self._request(b"delete")
        with self._sending(paths):
            self._answer(b"deleted", "delete files")

    def pack(self) -> Iterator[bytes]:
        """The sandbox as a tar stream. Its end is the guest's word that tar took everything: use it only if
        it comes.
        """
        self._request(b"pack")
        yield from self._packed(b"packed", "pack the tree")

    def pick(self, paths: Iterable[bytes]) -> Iterator[bytes]:
        """Like `pack`, of these entries alone, without what is below a folder."""
        self._request(b"pick")
        with self._sending(paths):
            yield from self._packed(b"picked", "pack what changed")

    def kill(self) -> None:
        """End the run-container at once."""
        if self._stream is not None:
            self._stream.kill()

    def close(self) -> None:
        """End the run-container; it is never used again. Closing it once more does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._stream is None and not self._failed:
            with contextlib.suppress(EngineError, TimeoutError):
                self._stream = self._open()
        if self._stream is not None:
            if self._busy:
                self._stream.kill()
            self._stream.close()

    def _request(self, line: bytes) -> None:
        self._connect()
        self._busy = True
        self._send(line + b"\n")

    def _connect(self) -> Stream:
        if self._stream is None:
            try:
                self._stream = self._open()
            except TimeoutError as error:
                self._failed = True
                raise self._too_long() from error
            except EngineError:
                self._failed = True
                raise
            self._send(self._nonce + b"\n")
        return self._stream

    def _send(self, data: bytes) -> None:
        assert self._stream is not None
        self._stream.write(data, self._deadline)

    @contextlib.contextmanager
    def _sending(self, paths: Iterable[bytes], below: bytes = b"./") -> Iterator[None]:
        """Send paths, while the block reads the answer: the guest answers the first of them before it has read the last."""
        data = b"".join(b"%b%b\0" % (below, path) for path in paths)

        def send() -> None:
            for start in range(0, len(data), CHUNK):
                piece = data[start : start + CHUNK]
                self._send(b"%d\n" % len(piece) + piece)
            self._send(b"0\n")

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
                    self.kill()  # nobody reads the answer any more, so the guest reads no more of the paths
                raise
            sent.result()

    def _packed(self, word: bytes, what: str) -> Iterator[bytes]:
        waiting: list[
            bytes
        ] = []  # engines deliver small pieces, and each costs its receiver a message
        finished, left = False, STREAM * self._limits.sandbox
        while not finished:
            try:
                finished = self._next(OUTPUT, word, self._deadline, waiting.append)
            except TimeoutError as error:
                raise self._too_long() from error
            if finished or sum(map(len, waiting)) >= _PIECE:
                piece = b"".join(waiting)
                waiting.clear()
                left -= len(piece)
                if left < 0:
                    self.kill()
                    raise EngineError(
                        f"the tree that the run left is too large to be brought back: more than {STREAM} times the limit of "
                        f"a sandbox, {self._limits.sandbox} bytes, as a stream"
                    )
                yield piece
        self._answer(word, what)

    def _output(self, word: bytes, what: str) -> bytes:
        """All that comes before the answer."""
        found = bytearray()
        self._answer(word, what, found.extend)
        return bytes(found)

    def _answer(
        self, word: bytes, what: str, give: Callable[[bytes], object] | None = None
    ) -> None:
        answer = self._until(OUTPUT, word, self._deadline, give or _drop)
        status, _, said = answer.partition(b" ")
        if status != b"0":
            complaint = said.decode(errors="replace").strip() or "it said nothing"
            raise StreamCut(
                f"the run-container could not {what} (exit {status.decode()}): {complaint}"
            )

    def _until(
        self, source: int, word: bytes, deadline: float, give: Callable[[bytes], object]
    ) -> bytes:
        """Hand everything before the line `NONCE word ...` to `give`; returns the rest of that line."""
        while not self._next(source, word, deadline, give):
            pass
        return self._take_line(source, word)

    def _next(
        self, source: int, word: bytes, deadline: float, give: Callable[[bytes], object]
    ) -> bool:
        """Hand what is surely before the end line to `give`, then read on; True when the whole end line is
        there.
        """
        marker = b"\n%b %b" % (self._nonce, word)
        buffer = self._buffers[source]
        place = buffer.find(marker)
        if place >= 0 and buffer.find(b"\n", place + 1) >= 0:
            give(take(buffer, place))
            return True
        sure = place if place >= 0 else len(buffer) - len(marker)
        if sure > 0:
            give(take(buffer, sure))
        self._receive(deadline)
        return False

    def _take_line(self, source: int, word: bytes) -> bytes:
        buffer = self._buffers[source]
        end = buffer.index(b"\n", 1)
        line = take(buffer, end + 1)[1:end]
        self._busy = word == b"started"
        return line.removeprefix(b"%b %b" % (self._nonce, word)).strip()

    def _receive(self, deadline: float) -> None:
        assert self._stream is not None
        try:
            source, data = self._stream.read(deadline)
        except TimeoutError:
            if time.monotonic() >= self._deadline:
                raise self._too_long() from None
            raise
        if not source:
            said = bytes(self._buffers[COMPLAINTS]).decode(errors="replace").split()
            raise StreamCut(
                "the run-container ended in the middle"
                + (": " + " ".join(said[-40:]) if said else "")
            )
        self._buffers[source] += data

    def _too_long(self) -> EngineError:
        self.kill()
        return EngineError(
            f"the whole test event took longer than {self._limits.event_seconds:g} seconds"
        )

    def _execution(
        self,
        status: int | None,
        stdout: bytearray,
        stderr: bytearray,
        *,
        timed_out: bool = False,
        reason: str = "",
        caches: tuple[str, ...] = (),
    ) -> Execution:
        keep = self._limits.output
        return Execution(
            status=status,
            stdout=bytes(stdout[:keep]),
            stderr=bytes(stderr[:keep]),
            truncated=len(stdout) > keep or len(stderr) > keep,
            timed_out=timed_out,
            reason=reason,
            caches=caches,
        )


def _drop(data: bytes) -> None:
    """What comes before the answer to a request that has no output."""
