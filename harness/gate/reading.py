"""Turns result files into evidence: which may be judged together, and what a reader must know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.gate.evidence import Against, Evidence
from harness.inside.errors import UsageError
from harness.measure.results import Recording, read_result
from harness.measure.trials.sample import Sample

SAME = ("tree", "command", "engine", "storage driver")
"""Facts that must be the same: no ratio to bare make evens out a difference."""

NO_BASELINE = "so it cannot be the baseline"

LIKE = ("machine", "processors", "engine version", "kernel", "image", "tar")
"""Facts that may differ, since a ratio to bare make evens them out in part; readers are told."""


def read_evidence(results: Sequence[Path], baseline: Path | None = None) -> Evidence:
    """Read the evidence of one or more results.

    Raises UsageError for a file that is not a result, and for results or a baseline that cannot be
    compared.
    """
    recordings = [read_result(path) for path in results]
    first, *rest = recordings
    for recording in recordings:
        refuse_mixture(recording)
    for number, recording in enumerate(recordings):
        if same := [other.path for other in recordings[:number] if other.facts == recording.facts]:
            raise UsageError(
                f"{recording.path} is the same run as {same[0]}; leave one of them out"
            )
    remarks = []
    for recording in rest:
        refuse_unlike(first, recording, "so they cannot be judged together")
        remarks += _differences(first, recording)
    before: Sequence[Sample] = ()
    if baseline is not None:
        read = read_result(baseline)
        refuse_unlike(first, read, NO_BASELINE)
        if unlike := _differences(first, read):
            remarks += [
                *unlike,
                "so only ratios to bare make are compared, across machines that differ",
            ]
        recordings.append(read)
        before = read.samples
    remarks += [
        f"{recording.path} was cut short; it is judged by what it has"
        for recording in recordings
        if not recording.complete
    ]
    return Evidence(
        [recording.samples for recording in recordings[: len(results)]],
        baseline=before,
        against=None if baseline else _against(first),
        facts=first.facts,
        remarks=remarks,
    )


def _against(recording: Recording) -> Against:
    """Return what was measured as the baseline. Raises UsageError if it is not names of arms."""
    against = recording.facts.get("against")
    names = list(against.values()) if isinstance(against, dict) else [against]
    if not all(isinstance(name, str | None) for name in names):
        raise UsageError(f"{recording.path}:1: its against is not the name of a runner")
    return against


def refuse_mixture(recording: Recording) -> None:
    """Raise UsageError for a result of `harness scale` or `harness load`: its blocks are unlike."""
    sizes = {(sample.tree, sample.avatars) for sample in recording.samples}
    if len(sizes) > 1:
        raise UsageError(
            f"{recording.path} mixes {len(sizes)} sizes of tree or numbers of avatars; take a "
            "result "
            "of harness compare"
        )


def refuse_unlike(one: Recording, other: Recording, why: str) -> None:
    """Raise UsageError if no figure of the one says anything about the other."""
    ours, theirs = circumstances(one.facts), circumstances(other.facts)
    for key in SAME:
        if ours[key] != theirs[key]:
            raise UsageError(
                f"{other.path}: its {key} is {theirs[key]}, that of {one.path} is {ours[key]}, "
                f"{why}; "
                "measure both side by side, as with --against"
            )


def _differences(one: Recording, other: Recording) -> list[str]:
    """Say what differs."""
    ours, theirs = circumstances(one.facts), circumstances(other.facts)
    return [
        f"{other.path}: its {key} is {theirs[key]}, that of {one.path} is {ours[key]}"
        for key in LIKE
        if ours[key] != theirs[key]
    ]


def circumstances(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a result that SAME and LIKE name."""
    engine = facts["engine"]
    name, _, version = str(engine.get("engine", "")).partition(" ")
    known = {
        key: facts.get(key) for key in ("tree", "command", "machine", "processors", "image", "tar")
    }
    return {
        **known,
        "engine": name.rstrip(","),
        "engine version": version,
        "storage driver": engine.get("storage driver"),
        "kernel": engine.get("kernel"),
    }
