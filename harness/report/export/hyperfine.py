"""The JSON that `hyperfine --export-json` writes, which its own plotting scripts and many dashboards read.

Fields after hyperfine's documentation of its export format: times in seconds, `stddev` null for one run.
"""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any

from harness.report.export.series import Series, frame_series

if TYPE_CHECKING:
    import pandas as pd


def export(frame: pd.DataFrame) -> bytes:
    """A result for each series; its command is `BUILD/RUNNER`."""
    return (
        json.dumps({"results": [_result(each) for each in frame_series(frame)]}, indent=2).encode()
        + b"\n"
    )


def _result(found: Series) -> dict[str, Any]:
    times, processor = found.seconds, found.rows["processor_seconds"].dropna()
    return {
        "command": found.name,
        "mean": statistics.fmean(times),
        "stddev": statistics.stdev(times) if len(times) > 1 else None,
        "median": statistics.median(times),
        # Processor time of the command: the two are not told apart, so all of it stands under the first.
        "user": processor.mean() if len(processor) else 0.0,
        "system": 0.0,
        "min": min(times),
        "max": max(times),
        "times": times,
        "exit_codes": [int(each) for each in found.rows["status"].fillna(0)],
        "parameters": {"engine": found.engine, "tree": found.tree},
    }
