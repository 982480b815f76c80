"""Result files to evidence: which results may be judged together, and what a reader must know of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.gate.evidence import Evidence
from harness.inside.errors import UsageError
from harness.measure.results import Recording, read_result
from harness.measure.trials.sample import Sample

SAME = ("tree", "command", "engine", "storage driver")
"""What figures depend on so much that no ratio to bare make evens it out."""

NO_BASELINE = "it is no baseline for that"

LIKE = ("machine", "processors", "engine version", "kernel", "image", "tar")
"""What such a ratio evens out in part: with a difference in these, a reader must be told."""


def read_evidence(results: Sequence[Path], baseline: Path | None = None) -> Evidence:
    """The evidence of one or more results. Raises UsageError for a file that is no result, and for results
    or a baseline that cannot be compared.
    """
    recordings = [read_result(each) for each in results]
    first, *rest = recordings
    for each in recordings:
        _refuse_mixture(each)
    for number, each in enumerate(recordings):
        if same := [other.path for other in recordings[:number] if other.facts == each.facts]:
            raise UsageError(
                f"{each.path} is the same run as {same[0]}, which must not count twice; leave one out"
            )
    remarks = []
    for each in rest:
        refuse_unlike(first, each, "they cannot be judged together")
        remarks += _differences(first, each)
    before: Sequence[Sample] = ()
    if baseline is not None:
        read = read_result(baseline)
        refuse_unlike(first, read, NO_BASELINE)
        if unlike := _differences(first, read):
            remarks += [
                *unlike,
                "so only ratios to bare make are compared, and those of an unlike machine",
            ]
        recordings.append(read)
        before = read.samples
    remarks += [
        f"{each.path} was cut short: it is judged by what there is"
        for each in recordings
        if not each.complete
    ]
    return Evidence(
        [each.samples for each in recordings[: len(results)]],
        baseline=before,
        against=None if baseline else first.facts.get("against"),
        facts=first.facts,
        remarks=remarks,
    )


def _refuse_mixture(recording: Recording) -> None:
    """Raise UsageError for a result of `harness scale` or `harness load`, in which blocks are of several sizes."""
    sizes = {(each.tree, each.avatars) for each in recording.samples}
    if len(sizes) > 1:
        raise UsageError(
            f"{recording.path}: its blocks are of {len(sizes)} sizes of tree or numbers of avatars; "
            "a gate judges results of one, as harness compare records them"
        )


def refuse_unlike(one: Recording, other: Recording, why: str) -> None:
    """Raise UsageError where no figure of the one says anything about the other."""
    ours, theirs = _circumstances(one.facts), _circumstances(other.facts)
    for key in SAME:
        if ours[key] != theirs[key]:
            raise UsageError(
                f"{other.path}: its {key} is {theirs[key]}, that of {one.path} is {ours[key]}: {why}; "
                "measure both side by side, as with --against"
            )


def _differences(one: Recording, other: Recording) -> list[str]:
    """What differs, in words."""
    ours, theirs = _circumstances(one.facts), _circumstances(other.facts)
    return [
        f"{other.path}: its {key} is {theirs[key]}, that of {one.path} is {ours[key]}"
        for key in LIKE
        if ours[key] != theirs[key]
    ]


def _circumstances(facts: Mapping[str, Any]) -> dict[str, Any]:
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
