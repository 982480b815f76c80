"""Bencher Metric Format, for Bencher: latencies in nanoseconds with the quartiles as bounds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from harness.report.export.series import frame_series

if TYPE_CHECKING:
    import pandas as pd


def export(frame: pd.DataFrame) -> bytes:
    """Map `BUILD/RUNNER` to its median latency; `ENGINE/TREE/` is in front if there are several."""
    all_series = list(frame_series(frame))
    several = len({(series.engine, series.tree) for series in all_series}) > 1
    metrics = {}
    for series in all_series:
        lower, middle, upper = np.quantile(np.array(series.seconds) * 1e9, [0.25, 0.5, 0.75])
        name = f"{series.engine}/{series.tree}/{series.name}" if several else series.name
        metrics[name] = {"latency": {"value": middle, "lower_value": lower, "upper_value": upper}}
    return json.dumps(metrics, indent=2).encode() + b"\n"
