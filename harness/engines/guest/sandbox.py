"""A run-container as its runner sees it: what can be asked of the guest beside the sandbox."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.engines.guest.caches import parse_caches
from harness.engines.guest.conversation import COMPLAINTS, OUTPUT, Conversation
from harness.engines.guest.protocol import END_OF_CHUNKS, Request, chunk
from harness.engines.spec import Limits
from harness.engines.streams import Stream
from harness.engines.usage import ResourceUsage
from harness.inside.changes import Listing, parse_listing
from harness.inside.errors import EngineError, StreamCut, UsageError
from harness.inside.tarpipe import CHUNK, Write
from harness.inside.tree import Snapshot, parse_find

GRACE_SECONDS = 30
"""How long after the limit the guest itself kills the player, in case the harness has died."""

_PIECE = 1 << 18
"""Bytes of a packed tree that are handed on at once."""

LISTING = 1 << 24
"""Bytes of a listing: enough for 100,000 files, or for any nest of folders that a person makes."""

STREAM = 4
"""How many times the limit of a sandbox its tar stream may have.

Many small files with headers of a few kilobytes each stay well below it. A deep nest of folders
does not, because each header holds the whole path.
"""


@dataclass(frozen=True)
class Execution:
    """What one command did."""

    status: int | None
    """The command's exit status. None: it reached the limit, or could not be started."""

    stdout: bytes
    """At most `Limits.output` bytes."""

    stderr: bytes
    """At most `Limits.output` bytes."""

    truncated: bool
    """Whether stdout or stderr was cut to the limit."""

    timed_out: bool = False
    """Whether it reached its time limit."""

    reason: str = ""
    """Why it could not be started. Empty: it was started."""

    starved: int = 0
    """How many of its processes the kernel killed because memory ran out."""

    caches: tuple[str, ...] = ()
    """Names of the caches that it left in its HOME, which is gone with the run-container."""


