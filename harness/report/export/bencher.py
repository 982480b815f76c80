"""Bencher Metric Format, for Bencher: latencies in nanoseconds with the quartiles as bounds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from harness.report.export.series import frame_series, series_names

if TYPE_CHECKING:
    import pandas as pd


def export(frame: pd.DataFrame) -> bytes:
    """Map `BUILD/RUNNER` to its median latency; `ENGINE/TREE/` is in front if there are several."""
    metrics = {}
    for name, series in series_names(frame_series(frame)):
        lower, middle, upper = np.quantile(np.array(series.seconds) * 1e9, [0.25, 0.5, 0.75])
        metrics[name] = {"latency": {"value": middle, "lower_value": lower, "upper_value": upper}}
    return json.dumps(metrics, indent=2).encode() + b"\n"
