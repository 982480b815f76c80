"""The command line. What it needs is imported once ctrl-C means something, since that takes most of a second."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script `harness`; returns the exit status."""
    try:
        from harness.cli import entry  # noqa: PLC0415
    except KeyboardInterrupt:
        print("harness: interrupted before anything was started", file=sys.stderr)
        return 130
    return entry.main(arguments)
