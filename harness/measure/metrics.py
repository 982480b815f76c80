"""What follows from the table of metrics, `Sample`: fields, columns, units, what has budgets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.measure.trials.metric import Kind, Metric, metrics_of
from harness.measure.trials.sample import Sample

SAMPLE_FIELDS = {metric.name: metric for metric in metrics_of(Sample)}
"""The fields of a sample, by name, in the order in which a result file has them."""

_FRAME_ONLY = (
    Metric("the file that the row is from", name="file", since=1),
    Metric("whether the run of that file was not cut short", name="complete", type=bool, since=1),
    Metric("the engine that it was measured on", name="engine", since=1),
    Metric("the storage driver of that engine", name="storage_driver", since=1),
    Metric("the scenario again, under its name in version 1", name="build", since=1),
    Metric(
        "the model of that machine's processors; empty if the file does not say", name="processor"
    ),
    Metric("how many processors that machine has", name="processors", type=int, missing=True),
)
"""Columns of a frame that do not come from the sample alone."""


def _columns() -> Iterator[Metric]:
    yield from _FRAME_ONLY
    # The columns of figures by key come last, each with the name of one key.
    yield from (metric for metric in SAMPLE_FIELDS.values() if metric.type is not dict)
    for metric in SAMPLE_FIELDS.values():
        for key in metric.values if metric.type is dict else ():
            name = f"{metric.name.removesuffix('s')}_{key}"
            yield replace(metric, name=name, type=float, missing=True, values=())


RESULT_COLUMNS = {metric.name: metric for metric in _columns()}
"""The columns of the frame that `harness.load_results` makes, by name, in order."""

METRICS = {
    name: metric
    for kind in (Kind.TIME, Kind.COUNTER, Kind.MEMORY)
    for name, metric in RESULT_COLUMNS.items()
    if metric.kind is kind
}
"""What a budget may bound, by name: columns that are figures."""

RESULT_UNITS = {
    name: metric.unit
    for name, metric in sorted(
        SAMPLE_FIELDS.items(),
        # As every result file of version 2 lists them: seconds, then bytes, of memory first.
        key=lambda named: (named[1].unit != "s", named[1].kind is not Kind.MEMORY),
    )
    if metric.unit
}
"""The units of the fields that have one, for the first line of a result file."""
