"""What the checks of an engine share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from harness.engines import Engine, Execution, Limits, Sandbox, SandboxSpec
from harness.verify.proofs import Refuted

CHECK_SECONDS = 30.0
"""Seconds that a command of a check may take."""


def must(true: object, otherwise: str) -> None:
    """Raise Refuted with these words unless it is true."""
    if not true:
        raise Refuted(otherwise)


@contextmanager
def sandbox_on(engine: Engine, limits: Limits | None = None) -> Iterator[Sandbox]:
    with closing(engine.open(SandboxSpec(limits=limits or Limits()))) as sandbox:
        yield sandbox


def executed(sandbox: Sandbox, words: str) -> Execution:
    execution = sandbox.execute(words, CHECK_SECONDS)
    must(not execution.timed_out, f"`{words}` did not end in {CHECK_SECONDS:g} seconds")
    return execution


def is_one_line(said: str) -> bool:
    return bool(said) and "\n" not in said
