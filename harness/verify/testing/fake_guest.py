"""The fake engine's run-containers: guest.sh in Python."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import signal
import stat
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from harness.engines.folders import remove_folder
from harness.engines.guest.command_line import GUEST
from harness.engines.guest.environment import PATH, TRUSTED
from harness.engines.guest.protocol import MARK_SECONDS, Follows, Request, answer_line
from harness.engines.streams import remaining, take
from harness.inside import tarpipe
from harness.inside.changes import FIRST_MARK, LISTING_FORMAT, MARK_FORMAT, SECOND_MARK
from harness.inside.errors import EngineError, StreamCut
from harness.inside.tree import FIND_FORMAT, KINDS, walk
from harness.verify.testing.player import Clock, PlayerProgram


class FakeMachine(Protocol):
    """What a guest runs on. A test may change it between two requests."""

    play: PlayerProgram
    clock: Clock

    room: int | None
    """The size of a sandbox in bytes. None: there is no limit."""


class FakeGuest:
    """The stream to a guest.sh in Python: the last byte of a request brings the answer.

    `do_X` serves the request X of `harness.engines.guest.protocol`, with its arguments and what
    followed it.
    """

    def __init__(self, machine: FakeMachine, folder: Path, sandbox: Path) -> None:
        """Serve `sandbox`; `folder` goes with the guest."""
        self._machine, self._folder, self._sandbox = machine, folder, sandbox
        self._input = bytearray()
        self._output: deque[tuple[int, bytes]] = deque()
        self._nonce = b""
        # The request whose chunks are coming, with its arguments, and the chunks so far.
        self._asked: tuple[Request, list[int]] | None = None
        self._chunks = bytearray()
        self._used_ns = 0
        self._news = threading.Event()
        self._gone = self._never_ends = False

    def write(self, data: bytes, deadline: float) -> None:
        if self._gone:
            raise StreamCut("the other end of the stream has gone: Broken pipe")
        self._input += data
        while self._step():
            pass
        self._news.set()

    def close_write(self) -> None:
        """Do nothing: no request waits for the end of the input."""

    def read(self, deadline: float) -> tuple[int, bytes]:
        while not self._output and not self._gone and self._asked:
            # Another thread still sends the chunks.
            self._news.wait(remaining(deadline))
            self._news.clear()
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
        self._news.set()

    def close(self) -> None:
        self.kill()
        remove_folder(self._folder)

    def _step(self) -> bool:
        """Take one piece of the input; return False if more of it must come first."""
        line, end, rest = self._input.partition(b"\n")
        if not end:
            return False
        if self._asked:
            return self._take_chunk(int(line), len(line) + 1)
        if not self._nonce:
            del self._input[: len(line) + 1]
            self._nonce = bytes(line)
            return True
        word, *arguments = os.fsdecode(bytes(line)).split()
        if word not in _REQUESTS:
            raise EngineError(f"the fake run-container has no request {word}")
        request, numbers = _REQUESTS[word], [int(argument) for argument in arguments]
        if request.follows is Follows.COMMAND and b"\n" not in rest:
            return False
        del self._input[: len(line) + 1]
        if request.follows is Follows.NOTHING:
            self._serve(request, numbers, b"")
        elif request.follows is Follows.COMMAND:
            command = take(self._input, self._input.index(b"\n") + 1)
            self._serve(request, numbers, command[:-1])
        else:
            self._asked = request, numbers
        return True

    def _take_chunk(self, size: int, header: int) -> bool:
        assert self._asked is not None
        if len(self._input) < header + size:
            return False
        self._chunks += self._input[header : header + size]
        del self._input[: header + size]
        if not size:
            self._serve(*self._asked, take(self._chunks, len(self._chunks)))
            self._asked = None
        return True

    def _serve(self, request: Request, arguments: Sequence[int], followed: bytes) -> None:
        serve = getattr(self, f"do_{request.word}")
        if request.follows is Follows.NOTHING:
            serve(*arguments)
        elif request.follows in (Follows.PATHS, Follows.FILES):
            paths = followed.split(b"\0")[:-1]
            serve(*arguments, [path.removeprefix(request.prefix) for path in paths])
        else:
            serve(*arguments, followed)

    def do_unpack(self, archive: bytes) -> None:
        room = self._machine.room
        if room is not None and len(archive) > room:
            return self._done(Request.UNPACK, 2, "tar: No space left on device")
        try:
            tarpipe.unpack(str(self._sandbox), [archive])
        except StreamCut as error:
            return self._done(Request.UNPACK, 2, str(error))
        return self._done(Request.UNPACK)

    def do_ready(self) -> None:
        self._answer(Request.READY)

    def do_run(self, *arguments: Any) -> None:
        _, *roots, line = arguments
        if roots and (root := os.stat(self._sandbox).st_ino) not in roots:
            return self._say(1, Request.RUN.begins, b"%d" % root)
        self._say(1, Request.RUN.begins)
        before, command = _stamps(self._sandbox), os.fsdecode(line)
        used = _processor_ns()
        played = self._machine.play(self._sandbox, command)
        self._used_ns += _processor_ns() - used
        self._restamp(before)
        if played is None:
            self._never_ends = True
            return None
        self._output += [(1, played.stdout), (2, played.stderr)]
        self._say(2, Request.RUN.answer)
        reason = (
            _why_not(self._sandbox, command, played.status) if played.status in (126, 127) else ""
        )
        return self._answer(Request.RUN, b"%d - %b" % (played.status, os.fsencode(reason)))

    def _restamp(self, before: Mapping[bytes, tuple[int, int]]) -> None:
        """Stamp what was written by the clock of the run."""
        root = os.fsencode(self._sandbox)
        after = _stamps(self._sandbox)
        for path in sorted(after, key=lambda path: -path.count(b"/") if path != b"." else 1):
            if before.get(path) != after[path] and self._machine.clock != Clock():
                stamp = self._machine.clock.stamp(after[path][1])
                os.utime(os.path.join(root, path), ns=(stamp, stamp), follow_symlinks=False)

    def do_observe(self) -> None:
        self._put(b"".join(self._find(FIND_FORMAT)))
        self._done(Request.OBSERVE)

    def do_usage(self) -> None:
        self._put(b"processor %d\n" % self._used_ns)
        self._answer(Request.USAGE)

    def do_clock(self) -> None:
        stamp = self._machine.clock.stamp(time.time_ns())
        self._answer(Request.CLOCK, b"%d.%09d" % divmod(stamp, 10**9))

    def do_mark(self) -> None:
        marks = [self._folder / os.fsdecode(name) for name in (FIRST_MARK, SECOND_MARK)]
        marks[0].write_bytes(b"\n")
        time.sleep(MARK_SECONDS)
        marks[0].read_bytes()
        marks[1].write_bytes(b"\n")
        self._put(_file_system(self._sandbox))
        for mark in marks:
            self._put(_found(MARK_FORMAT, os.fsencode(mark.name), mark.lstat()))
        self._done(Request.MARK)

    def do_list(self, most: int) -> None:
        listing = b"".join(self._find(LISTING_FORMAT))
        self._put(listing[:most])
        self._done(Request.LIST, 128 + signal.SIGPIPE if len(listing) > most else 0)

    def do_digest(self, paths: Sequence[bytes]) -> None:
        root, status = os.fsencode(self._sandbox), 0
        for path in paths:
            try:
                content = Path(os.fsdecode(os.path.join(root, path))).read_bytes()
            except OSError:
                status = _SOME_FAILED
                continue
            digest = hashlib.blake2b(content).hexdigest().encode()
            self._put(b"%b  %b%b\0" % (digest, Request.DIGEST.prefix, path))
        self._done(Request.DIGEST, status)

    def do_delete(self, paths: Sequence[bytes]) -> None:
        root, complaints = os.fsencode(self._sandbox), []
        for path in paths:
            try:
                os.unlink(os.path.join(root, path))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                complaints.append(f"rm: cannot remove {os.fsdecode(path)!r}: {error.strerror}")
        self._done(Request.DELETE, _SOME_FAILED if complaints else 0, " ".join(complaints))

    def do_pick(self, paths: Sequence[bytes]) -> None:
        picked = self._folder / "picked"
        picked.write_bytes(b"".join(b"./%b\0" % path for path in paths))
        self._pack(
            Request.PICK, what=(), options=("--no-recursion", "--null", f"--files-from={picked}")
        )

    def do_pack(self) -> None:
        self._pack(Request.PACK)

    def _pack(self, request: Request, **how: Any) -> None:
        try:
            tarpipe.pack(str(self._sandbox), self._put, **how)
        except StreamCut as error:
            return self._done(request, 2, str(error))
        return self._done(request)

    def _find(self, form: str) -> Iterator[bytes]:
        return (
            _found(form, b"" if path == b"." else path, status)
            for path, status in walk(self._sandbox)
        )

    def _put(self, data: bytes) -> None:
        self._output.append((1, data))

    def _done(self, request: Request, status: int = 0, complaint: str = "") -> None:
        """Answer with a status, and with a complaint in one line."""
        words = b"%d %b" % (status, " ".join(complaint.split()).encode(errors="replace"))
        self._answer(request, words.strip())

    def _answer(self, request: Request, *words: bytes) -> None:
        self._say(1, request.answer, *words)

    def _say(self, source: int, word: str, *words: bytes) -> None:
        self._output.append((source, answer_line(self._nonce, word.encode(), *words)))


_REQUESTS = {request.word: request for request in Request}

_WHY = GUEST.partition("\nwhy='")[2].partition("'\n")[0]

_SOME_FAILED = 123
"""The exit status of xargs if a command that it started failed."""


def _found(form: str, path: bytes, status: os.stat_result) -> bytes:
    """Return what find prints of an entry by a format."""

    def stamp(nanoseconds: int) -> bytes:
        return b"%d.%09d0" % divmod(nanoseconds, 10**9)

    fields = {
        b"%y": KINDS[stat.S_IFMT(status.st_mode)].encode(),
        b"%m": b"%o" % stat.S_IMODE(status.st_mode),
        b"%s": b"%d" % status.st_size,
        b"%i": b"%d" % status.st_ino,
        b"%n": b"%d" % status.st_nlink,
        b"%A@": stamp(status.st_atime_ns),
        b"%C@": stamp(status.st_ctime_ns),
        b"%T@": stamp(status.st_mtime_ns),
        b"%P": path,
        b"%f": path,
        rb"\0": b"\0",
    }
    return re.sub(rb"%[ACT]@|%[a-zA-Z]|\\0", lambda part: fields[part[0]], form.encode())


def _file_system(folder: Path) -> bytes:
    """Return the name of a folder's file system, and a newline, as guest.sh prints them."""
    return subprocess.run(
        ["stat", "-f", "-c", "%T", folder], stdout=subprocess.PIPE, check=True, env=TRUSTED
    ).stdout


def _processor_ns() -> int:
    """Return what this thread, and the programs that this process waited for, have used so far."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.thread_time_ns() + round((children.ru_utime + children.ru_stime) * 1e9)


def _why_not(sandbox: Path, command: str, status: int) -> str:
    """Say why a command line could not be started, by the script of guest.sh. Empty: it was."""
    if status not in (126, 127):
        return ""
    words = ["/bin/sh", "-c", _WHY, "why", command, str(sandbox), PATH, str(status)]
    said = subprocess.run(words, stdout=subprocess.PIPE, check=False, env=TRUSTED).stdout
    return os.fsdecode(said).strip()


def _stamps(folder: Path) -> dict[bytes, tuple[int, int]]:
    """Return inode and mtime of everything in the tree."""
    return {path: (status.st_ino, status.st_mtime_ns) for path, status in walk(folder)}
