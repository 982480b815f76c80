"""One sample of a comparison: a test event reduced to its figures and counters."""

from __future__ import annotations

from dataclasses import dataclass

from harness.runners.run import Outcome, Run
from harness.tree import Snapshot

FULL, INCREMENTAL = "full", "incremental"


@dataclass(frozen=True)
class Sample:
    """One row of a result; counters are None where the run gave nothing to count, or it makes no sense."""

    runner: str
    build: str  # FULL or INCREMENTAL
    block: int  # from 0, counted over both kinds of build
    place: int  # in the block's shuffled order, from 0
    outcome: str
    status: int | None
    seconds: float  # from the press of the button to the output in hand
    recompiled: int | None  # object files made or made anew
    mtimes_kept: (
        int | None
    )  # files in the sandbox with the stamp that they had at the end of the test event before
    mtimes_changed: (
        int | None
    )  # files that were there then, were not edited, and are not or have another stamp
    answer: str  # the last line that was printed
    right: bool | None  # whether that was the right answer; None: nobody knows
    bytes_in: int
    bytes_out: int
    phases: dict[str, float]  # seconds of each kind of phase; a kind may come twice in a test event
    reason: str = ""


def reduce(
    run: Run,
    *,
    runner: str,
    build: str,
    block: int,
    place: int,
    before: Snapshot,
    edited: frozenset[bytes],
    answer: str | None,
) -> Sample:
    """The sample of a run. `before` is the sandbox at the end of this arm's last test event; empty for a full
    build.
    """
    phases: dict[str, float] = {}
    for phase in run.phases:
        phases[phase.kind] = phases.get(phase.kind, 0.0) + phase.nanoseconds / 1e9
    kept = changed = recompiled = None
    if run.observed and run.observed.after:
        recompiled = count_recompiled(run.observed.before, run.observed.after)
        if before:
            kept, changed = count_stamps(before, run.observed.before, edited)
    printed = last_line(run.stdout)
    return Sample(
        runner=runner,
        build=build,
        block=block,
        place=place,
        outcome=run.outcome,
        status=run.status,
        seconds=run.nanoseconds / 1e9,
        recompiled=recompiled,
        mtimes_kept=kept,
        mtimes_changed=changed,
        answer=printed,
        right=None if answer is None else run.outcome is Outcome.COMPLETED and printed == answer,
        bytes_in=sum(phase.bytes_in for phase in run.phases),
        bytes_out=sum(phase.bytes_out for phase in run.phases),
        phases=phases,
        reason=run.reason,
    )


def last_line(output: str) -> str:
    """The last line that is not blank."""
    lines = output.strip().splitlines()
    return lines[-1].strip() if lines else ""


def count_recompiled(before: Snapshot, after: Snapshot) -> int:
    """Object files that the command wrote: new ones, and those with another stamp."""
    return sum(
        1
        for path, entry in after.items()
        if path.endswith(b".o") and (path not in before or before[path].mtime_ns != entry.mtime_ns)
    )


def count_stamps(before: Snapshot, now: Snapshot, edited: frozenset[bytes]) -> tuple[int, int]:
    """Of the files and symlinks that were there before and were not edited: how many kept their stamp, how
    many did not.
    """
    files = [path for path, entry in before.items() if entry.kind in "fl" and path not in edited]
    kept = sum(1 for path in files if path in now and now[path].mtime_ns == before[path].mtime_ns)
    return kept, len(files) - kept
