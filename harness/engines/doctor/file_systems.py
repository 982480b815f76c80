"""The file systems that katas live on: their clock, what stamps they keep, and whether folders can be exchanged."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from harness.engines.doctor.finding import Finding, FindingGroup, softly
from harness.engines.folders import state_home
from harness.inside.disk import exchange

LITTLE = 2 * 10**9
"""Bytes of free space below which katas, sandboxes and an image that is being made get into each other's way."""

EARLY_NS, LATE_NS = -62_000_000_000 * 10**9, 253_000_000_000 * 10**9
"""The years 5 and 9987: beyond what any file system with limits keeps."""

COARSE_NS = 20 * 10**6
"""A kernel's clock ticks every 1 to 10 ms; a file system whose format keeps less than that is coarse."""

_SAMPLE_SECONDS, _PATIENCE_SECONDS = 0.1, 2.5
_STEPS = 5


@dataclass(frozen=True)
class FileClock:
    """How finely files are stamped as they are written."""

    smallest_ns: (
        int | None
    )  # step between distinct stamps; None when none was seen in _PATIENCE_SECONDS
    typical_ns: int | None  # the step seen most often
    format_ns: int  # what every stamp is a multiple of: 2 s on FAT, next to nothing where nanoseconds are kept
    shared: int  # pairs of files, written one right after the other, with one stamp
    pairs: int


@dataclass(frozen=True)
class Stamps:
    """What stamps can be set."""

    exact: bool  # to the nanosecond
    first_ns: int  # what EARLY_NS was read back as, and LATE_NS
    last_ns: int


def examine() -> tuple[FindingGroup, ...]:
    """A group for each file system: where temporary katas are, and where those that are kept."""
    try:
        homes = [
            (Path(tempfile.gettempdir()), "temporary katas"),
            (_existing(state_home()), "kept katas"),
        ]
    except OSError as error:
        return (FindingGroup("File system", (_closed(error),)),)
    systems: dict[int, list[tuple[Path, str]]] = {}
    for path, use in homes:
        systems.setdefault(path.stat().st_dev, []).append((path, use))
    return tuple(_examine(places) for places in systems.values())


def measure_clock(folder: Path) -> FileClock:
    """Write files until the clock has ticked a few times."""
    began = time.monotonic()
    pairs: list[tuple[int, int]] = []
    seen: set[int] = set()
    while (spent := time.monotonic() - began) < _PATIENCE_SECONDS:
        if spent > _SAMPLE_SECONDS and len(seen) > _STEPS:
            break
        files = [folder / f"{len(pairs)}{letter}" for letter in "ab"]
        for file in files:
            _write(file)
        one, other = (file.stat().st_mtime_ns for file in files)
        pairs.append((one, other))
        seen |= {one, other}
        time.sleep(0.0005 if spent < _SAMPLE_SECONDS else 0.02)
    stamps = sorted(seen)
    steps = [later - earlier for earlier, later in itertools.pairwise(stamps)]
    return FileClock(
        min(steps, default=None),
        _tick(steps),
        math.gcd(*stamps),
        sum(one == other for one, other in pairs),
        len(pairs),
    )


def measure_stamps(folder: Path) -> Stamps:
    """Set stamps and read them back."""
    file = folder / "stamped"
    file.touch()

    def back(stamp: int) -> int:
        os.utime(file, ns=(stamp, stamp))
        return file.stat().st_mtime_ns

    usual = time.time_ns() // 10**9 * 10**9 + 123_456_789
    return Stamps(back(usual) == usual, back(EARLY_NS), back(LATE_NS))


def exchange_problem(folder: Path) -> str:
    """Why two folders cannot be exchanged there; empty when they can."""
    for name in ("one", "other"):
        (folder / name).mkdir()
        (folder / name / name).touch()
    try:
        exchange(str(folder / "one"), str(folder / "other"))
    except OSError as error:
        return error.strerror or str(error)
    return "" if (folder / "one" / "other").exists() else "nothing was exchanged"


def clock_finding(clock: FileClock) -> Finding:
    """What make can tell apart."""
    if clock.smallest_ns is None or clock.typical_ns is None:
        what = f"no two stamps differed in {_PATIENCE_SECONDS:g} s"
        return Finding(
            "clock", "missing", what, "Edits cannot be told apart there: keep katas elsewhere."
        )
    what = (
        f"ticks every {_ms(clock.typical_ns)} (smallest step seen {_ms(clock.smallest_ns)}); of two files "
        f"written at once {clock.shared} of {clock.pairs} pairs share a stamp"
    )
    # Not by the steps that were seen: on a busy machine this process may be kept from writing for many ticks.
    if clock.format_ns > COARSE_NS:
        return Finding(
            "clock", "fair", what, "Coarse: a plain make misses edits for as long as that."
        )
    if not clock.shared:
        return Finding("clock", "good", what)
    return Finding(
        "clock",
        "good",
        what,
        "As usual: make cannot see an edit within a tick of the build. The harness stamps edits later than "
        "all that is in the sandbox; a script of yours has to see to that itself.",
    )


