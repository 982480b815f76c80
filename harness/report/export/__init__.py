"""Results in the formats of other tools: each module turns a frame into the bytes of a file.

The frame comes from `harness.load_results`. Tools that do not know blocks get the completed samples
of each runner and kind of build as one series. They lose the pairing within blocks, on which
verdicts rest.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from harness.engines.plug_ins import PlugIn, load_plug_in, plug_in_names
from harness.inside.errors import HarnessError, not_among

if TYPE_CHECKING:
    import pandas as pd

FORMATS = {
    "pytest-benchmark": "pytest_benchmark",
    "hyperfine": "hyperfine",
    "csv": "csv",
    "parquet": "parquet",
    "bencher": "bencher",
    "github-action-benchmark": "github_action_benchmark",
}
"""Each format with its module."""

EXPORTER_GROUP = "harness.exporters"
"""The entry point group by which other packages add formats."""

_BINARY = frozenset({"parquet"})
"""Formats that are not text and only fit a file."""


def format_names() -> list[str]:
    """Return the names of all formats, the built-in ones first."""
    return [*FORMATS, *plug_in_names(EXPORTER_GROUP)]


def is_binary(name: str) -> bool:
    """Return whether the format is not text and only fits a file.

    A plug-in says so by an attribute `binary`. Raises UsageError if it cannot be loaded.
    """
    if name in FORMATS:
        return name in _BINARY
    return bool(getattr(_plug_in(name).thing, "binary", False))


def export(frame: pd.DataFrame, name: str) -> bytes:
    """Return the frame in this format.

    >>> import harness, json
    >>> frame = harness.load_results("results/recordings/typical-docker.jsonl")
    >>> sorted(json.loads(export(frame, "bencher"))["incremental/tmp"]["latency"])
    ['lower_value', 'upper_value', 'value']

    Raises UsageError for an unknown format, for one whose library is not installed, for a frame
    without a completed sample, and for a plug-in that fails.
    """
    if name not in FORMATS:
        return _export_by(_plug_in(name), frame)
    convert: Callable[[pd.DataFrame], bytes] = import_module(
        f"harness.report.export.{FORMATS[name]}"
    ).export
    return convert(frame)


def _plug_in(name: str) -> PlugIn:
    plug_in = load_plug_in(EXPORTER_GROUP, name, "exporter")
    if plug_in is None:
        raise not_among("format", name, format_names())
    return plug_in


def _export_by(plug_in: PlugIn, frame: pd.DataFrame) -> bytes:
    try:
        data: object = plug_in.thing(frame)
    except HarnessError:
        raise
    except Exception as error:
        raise plug_in.broken(f"failed ({type(error).__name__})", error) from error
    if not isinstance(data, bytes):
        raise plug_in.broken(f"returned {type(data).__name__}, not bytes")
    return data
