"""A run reduced to its figures and counters."""

from __future__ import annotations

from harness.inside.tree import Entry
from harness.measure.trials.sample import Circumstances, count_stamps, last_line, reduce
from harness.runners.run import Observation, Outcome, Phase, Run


def file(mtime_ns: int, kind: str = "f") -> Entry:
    return Entry(kind, 0o644, 1, mtime_ns)


BEFORE = {
    b".": file(1, "d"),
    b"a.c": file(10),
    b"a.o": file(11),
    b"b.c": file(12),
    b"b.o": file(13),
}


def run(**changes: object) -> Run:
    fields: dict[str, object] = {
        "outcome": Outcome.COMPLETED,
        "status": 0,
        "stdout": "making\nanswer: 1\n\n",
        "stderr": "",
        "truncated": False,
        "tag": 1,
        "phases": (
            Phase("save", "1st", 1_000_000),
            Phase("run", "run", 2_000_000),
            Phase("save", "3rd", 500_000),
        ),
        "nanoseconds": 4_000_000,
        "observed": Observation(BEFORE, BEFORE | {b"a.o": file(99), b"b.o": file(98)}),
    }
    return Run(**(fields | changes))  # type: ignore[arg-type]


def test_stamps_count_for_files_that_were_there_and_were_not_edited() -> None:
    """A stamp that is one nanosecond off, and a file that is gone, have changed; folders and edited
    files do not count.
    """
    now = {b".": file(2, "d"), b"a.c": file(50), b"a.o": file(12), b"b.c": file(12)}
    assert count_stamps(BEFORE, now, frozenset([b"a.c"])) == (1, 2)


def known(**changes: object) -> Circumstances:
    fields: dict[str, object] = {
        "runner": "tmp",
        "scenario": "full",
        "block": 0,
        "place": 0,
        "at": 1.5,
        "tree": "t",
    }
    return Circumstances(**(fields | changes))  # type: ignore[arg-type]


def test_an_answer_is_right_only_if_the_run_completed() -> None:
    """The last line that is not blank counts; without anything to compare with nobody knows."""
    assert reduce(run(), known(answer="answer: 1")).right is True
    assert reduce(run(), known(answer="answer: 2")).right is False
    assert reduce(run(), known()).right is None
    timed_out = run(outcome=Outcome.TIMED_OUT, observed=None)
    assert reduce(timed_out, known(answer="answer: 1")).right is False


def test_phases_of_one_kind_are_added_up() -> None:
    """tmp copies files twice, before the run and after it."""
    sample = reduce(run(), known())
    assert sample.phases == {"save": 0.0015, "run": 0.002}
    assert (sample.recompiled, sample.mtimes_kept, sample.seconds) == (2, None, 0.004)


def test_what_a_run_used_and_where_it_was_played_is_kept() -> None:
    """The tree is as large as what the command left in the sandbox; folders are no files."""
    used = Observation(BEFORE, BEFORE | {b"c.o": file(98)}, processor_ns=500_000_000, memory=4096)
    sample = reduce(run(observed=used), known(), harness_seconds=0.25)
    assert (sample.processor_seconds, sample.memory, sample.harness_seconds) == (0.5, 4096, 0.25)
    assert (sample.tree, sample.tree_files, sample.tree_bytes, sample.at) == ("t", 5, 5, 1.5)
    assert reduce(run(observed=None), known()).processor_seconds is None


def test_the_last_line_of_nothing_is_nothing() -> None:
    assert last_line(" \n\n") == ""
