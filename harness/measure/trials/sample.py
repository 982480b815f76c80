"""A sample: one test event reduced to its figures and counters."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.inside.tree import Snapshot
from harness.measure.trials.recompilation import count_recompiled
from harness.measure.trials.scenario import SCENARIOS
from harness.runners.run import Outcome, Run


@dataclass(frozen=True)
class Sample:
    """One row of a result; a counter is None if there was nothing to count."""

    runner: str
    """The name of the arm."""
    scenario: str
    """One of SCENARIOS."""
    block: int
    """The number of the block, from 0; no two blocks of a result have the same."""
    place: int
    """The place in the block's shuffled order, from 0."""
    outcome: str
    """`completed`, `timed_out` or `faulty`."""
    status: int | None
    """The exit status of the command."""
    seconds: float
    """Seconds from the press until the katas held the result."""
    recompiled: int | None
    """Sources whose object file is new or rewritten; None if object files do not tell."""
    mtimes_kept: int | None
    """Files with the mtime that they had at the end of the last test event."""
    mtimes_changed: int | None
    """Other files of the last test event that were not edited: missing, or with another mtime."""
    answer: str
    """The last line that the command printed."""
    right: bool | None
    """Whether that was the right answer; None if unknown."""
    bytes_in: int
    """Bytes piped into the container."""
    bytes_out: int
    """Bytes piped out of the container."""
    phases: dict[str, float]
    """Seconds of each kind of phase, summed if a kind comes twice."""
    reason: str = ""
    """Why the test event was faulty."""
    at: float | None = None
    """Seconds from the start of the trials, or of a cluster's stint, to the press."""
    answered_seconds: float | None = None
    """Seconds from the press until the output was in hand."""
    processor_seconds: float | None = None
    """Processor time of all processes of the command in seconds."""
    harness_seconds: float | None = None
    """Processor time of all threads of the harness itself in seconds."""
    memory: int | None = None
    """The peak memory of the run-container in bytes, which includes a piped sandbox."""
    machine: str = ""
    """The machine that played it: a key of `machines` in the result's first line."""
    avatars: int = 1
    """How many avatars played at once."""
    tree: str = ""
    """The name of the tree."""
    tree_bytes: int | None = None
    """Bytes of all files in the sandbox after the command."""
    tree_files: int | None = None
    """Files in the sandbox after the command."""
    disk_visible: int | None = None
    """Bytes of visible files that the test event added to the katas."""
    disk_extra: int | None = None
    """Bytes of files made by runs that it added."""
    disk_history: int | None = None
    """Bytes of git history that it added."""

    @property
    def build(self) -> str:
        """FULL if the scenario builds from nothing, else INCREMENTAL."""
        return SCENARIOS[self.scenario].build


@dataclass(frozen=True)
class Circumstances:
    """What is known of a test event before it is played."""

    runner: str
    """The name of the arm."""
    scenario: str
    """One of SCENARIOS."""
    block: int
    """The number of the block, from 0."""
    place: int
    """The place in the block's shuffled order, from 0."""
    at: float
    """Seconds from the start of the trials to the press."""
    tree: str
    """The name of the tree."""
    edited: frozenset[bytes] = frozenset()
    """The files that the player edited."""
    answer: str | None = None
    """The right answer; None if unknown."""
    avatars: int = 1
    """How many avatars play at once."""
    before: Snapshot = field(default_factory=dict)
    """The sandbox at the end of this arm's last test event; empty for a full build."""


def reduce(run: Run, known: Circumstances, *, harness_seconds: float | None = None) -> Sample:
    """Reduce a run to a sample."""
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
    """Return the last line that is not blank."""
    lines = output.strip().splitlines()
    return lines[-1].strip() if lines else ""


def count_stamps(before: Snapshot, now: Snapshot, edited: frozenset[bytes]) -> tuple[int, int]:
    """Count the files and symlinks of `before` that kept their mtime, and those that did not.

    Edited files do not count.
    """
    files = [path for path, entry in before.items() if entry.kind in "fl" and path not in edited]
    kept = sum(1 for path in files if path in now and now[path].mtime_ns == before[path].mtime_ns)
    return kept, len(files) - kept
