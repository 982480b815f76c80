"""The JSON of `hyperfine --export-json`, which its plotting scripts and many dashboards read.

The fields follow hyperfine's documentation: times are in seconds, `stddev` is null for one run.
"""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any

from harness.report.export.series import Series, frame_series

if TYPE_CHECKING:
    import pandas as pd


def export(frame: pd.DataFrame) -> bytes:
    """Return a result for each series; its command is `BUILD/RUNNER`."""
    return (
        json.dumps(
            {"results": [_result(series) for series in frame_series(frame)]}, indent=2
        ).encode()
        + b"\n"
    )


def _result(series: Series) -> dict[str, Any]:
    times, processor = series.seconds, series.rows["processor_seconds"].dropna()
    return {
        "command": series.name,
        "mean": statistics.fmean(times),
        "stddev": statistics.stdev(times) if len(times) > 1 else None,
        "median": statistics.median(times),
        # We record the processor time of the command as one figure, so all of it goes here.
        "user": processor.mean() if len(processor) else 0.0,
        "system": 0.0,
        "min": min(times),
        "max": max(times),
        "times": times,
        "exit_codes": [int(status) for status in series.rows["status"].fillna(0)],
        "parameters": {"engine": series.engine, "tree": series.tree},
    }
