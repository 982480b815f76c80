"""The JSON that pytest-benchmark stores, for `pytest-benchmark compare` and whatever else reads it.

Its fields are those of pytest-benchmark 5 (`Stats.fields`); groups are the kinds of build.
"""

from __future__ import annotations

import json
import statistics
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.report.export.series import Series, frame_series

if TYPE_CHECKING:
    import pandas as pd

VERSION = "5.0.0"
"""Of pytest-benchmark: the first whose files look like this."""

FENCE = 1.5
"""Interquartile ranges beyond the quartiles from which a sample counts as an outlier (Tukey, 1977)."""


def export(frame: pd.DataFrame) -> bytes:
    """A benchmark for each series."""
    found = list(frame_series(frame))
    return (
        json.dumps(
            {
                "machine_info": {"node": found[0].engine, "machine": found[0].engine},
                "commit_info": {},
                "benchmarks": [_benchmark(each) for each in found],
                "datetime": datetime.now(UTC).isoformat(),
                "version": VERSION,
            },
            indent=2,
        ).encode()
        + b"\n"
    )


def _benchmark(found: Series) -> dict[str, Any]:
    return {
        "group": f"{found.build} build, {found.tree} on {found.engine}",
        "name": found.runner,
        "fullname": f"{found.tree}/{found.engine}/{found.build}::{found.runner}",
        "params": None,
        "param": None,
        "extra_info": {"engine": found.engine, "tree": found.tree, "build": found.build},
        "options": {"disable_gc": False, "timer": "monotonic_ns", "min_rounds": 1, "warmup": False},
        "stats": _stats(found.seconds),
    }


def _stats(times: list[float]) -> dict[str, Any]:
    mean, ordered = statistics.fmean(times), sorted(times)
    stddev = statistics.stdev(times) if len(times) > 1 else 0.0
    q1, median, q3 = (float(each) for each in np.quantile(ordered, [0.25, 0.5, 0.75]))
    low, high = q1 - FENCE * (q3 - q1), q3 + FENCE * (q3 - q1)
    beyond = sum(not low <= each <= high for each in times)
    deviant = sum(abs(each - mean) > stddev for each in times)
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": mean,
        "stddev": stddev,
        "rounds": len(times),
        "median": median,
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": beyond,
        "stddev_outliers": deviant,
        "outliers": f"{deviant};{beyond}",
        "ld15iqr": min(each for each in ordered if each >= low),
        "hd15iqr": max(each for each in ordered if each <= high),
        "ops": len(times) / sum(times),
        "total": sum(times),
        "data": times,
        "iterations": 1,
    }
