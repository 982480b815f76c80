"""github-action-benchmark's format for its tool customSmallerIsBetter: medians in seconds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from harness.report.export.series import frame_series, series_names

if TYPE_CHECKING:
    import pandas as pd


def export(frame: pd.DataFrame) -> bytes:
    """List the median of each `BUILD/RUNNER`, with the quartiles as its range."""
    entries = []
    for name, series in series_names(frame_series(frame)):
        lower, middle, upper = np.quantile(np.array(series.seconds), [0.25, 0.5, 0.75])
        entries.append(
            {
                "name": name,
                "unit": "s",
                "value": float(middle),
                "range": f"{lower:.3g} to {upper:.3g}",
                "extra": f"samples: {len(series.seconds)}, {series.tree} on {series.engine}",
            }
        )
    return json.dumps(entries, indent=1).encode() + b"\n"
