"""Examine the file systems of katas: clock, stamps, exchange of folders, and free space."""

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
"""Bytes of free space that are too few for katas, sandboxes and an image that is being built."""

EARLY_NS, LATE_NS = -62_000_000_000 * 10**9, 253_000_000_000 * 10**9
"""Stamps in the years 5 and 9987, outside the range of any file system with limits."""

COARSE_NS = 20 * 10**6
"""A kernel's clock ticks every 1 to 10 ms; a file system whose format is coarser than this is
coarse.
"""

_SAMPLE_SECONDS, _PATIENCE_SECONDS = 0.1, 2.5
_STEPS = 5


@dataclass(frozen=True)
class FileClock:
    """How finely files are stamped when they are written."""

    smallest_ns: int | None
    """The smallest step between stamps, in ns. None: no step within _PATIENCE_SECONDS."""

    typical_ns: int | None
    """The most frequent step, in ns. None: as above."""

    format_ns: int
    """The greatest common divisor of all stamps, in ns: 2 s on FAT, almost 0 with nanoseconds."""

    shared: int
    """Pairs of files, one written right after the other, that have the same stamp."""

    pairs: int
    """All such pairs."""


@dataclass(frozen=True)
class Stamps:
    """What stamps can be set."""

    exact: bool
    """Whether stamps are kept to the nanosecond."""

    first_ns: int
    """What EARLY_NS was read back as: ns since 1970."""

    last_ns: int
    """What LATE_NS was read back as: ns since 1970."""


def examine() -> tuple[FindingGroup, ...]:
    """Return findings for each file system that holds temporary or kept katas."""
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
    """Say why two folders cannot be exchanged there. Empty: they can."""
    for name in ("one", "other"):
        (folder / name).mkdir()
        (folder / name / name).touch()
    try:
        exchange(str(folder / "one"), str(folder / "other"))
    except OSError as error:
        return error.strerror or str(error)
    return "" if (folder / "one" / "other").exists() else "nothing was exchanged"


def clock_finding(clock: FileClock) -> Finding:
    """Say how close in time two stamps can be for make to tell them apart."""
    if clock.smallest_ns is None or clock.typical_ns is None:
        what = f"no two stamps differed in {_PATIENCE_SECONDS:g} s"
        return Finding(
            "clock", "missing", what, "make cannot see edits there: keep katas elsewhere."
        )
    what = (
        f"ticks every {_ms(clock.typical_ns)} (smallest step seen {_ms(clock.smallest_ns)}); "
        f"{clock.shared} of {clock.pairs} pairs of files written at once share a stamp"
    )
    # Not judged by the steps: on a busy machine this process may not write for many ticks.
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
        "As usual: make cannot see an edit within a tick of the build. The harness stamps edits "
        "later than all that is in the sandbox; your own scripts must do so too.",
    )


def stamps_finding(stamps: Stamps) -> Finding:
    """Say which trees can be kept exactly."""
    if not stamps.exact:
        return Finding(
            "stamps",
            "missing",
            "nanoseconds are not kept",
            "Trees come back changed, and builds go stale: keep katas on another file system.",
            "set TMPDIR and HARNESS_HOME to folders on ext4, xfs, btrfs or tmpfs",
        )
    if (stamps.first_ns, stamps.last_ns) == (EARLY_NS, LATE_NS):
        return Finding("stamps", "good", "kept to the nanosecond, of any date")
    if not stamps.first_ns < time.time_ns() < stamps.last_ns:
        return Finding("stamps", "fair", "kept to the nanosecond; dates far from today are changed")
    return Finding(
        "stamps",
        "good",
        f"kept to the nanosecond, from {_date(stamps.first_ns)} to {_date(stamps.last_ns)}",
        "Dates outside are moved to the nearer end without an error, so such trees are not exact.",
    )


def exchange_finding(problem: str) -> Finding:
    """Say whether a tree can be replaced in one step."""
    if problem:
        return Finding(
            "exchange",
            "missing",
            f"two folders cannot be swapped in one step: {problem}",
            "A tree that comes back cannot replace the old one atomically: keep katas on another "
            "file system.",
            "set TMPDIR and HARNESS_HOME to folders on ext4, xfs, btrfs or tmpfs",
        )
    return Finding(
        "exchange",
        "good",
        "two folders can be swapped in one step (renameat2): trees are replaced atomically",
    )


def space_finding(free: int) -> Finding:
    """Say whether there is enough free space."""
    what = f"{free / 1e9:.1f} GB"
    if free < LITTLE:
        return Finding(
            "free space",
            "fair",
            what,
            "Little: building an image needs 0.5 GB, a run up to 1 GB.",
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
    # Not the median: since Linux 6.13, a process that looks at files and writes them causes stamps
    # in between.
    mode = statistics.mode(round(step, -5) for step in steps) if steps else None
    return mode or (int(statistics.median(steps)) if steps else None)


def _write(file: Path) -> None:
    # Python's open() looks at the file before it writes. Since Linux 6.13, a file that was looked
    # at gets a finer stamp than what a compiler's plain open and write get.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, b"x")
    finally:
        os.close(descriptor)


def _existing(path: Path) -> Path:
    """Return the folder, or its nearest ancestor that exists."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())


def _kind(path: Path) -> str:
    """Return the type of its file system."""
    best, kind = "", "of unknown kind"
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
            left, _, right = line.partition(" - ")
            mount = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), left.split()[4])
            if len(mount) >= len(best) and path.resolve().is_relative_to(mount):
                best, kind = mount, right.split()[0]
    return kind


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.3g} ms"


def _date(nanoseconds: int) -> str:
    # UTC; fromtimestamp() does not take all of these years.
    epoch = datetime(1970, 1, 1)  # noqa: DTZ001
    return (epoch + timedelta(seconds=nanoseconds // 10**9)).date().isoformat()