class Sandbox:
    """One sandbox in one run-container. `close` ends it.

    Every method that speaks to the guest raises StreamCut if the stream ends before its answer, and
    EngineError if the whole test event takes longer than `limits.event_seconds`.
    """

    def __init__(self, open_stream: Callable[[], Stream], limits: Limits) -> None:
        """`open_stream` may block until the run-container can be written to."""
        self._limits = limits
        self.guest = Conversation(open_stream, limits.event_seconds)
        """The conversation with the guest, for whoever must speak to it in its own words."""

    def wrap(self, wrapper: Callable[[Stream], Stream]) -> None:
        """Put a wrapper around the stream, to watch or break it. Call it before the first use."""
        self.guest.wrap(wrapper)

    def wait(self) -> None:
        """Wait until the run-container has started."""
        self.guest.connect()

    def get_ready(self) -> None:
        """Do all of a run that does not need its command. Otherwise `execute` does it."""
        self.guest.ask(Request.READY)
        self.guest.until(OUTPUT, Request.READY.answer)

    def begin(self, since: float | None = None) -> None:
        """Start the clock of the test event: now, or at `since`, in monotonic seconds.

        A run-container that stood by then has its whole time left; one whose test event had to wait
        has less.
        """
        self.guest.begin(since)

    def unpack(self, pump: Callable[[Write], object]) -> int:
        """Let `pump(write)` send a tar stream. Returns its size once the guest has unpacked it."""
        self.guest.ask(Request.UNPACK)
        count = sent = 0
        waiting: list[bytes] = []

        def flush() -> None:
            nonlocal sent
            self.guest.send(chunk(*waiting))
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
        self.guest.send(END_OF_CHUNKS)
        self.guest.answer(Request.UNPACK, "unpack the tree")
        return count

    def execute(self, command: str, max_seconds: float, roots: Sequence[int] = ()) -> Execution:
        """Run the command line as the player, and kill the run-container after `max_seconds`.

        `roots` are the inodes that the sandbox's folder may have; with any other, the engine has
        mounted the wrong folder. Then nothing is run, and EngineError is raised. Empty: no check.
        """
        if "\n" in command:
            raise UsageError("the command must be one line; put more lines into cyber-dojo.sh")
        self.guest.ask(
            Request.RUN,
            int(max_seconds) + GRACE_SECONDS,
            *roots,
            command=command.encode(errors="surrogateescape"),
        )
        if inode := self.guest.until(OUTPUT, Request.RUN.begins):
            raise EngineError(
                "the engine did not mount the katas: the sandbox is inode "
                f"{inode.decode(errors='replace')}, not {' or '.join(map(str, roots))}; nothing "
                "was run; take katas-data-container or tmp, which mount nothing"
            )
        limit = min(self.guest.deadline, time.monotonic() + max_seconds)
        stdout, stderr = bytearray(), bytearray()
        try:
            answer = self.guest.until(OUTPUT, Request.RUN.answer, stdout.extend, limit)
            self.guest.until(COMPLAINTS, Request.RUN.answer, stderr.extend)
        except TimeoutError:
            self.kill()
            stdout += self.guest.rest(OUTPUT)
            stderr += self.guest.rest(COMPLAINTS)
            return self._execution(None, stdout, stderr, timed_out=True)
        status, caches, reason = (*answer.split(b" ", 2), b"", b"")[:3]
        if reason:
            return self._execution(None, stdout, stderr, reason=reason.decode(errors="replace"))
        execution = self._execution(int(status), stdout, stderr, caches=parse_caches(caches))
        if execution.status:
            # The command has ended: if its usage cannot be read, its output still counts.
            with contextlib.suppress(EngineError):
                return replace(execution, starved=self.usage().killed or 0)
        return execution

    def observe(self) -> Snapshot:
        """Return the sandbox as it is now, without contents.

        Empty if the image's find cannot print stamps.
        """
        self.guest.ask(Request.OBSERVE)
        listing = bytearray()
        answer = self.guest.until(OUTPUT, Request.OBSERVE.answer, listing.extend)
        return parse_find(bytes(listing)) if answer == b"0" else {}

    def usage(self) -> ResourceUsage:
        """Return what the processes in the run-container have used so far."""
        self.guest.ask(Request.USAGE)
        words = bytearray()
        self.guest.until(OUTPUT, Request.USAGE.answer, words.extend)
        return ResourceUsage.parse(bytes(words))

    def clock(self) -> int:
        """Return the stamp of a file created there now, in nanoseconds since 1970.

        The engine may be on a machine with another clock.
        """
        self.guest.ask(Request.CLOCK)
        seconds, _, fraction = self.guest.until(OUTPUT, Request.CLOCK.answer).partition(b".")
        if not (seconds.isdigit() and fraction.isdigit()):
            raise StreamCut("the run-container could not tell its clock")
        return int(seconds) * 10**9 + int(fraction.ljust(9, b"0"))

    def mark(self) -> tuple[str, Listing]:
        """Create two marks beside the sandbox, for the next listing; see `harness.inside.changes`.

        Returns the name of the sandbox's file system, and the marks.
        """
        self.guest.ask(Request.MARK)
        file_system, _, marks = self.guest.output(Request.MARK, "mark the tree").partition(b"\n")
        return file_system.decode(), parse_listing(marks)

    def listing(self) -> Listing:
        """Return the sandbox as it is now, in enough detail to tell later what changed.

        Also raises StreamCut if that takes more than LISTING bytes.
        """
        self.guest.ask(Request.LIST, LISTING)
        listing = self.guest.output(Request.LIST, "list the tree")
        if len(listing) == LISTING:
            raise StreamCut("the run-container could not list the tree: it takes too many bytes")
        return parse_listing(listing)

    def digest(self, paths: Iterable[bytes]) -> dict[bytes, str]:
        """Return the BLAKE2b digests of these files, in hexadecimal."""
        self.guest.ask(Request.DIGEST)
        with self.guest.sending(Request.DIGEST, paths):
            lines = self.guest.output(Request.DIGEST, "read the tree").split(b"\0")[:-1]
        between = b"  " + Request.DIGEST.prefix
        return {
            path: digest.decode() for digest, path in (line.split(between, 1) for line in lines)
        }

    def delete(self, paths: Iterable[bytes]) -> None:
        """Delete these files, as the player."""
        self.guest.ask(Request.DELETE)
        with self.guest.sending(Request.DELETE, paths):
            self.guest.answer(Request.DELETE, "delete files")

    def pack(self) -> Iterator[bytes]:
        """Yield the sandbox as a tar stream.

        If the iterator ends without an error, tar has packed everything; do not use it otherwise.
        """
        self.guest.ask(Request.PACK)
        yield from self._packed(Request.PACK, "pack the tree")

    def pick(self, paths: Iterable[bytes]) -> Iterator[bytes]:
        """Yield these entries as `pack` does, without what is below a folder."""
        self.guest.ask(Request.PICK)
        with self.guest.sending(Request.PICK, paths):
            yield from self._packed(Request.PICK, "pack what changed")

    def kill(self) -> None:
        """End the run-container at once."""
        self.guest.kill()

    def close(self) -> None:
        """End the run-container. Further calls do nothing."""
        self.guest.close()

    def _packed(self, request: Request, what: str) -> Iterator[bytes]:
        # Engines deliver small pieces, and each piece costs its receiver a message.
        waiting: list[bytes] = []
        finished, left = False, STREAM * self._limits.sandbox
        while not finished:
            try:
                finished = self.guest.advance(OUTPUT, request.answer, waiting.append)
            except TimeoutError as error:
                raise self.guest.too_long() from error
            if finished or sum(map(len, waiting)) >= _PIECE:
                piece = b"".join(waiting)
                waiting.clear()
                left -= len(piece)
                if left < 0:
                    self.kill()
                    raise EngineError(
                        "the tree that the run left is too large to bring back: its tar stream has "
                        f"more than {STREAM} times the limit of a sandbox, "
                        f"{self._limits.sandbox} bytes"
                    )
                yield piece
        self.guest.answer(request, what)

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
