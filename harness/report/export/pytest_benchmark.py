"""The JSON that pytest-benchmark stores, for `pytest-benchmark compare` and other readers.

The fields are those of pytest-benchmark 5 (`Stats.fields`). Each kind of build is a group.
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
"""The first version of pytest-benchmark that writes such files."""

FENCE = 1.5
"""A sample so many interquartile ranges beyond the quartiles is an outlier (Tukey, 1977)."""


def export(frame: pd.DataFrame) -> bytes:
    """Return a benchmark for each series."""
    all_series = list(frame_series(frame))
    return (
        json.dumps(
            {
                "machine_info": {"node": all_series[0].engine, "machine": all_series[0].engine},
                "commit_info": {},
                "benchmarks": [_benchmark(series) for series in all_series],
                "datetime": datetime.now(UTC).isoformat(),
                "version": VERSION,
            },
            indent=2,
        ).encode()
        + b"\n"
    )


def _benchmark(series: Series) -> dict[str, Any]:
    return {
        "group": f"{series.build} build, {series.tree} on {series.engine}",
        "name": series.runner,
        "fullname": f"{series.tree}/{series.engine}/{series.build}::{series.runner}",
        "params": None,
        "param": None,
        "extra_info": {"engine": series.engine, "tree": series.tree, "build": series.build},
        "options": {"disable_gc": False, "timer": "monotonic_ns", "min_rounds": 1, "warmup": False},
        "stats": _stats(series.seconds),
    }


def _stats(times: list[float]) -> dict[str, Any]:
    mean, ordered = statistics.fmean(times), sorted(times)
    stddev = statistics.stdev(times) if len(times) > 1 else 0.0
    q1, median, q3 = (float(time) for time in np.quantile(ordered, [0.25, 0.5, 0.75]))
    low, high = q1 - FENCE * (q3 - q1), q3 + FENCE * (q3 - q1)
    beyond = sum(not low <= time <= high for time in times)
    deviant = sum(abs(time - mean) > stddev for time in times)
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
        "ld15iqr": min(time for time in ordered if time >= low),
        "hd15iqr": max(time for time in ordered if time <= high),
        "ops": len(times) / sum(times),
        "total": sum(times),
        "data": times,
        "iterations": 1,
    }
