"""A sample: one test event reduced to its figures and counters, with the table of all metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from harness.inside.tree import Snapshot
from harness.measure.trials.metric import Kind, Metric
from harness.measure.trials.recompilation import count_recompiled
from harness.measure.trials.scenario import SCENARIOS
from harness.runners.run import PHASES, Outcome, Run


@dataclass(frozen=True)
class Sample:
    """One row of a result, and the table of all metrics: the annotations say what each field is.

    To add a metric, add a field here and set it in `reduce`; all else follows.
    """

    runner: Annotated[str, Metric("the name of the arm; `bare-make` is the floor", since=1)]
    scenario: Annotated[
        str, Metric("what the player did, see below", values=tuple(SCENARIOS), since=1)
    ]
    block: Annotated[
        int, Metric("the number of the block, from 0; no two of a file have the same", since=1)
    ]
    place: Annotated[int, Metric("the place in the block's shuffled order, from 0", since=1)]
    outcome: Annotated[str, Metric("how it ended", values=tuple(Outcome), since=1)]
    status: Annotated[int | None, Metric("the command's exit status", least=None, since=1)]
    seconds: Annotated[
        float,
        Metric(
            "from the press of the button until the katas held the result", Kind.TIME, "s", since=1
        ),
    ]
    recompiled: Annotated[
        int | None,
        Metric(
            "sources whose object file (`*.o`) was written; unknown if that cannot be counted, as "
            "with javac, tsc, Go and cargo",
            Kind.COUNTER,
            since=1,
        ),
    ]
    mtimes_kept: Annotated[
        int | None,
        Metric(
            "files that were not edited, and have the stamp, to the nanosecond, that they had at "
            "the end of the test event before",
            Kind.COUNTER,
            since=1,
        ),
    ]
    mtimes_changed: Annotated[
        int | None,
        Metric(
            "files that were not edited, and have another stamp or are gone", Kind.COUNTER, since=1
        ),
    ]
    answer: Annotated[str, Metric("the last line that the command printed", since=1)]
    right: Annotated[
        bool | None,
        Metric("whether that was the right answer; unknown if there is none to compare", since=1),
    ]
    bytes_in: Annotated[int, Metric("piped into the container", Kind.COUNTER, "B", since=1)]
    bytes_out: Annotated[int, Metric("piped out of the container", Kind.COUNTER, "B", since=1)]
    phases: Annotated[
        dict[str, float],
        Metric(
            "in each kind of [phase](../explanation/runners), summed if a kind comes twice",
            Kind.TIME,
            "s",
            values=PHASES,
            since=1,
        ),
    ]
    reason: Annotated[str, Metric("why it was faulty; empty if it was not", since=1)] = ""
    at: Annotated[
        float | None,
        Metric(
            "from the start of the trials, or of a cluster's stint, to the press of the button",
            unit="s",
        ),
    ] = None
    answered_seconds: Annotated[
        float | None,
        Metric("from the press of the button until the output was in hand", Kind.TIME, "s"),
    ] = None
    processor_seconds: Annotated[
        float | None,
        Metric(
            "processor time of all processes of the command; to a hundredth where there are no "
            "control groups",
            Kind.TIME,
            "s",
            shown="processor time",
        ),
    ] = None
    harness_seconds: Annotated[
        float | None,
        Metric(
            "processor time of all threads of the harness itself; another clock's time is "
            "subtracted from it, so that it may be a little below 0",
            Kind.TIME,
            "s",
            least=None,
            shown="  of the harness",
        ),
    ] = None
    memory: Annotated[
        int | None,
        Metric(
            "what the run-container used at most, a piped sandbox included; unknown where nobody "
            "counts it",
            Kind.MEMORY,
            "B",
            shown="peak memory",
        ),
    ] = None
    machine: Annotated[
        str, Metric("the machine that played it: a key of `machines` in the file's first line")
    ] = ""
    avatars: Annotated[int, Metric("how many avatars played at once", least=1)] = 1
    tree: Annotated[str, Metric("the name of the tree that was built")] = ""
    tree_bytes: Annotated[
        int | None, Metric("all files in the sandbox after the command", Kind.COUNTER, "B")
    ] = None
    tree_files: Annotated[
        int | None, Metric("how many files were in the sandbox after the command", Kind.COUNTER)
    ] = None
    disk_visible: Annotated[
        int | None,
        Metric(
            "visible files that the test event added to the katas", Kind.COUNTER, "B", least=None
        ),
    ] = None
    disk_extra: Annotated[
        int | None,
        Metric("files made by runs that it added to the katas", Kind.COUNTER, "B", least=None),
    ] = None
    disk_history: Annotated[
        int | None,
        Metric("git history that it added to the katas", Kind.COUNTER, "B", least=None),
    ] = None

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
