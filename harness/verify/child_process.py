"""Processes that play for a proof, or examine for a matrix, and may be killed."""

from __future__ import annotations

import sys

PROGRAM = """
import pickle, sys
try:
    sys.path[:] = pickle.load(sys.stdin.buffer)
except EOFError:  # the process that started this one was interrupted: there is nothing to do
    sys.exit(1)
from {module} import main
main()
"""


def command(module: str) -> list[str]:
    """Return a command that calls the module's `main`; send it a pickled `sys.path` first."""
    return [sys.executable, "-c", PROGRAM.format(module=module)]
