"""One sample of a comparison: a test event reduced to its figures and counters."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.inside.tree import Snapshot
from harness.measure.trials.recompiled import count_recompiled
from harness.measure.trials.scenario import SCENARIOS
from harness.runners.run import Outcome, Run


@dataclass(frozen=True)
class Sample:
    """One row of a result; counters are None where the run gave nothing to count, or it makes no sense."""

    runner: str
    scenario: str  # one of SCENARIOS
    block: int  # from 0, counted over all scenarios; no two blocks of a result have the same number
    place: int  # in the block's shuffled order, from 0
    outcome: str
    status: int | None
    seconds: float  # from the press of the button until the katas hold the result
    recompiled: (
        int | None
    )  # sources whose object file was made, or made anew; None: it cannot be told from object files
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
    at: float | None = (
        None  # seconds to the press of the button, from the start of the trials, or of the stint of a cluster
    )
    answered_seconds: float | None = None  # from the press of the button to the output in hand
    processor_seconds: float | None = None  # of all processes of the command
    harness_seconds: float | None = None  # processor time of the harness itself, all its threads
    memory: int | None = (
        None  # bytes that the run-container had at most; a piped sandbox lives in them too
    )
    machine: str = ""  # whose figures these are: a key of `machines` in the result's first line
    avatars: int = 1  # that played at once
    tree: str = ""
    tree_bytes: int | None = None  # of all files in the sandbox after the command
    tree_files: int | None = None
    disk_visible: int | None = (
        None  # bytes by which the test event made the katas grow: of visible files,
    )
    disk_extra: int | None = None  # of what runs have made,
    disk_history: int | None = None  # and of the git history

    @property
    def build(self) -> str:
        """FULL or INCREMENTAL: whether the scenario builds from nothing."""
        return SCENARIOS[self.scenario].build


@dataclass(frozen=True)
class Circumstances:
    """What is known of a test event before it is played."""

    runner: str
    scenario: str
    block: int
    place: int
    at: float
    tree: str
    edited: frozenset[bytes] = frozenset()
    answer: str | None = None  # the right one, where it is known
    avatars: int = 1
    before: Snapshot = field(default_factory=dict)
    """The sandbox at the end of this arm's last test event; empty for a full build."""


def reduce(run: Run, known: Circumstances, *, harness_seconds: float | None = None) -> Sample:
    """The sample of a run."""
    phases: dict[str, float] = {}
    for phase in run.phases:
        phases[phase.kind] = phases.get(phase.kind, 0.0) + phase.nanoseconds / 1e9
    kept = changed = recompiled = tree_bytes = tree_files = None
    seen = run.observed
    if seen and seen.after:
        recompiled = count_recompiled(seen.before, seen.after)
        sizes = [entry.size for entry in seen.after.values() if entry.kind == "f"]
        tree_bytes, tree_files = sum(sizes), len(sizes)
        if known.before:
            kept, changed = count_stamps(known.before, seen.before, known.edited)
    grown = seen.grown if seen else None
    printed = last_line(run.stdout)
    return Sample(
        runner=known.runner,
        scenario=known.scenario,
        block=known.block,
        place=known.place,
        outcome=run.outcome,
        status=run.status,
        seconds=run.nanoseconds / 1e9,
        recompiled=recompiled,
        mtimes_kept=kept,
        mtimes_changed=changed,
        answer=printed,
        right=None
        if known.answer is None
        else run.outcome is Outcome.COMPLETED and printed == known.answer,
        bytes_in=sum(phase.bytes_in for phase in run.phases),
        bytes_out=sum(phase.bytes_out for phase in run.phases),
        phases=phases,
        reason=run.reason,
        at=known.at,
        answered_seconds=None if run.answered is None else run.answered / 1e9,
        processor_seconds=None
        if not seen or seen.processor_ns is None
        else seen.processor_ns / 1e9,
        harness_seconds=harness_seconds,
        memory=seen.memory if seen else None,
        avatars=known.avatars,
        tree=known.tree,
        tree_bytes=tree_bytes,
        tree_files=tree_files,
        disk_visible=grown.visible if grown else None,
        disk_extra=grown.extra if grown else None,
        disk_history=grown.history if grown else None,
    )


def last_line(output: str) -> str:
    """The last line that is not blank."""
    lines = output.strip().splitlines()
    return lines[-1].strip() if lines else ""


def count_stamps(before: Snapshot, now: Snapshot, edited: frozenset[bytes]) -> tuple[int, int]:
    """Of the files and symlinks that were there before and were not edited: how many kept their stamp, how
    many did not.
    """
    files = [path for path, entry in before.items() if entry.kind in "fl" and path not in edited]
    kept = sum(1 for path in files if path in now and now[path].mtime_ns == before[path].mtime_ns)
    return kept, len(files) - kept
