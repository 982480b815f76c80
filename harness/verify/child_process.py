"""Processes of this package's own that play for a proof, and may be killed."""

from __future__ import annotations

import sys

PROGRAM = """
import pickle, sys
try:
    sys.path[:] = pickle.load(sys.stdin.buffer)
except EOFError:  # whoever started it was interrupted, and has nothing for it to do
    sys.exit(1)
from {module} import main
main()
"""


def command(module: str) -> list[str]:
    """The command line that calls `main` of this module in a process that is sent this one's `sys.path` pickled first."""
    return [sys.executable, "-c", PROGRAM.format(module=module)]
