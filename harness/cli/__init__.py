"""The command line.

Its imports take a while, so they run where ctrl-C is already handled.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the console script `harness`; returns the exit status."""
    try:
        from harness.cli import entry  # noqa: PLC0415
    except KeyboardInterrupt:
        print("harness: interrupted before anything was started", file=sys.stderr)
        return 130
    return entry.main(arguments)
