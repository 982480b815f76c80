"""Apache Parquet: the whole frame with its types, for DuckDB, Spark, Polars and the like."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from harness.engines.extras import install_line
from harness.inside.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


def export(frame: pd.DataFrame) -> bytes:
    """Return the frame as Parquet. Raises UsageError if pyarrow is not installed."""
    out = io.BytesIO()
    try:
        frame.to_parquet(out, engine="pyarrow", index=False)
    except ImportError as error:
        raise UsageError(
            f"parquet needs pyarrow, which is not installed; run {install_line('parquet')}"
        ) from error
    return out.getvalue()
