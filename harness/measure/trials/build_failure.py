"""Reports a failed build of bare make, with which nothing can be compared."""

from __future__ import annotations

import re
import shlex
from itertools import chain

from harness.inside.errors import BuildFailed
from harness.runners.run import Outcome, Run

SHOWN_LINES = 60
"""How many of the last lines of each stream to show."""

_TELLING = re.compile(
    r"\berror\b|\bfatal\b|no such file|not found|cannot |undefined", re.IGNORECASE
)


def check_built(run: Run, what: str, command: str, max_seconds: float) -> None:
    """Raise BuildFailed, with the output as a note, if bare make did not build `what`."""
    if run.outcome is Outcome.COMPLETED and run.status == 0:
        return
    if run.outcome is Outcome.TIMED_OUT:
        raise BuildFailed(
            f"bare make did not end {what} within {max_seconds:g} s; raise --max-seconds"
        )
    if run.outcome is Outcome.FAULTY:
        raise BuildFailed(f"bare make cannot begin {what}: {run.reason}")
    error = BuildFailed(
        f"bare make fails at {what}, with exit status {run.status}{_reason(run)}; fix the build, "
        f"or, if that status is not a failure, give --command {shlex.quote(f'{command} || :')}"
    )
    if said := "\n".join(
        part for stream in (run.stdout, run.stderr) if (part := _last_lines(stream))
    ):
        error.add_note(said)
    raise error


def _reason(run: Run) -> str:
    """Return the most telling line: compilers put it first, other programs last."""
    lines = [line.strip() for line in chain(run.stderr.splitlines(), run.stdout.splitlines())]
    telling = next((line for line in lines if _TELLING.search(line)), None)
    last = next((line for line in reversed(lines) if line), "")
    return f": {telling or last}" if telling or last else ""


def _last_lines(output: str) -> str:
    lines = output.rstrip().splitlines()
    left_out = len(lines) - SHOWN_LINES
    return "\n".join(
        [f"[{left_out} lines before]", *lines[-SHOWN_LINES:]] if left_out > 0 else lines
    )
