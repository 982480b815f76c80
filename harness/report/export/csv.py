"""Comma-separated values: the frame as it is, a line a sample, UTF-8."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def export(frame: pd.DataFrame) -> bytes:
    """A header line, then the samples."""
    return frame.to_csv(index=False, lineterminator="\n").encode()
