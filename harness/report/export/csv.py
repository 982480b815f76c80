"""Comma-separated values in UTF-8: the whole frame, one line for each sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def export(frame: pd.DataFrame) -> bytes:
    """Return a header line, then the samples."""
    return frame.to_csv(index=False, lineterminator="\n").encode()
