"""The views of two results side by side, one file each, and the words that they share."""

from __future__ import annotations

from math import inf

from harness.gate.beside import Beside, Counted, MovedFigure
from harness.measure.metrics import METRICS
from harness.measure.results import Recording
from harness.measure.stats import SHOWN_CONFIDENCE, Interval
from harness.measure.trials.metric import Kind
from harness.measure.trials.scenario import SCENARIOS
from harness.measure.units import ago, seconds, size
from harness.report.terminal import interval_words

NAMES = ("A", "B")
"""What the two results are called in the table."""

INTERVAL = f"{SHOWN_CONFIDENCE * 100:g} % interval"
"""The heading of a column of intervals."""

HOW_TO_READ = (
    "Medians; in parentheses the median of the ratios to bare make. B to A compares these ratios, "
    "which allows for a machine that was slower; of bare make itself it compares the times. Where "
    "an interval holds 1, it is unclear which is slower. Each interval holds by itself."
)
"""What a reader of the table must know."""

ALIKE = "A and B are of the same machine, engine, image and tree."
DIFFERENT = "A and B were not measured alike:"


def subject_of(moved: MovedFigure) -> str:
    """Return the scenario and the metric in words.

    >>> subject_of(MovedFigure("tmp", "full", "answered_seconds", (1.0, 1.0), (None, None), None))
    'full build, output in hand'
    """
    words = {"answered_seconds": ", output in hand", "memory": ", memory"}
    return SCENARIOS[moved.scenario].words + words.get(moved.metric, "")


def measured_by(name: str, recording: Recording) -> str:
    """Return in one line which result a name stands for."""
    engine = recording.facts["engine"]
    created = recording.facts.get("created")
    parts = [
        f"{name}: {recording.path}",
        recording.facts["tree"],
        engine.get("engine"),
        ago(created) if created else None,
        None if recording.complete else "cut short",
    ]
    return ", ".join(str(part) for part in parts if part)


def median_words(moved: MovedFigure, side: int) -> str:
    """Return the median of one side, with its ratio to the floor."""
    figure, ratio = moved.medians[side], moved.ratios[side]
    if METRICS[moved.metric].kind is Kind.MEMORY:
        return size(None if figure is None else round(figure))
    return seconds(figure) + ("" if ratio is None else f" ({ratio:.2f})")


def change_words(interval: Interval | None) -> str:
    """Return the estimate of an interval."""
    return "-" if interval is None else f"{interval.estimate:.2f}"


def ends_words(interval: Interval | None) -> str:
    """Return the ends of an interval."""
    few = interval is not None and interval.high == inf
    return "too few blocks" if few else interval_words(interval)


def range_words(counted: Counted, side: int) -> str:
    """Return the least and the most of one side."""
    low, high = counted.ranges[side]
    unit = METRICS[counted.metric].unit
    ends = [size(round(end)) if unit == "B" else f"{end:g}" for end in (low, high)]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def unlike_warning(beside: Beside) -> str:
    """Say which differences no ratio allows for; empty if there are none."""
    unlike = [each.fact for each in beside.differences if not each.allowed_for]
    if not unlike:
        return ""
    return (
        f"No ratio to bare make allows for another {' or '.join(unlike)}: B to A compares these, "
        "not two versions of a runner."
    )
