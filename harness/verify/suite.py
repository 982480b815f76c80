"""The proofs as tests: one for each property of each runner on each engine.

With no file at all, in any project that has this package and a runner of its own installed:

    pytest --pyargs harness.verify.suite --harness-runner=mine --harness-engine=local

As a part of that project's own tests, one line in `tests/test_properties.py`,

    from harness.verify.suite import test_property

and which runner it is on the command line, `pytest --harness-runner=mine --harness-engine=local`, or once and for all in
the project's `pyproject.toml`:

    [tool.pytest.ini_options]
    harness_runners = "mine mine:option=value"
    harness_engines = "local docker"

A runner is known by its entry point in the group `harness.runners`; what it claims, its `claims` says. A test passes if
the property is claimed and no counterexample was found, or if it is not claimed and one was; it fails with the smallest
counterexample, and the command that replays it, if the property is claimed and does not hold; it is skipped with the
reason where that could not be found out. `-k atomic`, `-m harness` and `-m "not harness"` choose among them.
"""

from __future__ import annotations

import pytest

from harness.verify.matrix import replay_command
from harness.verify.proofs import ProofResult, Status

__all__ = ["test_property"]


@pytest.mark.harness
def test_property(harness_finding: ProofResult, harness_case: object) -> None:
    """The property holds if the runner claims it; if not, a counterexample shows that it does not."""
    found = harness_finding
    if found.as_claimed:
        return
    where = f"{found.name} of {found.runner} on {found.engine}"
    if found.counterexample is not None:
        words = f"{where} is claimed, and does not hold: {found.counterexample.words}"
        pytest.fail(f"{words}\nreplay it: {replay_command(found)}", pytrace=False)
    if found.status is Status.PROVED:
        pytest.skip(
            f"{where} is not claimed, but not shown not to hold: {found.examples} examples were as if it did"
        )
    pytest.skip(f"{where} is unknown: {found.reason}")
