"""A test event in a folder: what becomes of stamps ahead of the clock, by where its run worked."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from harness.inside.folder_event import FolderEvent
from harness.inside.layout import SANDBOX
from tests.events import acceptance, save, stage

HOUR_NS = 3600 * 10**9


@pytest.mark.parametrize("where", ["mounted", "staged", "elsewhere"])
def test_only_a_run_that_built_in_the_sandbox_puts_a_product_ahead_again(
    tmp_path: Path, where: str
) -> None:
    """After any other, the product in the sandbox is still older than the edit."""
    folder = tmp_path / "01" / "23456789" / "lion"
    product, source = folder / SANDBOX / "product", folder / SANDBOX / "source"
    ahead = time.time_ns() + HOUR_NS
    with closing(FolderEvent(folder)) as event:
        comparison = save(event, {"source": "1"})
        product.write_text("1")
        os.utime(product, ns=(ahead, ahead))
        event.accept(acceptance({"source": "1"}, comparison), mounted=True)
    with closing(FolderEvent(folder)) as event:
        comparison = save(event, {"source": "2"})
        if where == "staged":
            stage(event, lambda tree: None)
        event.accept(acceptance({"source": "2"}, comparison), mounted=where == "mounted")
    if where == "elsewhere":
        assert product.stat().st_mtime_ns < source.stat().st_mtime_ns
    else:
        assert product.stat().st_mtime_ns == ahead
