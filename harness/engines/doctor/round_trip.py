"""A small tree through a sandbox and back: the proof that an engine works, and what a fresh sandbox costs."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.engines import Engine, Limits, Sandbox, SandboxSpec
from harness.engines.guest.environment import players
from harness.inside import tarpipe
from harness.inside.errors import EngineError
from harness.inside.tree import Snapshot, difference, snapshot

TRIP_SECONDS = 60.0
"""What the whole trip may take, on a slow storage driver too."""

READ_COMPILER = "date +%s%N && gcc -S -x c -o - /dev/null >/dev/null && date +%s%N"
"""Compiles nothing, which reads the compiler; timed by itself, so that the way into the sandbox does not count."""

BUILDERS = ("gcc", "make")
"""What a sandbox that builds C has."""

BUILD = (
    r"mkdir .doctor && cd .doctor && printf '#include <stdio.h>\nint main(void) { return putchar(10) < 0; }\n' >hello.c && "
    r"printf 'hello: hello.c\n\tgcc -o hello hello.c\n' >Makefile && make -s && ./hello; "
    "status=$?; cd .. && rm -rf .doctor; exit $status"
)
"""A program with the C library in it, which a compiler without that library's headers cannot build."""


@dataclass(frozen=True)
class RoundTrip:
    """What came of it."""

    changed: tuple[str, ...]  # what came back other than it went; empty when all was exact
    tar: str  # flavour and version in the sandbox
    start_seconds: float  # from asking for a sandbox to its first answer
    read_seconds: (
        float | None
    )  # READ_COMPILER, the first time in a fresh sandbox; None without a compiler
    count: int  # sandboxes; the seconds are medians
    lacks: tuple[str, ...] = ()  # what there has to be in the sandbox before it builds C

    @property
    def problem(self) -> str:
        """What makes a pipe through it useless; empty when it is exact."""
        if not self.changed:
            return ""
        return f"{self.tar} did not bring back as they went: {', '.join(self.changed)}"


def make_round_trip(
    engine: Engine, count: int = 1, report: Callable[[str], None] = lambda line: None
) -> RoundTrip:
    """Send a tree through `count` fresh sandboxes, one after the other. Raises EngineError when one fails."""
    changed: set[str] = set()
    starts, reads = [], []
    tar = ""
    lacks: tuple[str, ...] = ()
    for number in range(count):
        report(f"{engine.name}: sandbox {number + 1} of {count}")
        began = time.monotonic()
        with contextlib.closing(
            engine.open(SandboxSpec(limits=Limits(event_seconds=TRIP_SECONDS)))
        ) as sandbox:
            answered = sandbox.execute(":", TRIP_SECONDS)
            if answered.status != 0:
                raise EngineError(
                    f"a sandbox cannot run a command: {_said(answered.stderr, answered.reason)}"
                )
            starts.append(time.monotonic() - began)
            read = sandbox.execute(READ_COMPILER, TRIP_SECONDS)
            reads += _between(read.stdout) if read.status == 0 else []
            tar = flavour(
                sandbox.execute("tar --version", TRIP_SECONDS).stdout.decode(errors="replace")
            )
            lacks = lacking(sandbox)
            changed |= _there_and_back(sandbox)
    return RoundTrip(
        tuple(sorted(changed)),
        tar,
        statistics.median(starts),
        statistics.median(reads) if reads else None,
        count,
        lacks,
    )


def lacking(sandbox: Sandbox) -> tuple[str, ...]:
    """What it lacks to build C, by trying it: BUILDERS that are not there, or why they build nothing."""
    done = sandbox.execute(BUILD, TRIP_SECONDS)
    if done.status == 0:
        return ()
    missing = [
        each for each in BUILDERS if sandbox.execute(f"{each} --version", TRIP_SECONDS).status != 0
    ]
    said = done.stderr.decode(errors="replace").splitlines()
    telling = next((each for each in said if "error" in each), _said(done.stderr, done.reason))
    return tuple(missing) or (f"what a C program is built with ({telling.strip()})",)


def read_compiler(count: int) -> float | None:
    """Seconds of READ_COMPILER on this machine itself, the median of `count` after one; None without a compiler."""
    reads = []
    for _ in range(count + 1):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(
                ["/bin/sh", "-c", READ_COMPILER],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                env=players(),
                timeout=TRIP_SECONDS,
                check=False,
            )
            reads += _between(done.stdout) if done.returncode == 0 else []
    return statistics.median(reads[1:]) if len(reads) > 1 else None


def exact_pipe() -> tuple[str, ...]:
    """What this machine's own tar does not bring back as it went: empty when it is exact. Raises StreamCut."""
    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as folder:
        source, target = _make_tree(Path(folder))
        chunks: list[bytes] = []
        tarpipe.pack(str(source), chunks.append)
        tarpipe.unpack(str(target), chunks)
        return tuple(sorted(_changed(source, target)))


def flavour(said: str) -> str:
    """A short name for a tar by what it says of itself: "tar (GNU tar) 1.34" is GNU tar 1.34."""
    line = said.partition("\n")[0].strip()
    return (
        line.removeprefix("tar ").replace("(", "").replace(")", "")
        or "a tar that does not tell its version"
    )


def _there_and_back(sandbox: Sandbox) -> set[str]:
    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as folder:
        source, target = _make_tree(Path(folder))
        sandbox.unpack(lambda write: tarpipe.pack(str(source), write))
        # An image whose find cannot print stamps observes nothing; the way back tells it all the same.
        there = difference(
            _untargeted(snapshot(source)), sandbox.observe() or _untargeted(snapshot(source))
        )
        tarpipe.unpack(str(target), sandbox.pack())
        return {os.fsdecode(each) for each in there.changed + there.removed} | _changed(
            source, target
        )


def _untargeted(found: Snapshot) -> Snapshot:
    """As a sandbox observes it: where symlinks point to is not in it."""
    return {path: replace(entry, target=b"") for path, entry in found.items()}


def _make_tree(folder: Path) -> tuple[Path, Path]:
    """A tree of each kind of entry, with stamps to the nanosecond, and an empty folder for its return."""
    source, target = folder / "source", folder / "target"
    target.mkdir()
    (source / "folder").mkdir(parents=True)
    (source / "folder" / "file").write_text("exact?\n")
    (source / "link").symlink_to("folder/file")
    now = time.time_ns() // 10**9 * 10**9
    for number, path in enumerate(
        (source / "folder" / "file", source / "folder", source / "link", source)
    ):
        stamp = now - 10**9 + 123_456_789 + number  # told apart by their last digits alone
        os.utime(path, ns=(stamp, stamp), follow_symlinks=False)
    return source, target


def _changed(source: Path, target: Path) -> set[str]:
    found = difference(snapshot(source, contents=True), snapshot(target, contents=True))
    return {os.fsdecode(each) for each in found.changed + found.removed + found.added}


def _between(output: bytes) -> list[float]:
    """Seconds between the two stamps that READ_COMPILER printed; empty when date cannot print nanoseconds."""
    words = output.split()
    if len(words) != 2 or not all(each.isdigit() for each in words):
        return []
    return [(int(words[1]) - int(words[0])) / 1e9]


def _said(stderr: bytes, reason: str) -> str:
    return reason or " ".join(stderr.decode(errors="replace").split())[:200] or "it said nothing"