def stamps_finding(stamps: Stamps) -> Finding:
    """What trees can be kept exactly."""
    if not stamps.exact:
        return Finding(
            "stamps",
            "missing",
            "nanoseconds are not kept",
            "Trees do not come back as they went, and builds go stale: keep katas on another file system.",
            "set TMPDIR and HARNESS_HOME to folders on ext4, xfs, btrfs or tmpfs",
        )
    if (stamps.first_ns, stamps.last_ns) == (EARLY_NS, LATE_NS):
        return Finding("stamps", "good", "kept to the nanosecond, of any date")
    if not stamps.first_ns < time.time_ns() < stamps.last_ns:
        return Finding(
            "stamps", "fair", "kept to the nanosecond; dates far from today turn into others"
        )
    return Finding(
        "stamps",
        "good",
        f"kept to the nanosecond, from {_date(stamps.first_ns)} to {_date(stamps.last_ns)}",
        "Dates outside are moved to the nearer end without an error: such a tree is not exact.",
    )


def exchange_finding(problem: str) -> Finding:
    """Whether a tree can be replaced in one step."""
    if problem:
        return Finding(
            "exchange",
            "missing",
            f"two folders cannot be swapped in one step: {problem}",
            "A tree that comes back cannot replace the old one atomically: keep katas on another file system.",
            "set TMPDIR and HARNESS_HOME to folders on ext4, xfs, btrfs or tmpfs",
        )
    return Finding(
        "exchange",
        "good",
        "two folders can be swapped in one step (renameat2): trees are replaced atomically",
    )


def space_finding(free: int) -> Finding:
    """Whether there is room."""
    what = f"{free / 1e9:.1f} GB"
    if free < LITTLE:
        return Finding(
            "free space",
            "fair",
            what,
            "Little: an image needs 0.5 GB while it is made, a run up to 1 GB.",
        )
    return Finding("free space", "good", what)


def _examine(places: list[tuple[Path, str]]) -> FindingGroup:
    where = ", ".join(f"{use} in {path}" for path, use in places)
    folder = places[0][0]
    try:
        findings = _probe(folder)
    except OSError as error:
        findings = (_closed(error),)
    return FindingGroup(f"File system: {where} ({_kind(folder)})", findings)


def _probe(place: Path) -> tuple[Finding, ...]:
    with tempfile.TemporaryDirectory(prefix="harness-doctor-", dir=place) as name:
        folder = Path(name)
        return (
            softly("clock", lambda: clock_finding(measure_clock(folder))),
            softly("stamps", lambda: stamps_finding(measure_stamps(folder))),
            softly("exchange", lambda: exchange_finding(exchange_problem(folder))),
            softly("free space", lambda: space_finding(shutil.disk_usage(folder).free)),
        )


def _closed(error: OSError) -> Finding:
    return Finding(
        "folder",
        "missing",
        f"nothing can be written: {error.strerror or error}",
        "No katas can be kept there.",
        "set TMPDIR and HARNESS_HOME to folders of yours with room",
    )


def _tick(steps: list[int]) -> int | None:
    # Not the median: on a kernel from 6.13 on, whoever looks at files and writes them makes stamps in between.
    found = statistics.mode(round(each, -5) for each in steps) if steps else None
    return found or (int(statistics.median(steps)) if steps else None)


def _write(file: Path) -> None:
    # Python's open() looks at the file before it writes, and a kernel from 6.13 on stamps a file that was looked
    # at from a finer clock than what a compiler's plain open and write get.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, b"x")
    finally:
        os.close(descriptor)


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(each for each in (path, *path.absolute().parents) if each.is_dir())


def _kind(path: Path) -> str:
    """The name of its file system, by the mount that it is below."""
    best, kind = "", "of unknown kind"
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
            left, _, right = line.partition(" - ")
            mount = re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), left.split()[4])
            if len(mount) >= len(best) and path.resolve().is_relative_to(mount):
                best, kind = mount, right.split()[0]
    return kind


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.3g} ms"


def _date(nanoseconds: int) -> str:
    return (datetime(1970, 1, 1) + timedelta(seconds=nanoseconds // 10**9)).date().isoformat()  # noqa: DTZ001 - UTC
