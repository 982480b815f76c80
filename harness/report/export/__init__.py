"""Results in the formats of other tools: one file each, one function each, from a frame to the bytes of a file.

The frame is what `harness.load_results` gives. Tools that know nothing of blocks get the completed samples of each runner and
kind of build as one series; the pairing within blocks, on which verdicts rest, is lost to them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from harness.inside.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

FORMATS = {
    "pytest-benchmark": "pytest_benchmark",
    "hyperfine": "hyperfine",
    "csv": "csv",
    "parquet": "parquet",
    "bencher": "bencher",
}
"""The name of a format to its module."""

BINARY = frozenset({"parquet"})
"""Formats that are no text, for a file alone."""


def export(frame: pd.DataFrame, name: str) -> bytes:
    """The frame in this format.

    >>> import harness, json
    >>> frame = harness.load_results("results/recordings/typical-docker.jsonl")
    >>> sorted(json.loads(export(frame, "bencher"))["incremental/tmp"]["latency"])
    ['lower_value', 'upper_value', 'value']

    Raises UsageError for an unknown one, for one that needs a library that is not
    installed, and for a frame without a completed sample.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no format {name}; there are: {', '.join(FORMATS)}")
    convert: Callable[[pd.DataFrame], bytes] = import_module(
        f"harness.report.export.{FORMATS[name]}"
    ).export
    return convert(frame)
