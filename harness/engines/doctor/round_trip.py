"""Send a small tree through a sandbox and back: proves that an engine works, and times it."""

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
"""Seconds that a sandbox may take for all of it, on a slow storage driver too."""

READ_COMPILER = "date +%s%N && gcc -S -x c -o - /dev/null >/dev/null && date +%s%N"
"""Compiles nothing, which reads the compiler from disk. It times itself, so transport does not
count.
"""

BUILDERS = ("gcc", "make")
"""The programs that a sandbox needs to build C."""

BUILD = (
    r"mkdir .doctor && cd .doctor && "
    r"printf '#include <stdio.h>\nint main(void) { return putchar(10) < 0; }\n' >hello.c && "
    r"printf 'hello: hello.c\n\tgcc -o hello hello.c\n' >Makefile && make -s && ./hello; "
    "status=$?; cd .. && rm -rf .doctor; exit $status"
)
"""Builds a program that includes the C library, whose headers may be missing."""


@dataclass(frozen=True)
class RoundTrip:
    """The result of a round trip."""

    changed: tuple[str, ...]
    """The entries that came back changed. Empty: all were exact."""

    tar: str
    """The flavour and version of the sandbox's tar."""

    start_seconds: float
    """The median time from asking for a sandbox to its first answer."""

    read_seconds: float | None
    """The median time of READ_COMPILER, the first in a fresh sandbox. None: no compiler."""

    count: int
    """How many sandboxes the medians are of."""

    lacks: tuple[str, ...] = ()
    """What the sandbox needs before it can build C. Empty: nothing."""

    @property
    def problem(self) -> str:
        """Why a pipe through it is useless. Empty: it is exact."""
        if not self.changed:
            return ""
        return f"{self.tar} did not bring back as they went: {', '.join(self.changed)}"


def make_round_trip(
    engine: Engine, count: int = 1, report: Callable[[str], None] = lambda line: None
) -> RoundTrip:
    """Send a tree through `count` fresh sandboxes in turn. Raises EngineError if one fails."""
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
    """Try to build C, and return what it lacks: missing BUILDERS, or why they fail."""
    done = sandbox.execute(BUILD, TRIP_SECONDS)
    if done.status == 0:
        return ()
    missing = [
        builder
        for builder in BUILDERS
        if sandbox.execute(f"{builder} --version", TRIP_SECONDS).status != 0
    ]
    lines = done.stderr.decode(errors="replace").splitlines()
    reason = next((line for line in lines if "error" in line), _said(done.stderr, done.reason))
    return tuple(missing) or (f"a working C toolchain ({reason.strip()})",)


def read_compiler(count: int) -> float | None:
    """Time READ_COMPILER on this machine: the median seconds of `count`, after one more.

    Returns None without a compiler.
    """
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
    """Return what this machine's tar changes in a round trip. Empty: nothing. Raises StreamCut."""
    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as folder:
        source, target = _make_tree(Path(folder))
        chunks: list[bytes] = []
        tarpipe.pack(str(source), chunks.append)
        tarpipe.unpack(str(target), chunks)
        return tuple(sorted(_changed(source, target)))


def flavour(said: str) -> str:
    """Return a short name for a tar's version line: "tar (GNU tar) 1.34" is GNU tar 1.34."""
    line = said.partition("\n")[0].strip()
    return (
        line.removeprefix("tar ").replace("(", "").replace(")", "")
        or "a tar that does not tell its version"
    )


def _there_and_back(sandbox: Sandbox) -> set[str]:
    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as folder:
        source, target = _make_tree(Path(folder))
        sandbox.unpack(lambda write: tarpipe.pack(str(source), write))
        # If the image's find cannot print stamps, it observes nothing, but the way back still
        # tells.
        there = difference(
            _untargeted(snapshot(source)), sandbox.observe() or _untargeted(snapshot(source))
        )
        tarpipe.unpack(str(target), sandbox.pack())
        paths = there.changed + there.removed
        return {os.fsdecode(path) for path in paths} | _changed(source, target)


def _untargeted(tree: Snapshot) -> Snapshot:
    """Return the snapshot as a sandbox observes it, without the targets of symlinks."""
    return {path: replace(entry, target=b"") for path, entry in tree.items()}


def _make_tree(folder: Path) -> tuple[Path, Path]:
    """Create a tree of each type of entry with exact stamps, and an empty folder to return to."""
    source, target = folder / "source", folder / "target"
    target.mkdir()
    (source / "folder").mkdir(parents=True)
    (source / "folder" / "file").write_text("exact?\n")
    (source / "link").symlink_to("folder/file")
    now = time.time_ns() // 10**9 * 10**9
    for number, path in enumerate(
        (source / "folder" / "file", source / "folder", source / "link", source)
    ):
        stamp = now - 10**9 + 123_456_789 + number  # only the last digits differ
        os.utime(path, ns=(stamp, stamp), follow_symlinks=False)
    return source, target


def _changed(source: Path, target: Path) -> set[str]:
    changes = difference(snapshot(source, contents=True), snapshot(target, contents=True))
    return {os.fsdecode(path) for path in changes.changed + changes.removed + changes.added}


def _between(output: bytes) -> list[float]:
    """Return the seconds that READ_COMPILER took; empty if date cannot print nanoseconds."""
    words = output.split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return []
    return [(int(words[1]) - int(words[0])) / 1e9]


def _said(stderr: bytes, reason: str) -> str:
    return reason or " ".join(stderr.decode(errors="replace").split())[:200] or "it gave no reason"
