"""The proofs as tests: one for each property of each runner on each engine.

In any project that has this package and its own runner installed, without any file:

    pytest --pyargs harness.verify.suite --harness-runner=mine --harness-engine=local

As part of that project's own tests, one line in `tests/test_properties.py`,

    from harness.verify.suite import test_property

with the runner on the command line, `pytest --harness-runner=mine --harness-engine=local`, or in
the project's `pyproject.toml`:

    [tool.pytest.ini_options]
    harness_runners = "mine mine:option=value"
    harness_engines = "local docker"

A runner is found by its entry point in the group `harness.runners`; its `claims` say what it
claims. A test passes if a claimed property has no counterexample, or if a property that is not
claimed has one. It fails, with the smallest counterexample and the command to replay it, if a
claimed property has one. It is skipped, with the reason, if nothing could be found out. Choose
tests with `-k atomic`, `-m harness` or `-m "not harness"`.
"""

from __future__ import annotations

import pytest

from harness.verify.matrix import replay_command
from harness.verify.proofs import ProofResult, Status

__all__ = ["test_property"]


@pytest.mark.harness
def test_property(harness_finding: ProofResult, harness_case: object) -> None:
    """The property holds if the runner claims it; if not, a counterexample refutes it."""
    found = harness_finding
    if found.as_claimed:
        return
    where = f"{found.name} of {found.runner} on {found.engine}"
    if found.counterexample is not None:
        words = f"{where} is claimed, and does not hold: {found.counterexample.words}"
        pytest.fail(f"{words}\nreplay it: {replay_command(found)}", pytrace=False)
    if found.status is Status.PROVED:
        pytest.skip(
            f"{where} is not claimed, but {found.examples} examples did not refute it either"
        )
    pytest.skip(f"{where} is unknown: {found.reason}")
