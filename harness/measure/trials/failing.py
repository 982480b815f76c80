"""What is said where bare make itself does not build: nothing can be compared with that."""

from __future__ import annotations

import re
import shlex
from itertools import chain

from harness.inside.errors import BuildFailed
from harness.runners.run import Outcome, Run

SHOWN_LINES = 60
"""Of each stream, the last ones."""

_TELLING = re.compile(
    r"\berror\b|\bfatal\b|no such file|not found|cannot |undefined", re.IGNORECASE
)


def check_built(run: Run, what: str, command: str, max_seconds: float) -> None:
    """Raise BuildFailed, with what the command printed as a note, for a build of bare make's that is none; `what` names it."""
    if run.outcome is Outcome.COMPLETED and run.status == 0:
        return
    if run.outcome is Outcome.TIMED_OUT:
        raise BuildFailed(
            f"bare make did not end {what} within {max_seconds:g} s: raise --max-seconds"
        )
    if run.outcome is Outcome.FAULTY:
        raise BuildFailed(f"bare make cannot begin {what}: {run.reason}")
    error = BuildFailed(
        f"bare make fails at {what}, with exit status {run.status}{_reason(run)}; nothing can be compared with that: mend "
        f"the build, or, where that status is no failure, give --command {shlex.quote(f'{command} || :')}"
    )
    if said := "\n".join(part for each in (run.stdout, run.stderr) if (part := _last_lines(each))):
        error.add_note(said)
    raise error


def _reason(run: Run) -> str:
    """The line that tells most: compilers say first what is wrong, and everybody else says it last."""
    lines = [each.strip() for each in chain(run.stderr.splitlines(), run.stdout.splitlines())]
    telling = next((each for each in lines if _TELLING.search(each)), None)
    last = next((each for each in reversed(lines) if each), "")
    return f": {telling or last}" if telling or last else ""


def _last_lines(output: str) -> str:
    lines = output.rstrip().splitlines()
    left_out = len(lines) - SHOWN_LINES
    return "\n".join(
        [f"[{left_out} lines before]", *lines[-SHOWN_LINES:]] if left_out > 0 else lines
    )
