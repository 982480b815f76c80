"""Bencher Metric Format, for continuous benchmarking with Bencher: latencies in nanoseconds, with the quartiles as bounds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from harness.report.export.series import frame_series

if TYPE_CHECKING:
    import pandas as pd


def export(frame: pd.DataFrame) -> bytes:
    """`BUILD/RUNNER` to its median latency; over several engines or trees these come first in the name."""
    found = list(frame_series(frame))
    several = len({(each.engine, each.tree) for each in found}) > 1
    metrics = {}
    for each in found:
        lower, middle, upper = np.quantile(np.array(each.seconds) * 1e9, [0.25, 0.5, 0.75])
        name = f"{each.engine}/{each.tree}/{each.name}" if several else each.name
        metrics[name] = {"latency": {"value": middle, "lower_value": lower, "upper_value": upper}}
    return json.dumps(metrics, indent=2).encode() + b"\n"
