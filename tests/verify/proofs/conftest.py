"""Runners under proof."""

from __future__ import annotations

import pytest

from harness import runners
from harness.engines import Engine
from harness.runners.base import BaseRunner
from harness.runners.claims import Property
from harness.runners.variant import Variant
from harness.verify.proofs import PROFILES, ProofResult, Subject, examine
from tests.verify.proofs.examining import Examine


@pytest.fixture
def examined(shared_engine: Engine, request: pytest.FixtureRequest) -> Examine:
    """Examines a property of a runner, a kind or the name of one, on the engine of the test's."""
    name = request.node.callspec.params["shared_engine"]

    def run(
        runner: type[BaseRunner] | str,
        what: Property,
        *,
        engine: Engine = shared_engine,
        replay: str | None = None,
    ) -> ProofResult:
        variant = runners.parse_variant(runner) if isinstance(runner, str) else Variant(runner, {})
        return examine(Subject(variant, engine, name), what, PROFILES["ci"], replay=replay)

    return run
