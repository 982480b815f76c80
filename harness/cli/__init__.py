"""The command line: parses, calls, prints, and turns every error into one line and an exit status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from harness.errors import HarnessError

USAGE, INTERRUPTED = 2, 130
"""Exit statuses: what was asked for cannot be done; stopped by ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script `harness`; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        status: int = parsed.command_function(parsed)
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("harness: interrupted; everything that was started has been tidied up", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone, and would be told so in a traceback
        return 0
    return status


def _parser() -> argparse.ArgumentParser:
    from harness.cli import clean, compare, doctor, image, katas, run  # noqa: PLC0415 - only the front needs them all

    parser = argparse.ArgumentParser(
        prog="harness",
        description="How should a source tree travel into a container and back? Proofs and measurements.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for each in (compare, run, katas, doctor, image, clean):
        each.add(commands)
    return parser
