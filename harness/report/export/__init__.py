"""Results in the formats of other tools: each module turns a frame into the bytes of a file.

The frame comes from `harness.load_results`. Tools that do not know blocks get the completed samples
of each runner and kind of build as one series. They lose the pairing within blocks, on which
verdicts rest.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from harness.inside.errors import not_among

if TYPE_CHECKING:
    import pandas as pd

FORMATS = {
    "pytest-benchmark": "pytest_benchmark",
    "hyperfine": "hyperfine",
    "csv": "csv",
    "parquet": "parquet",
    "bencher": "bencher",
}
"""Each format with its module."""

BINARY = frozenset({"parquet"})
"""Formats that are not text and only fit a file."""


def export(frame: pd.DataFrame, name: str) -> bytes:
    """Return the frame in this format.

    >>> import harness, json
    >>> frame = harness.load_results("results/recordings/typical-docker.jsonl")
    >>> sorted(json.loads(export(frame, "bencher"))["incremental/tmp"]["latency"])
    ['lower_value', 'upper_value', 'value']

    Raises UsageError for an unknown format, for one whose library is not installed, and for a frame
    without a completed sample.
    """
    if name not in FORMATS:
        raise not_among("format", name, FORMATS)
    convert: Callable[[pd.DataFrame], bytes] = import_module(
        f"harness.report.export.{FORMATS[name]}"
    ).export
    return convert(frame)
