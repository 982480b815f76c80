"""What every engine must do, as tests: one for each check of `harness.verify.conformance`.

In any project that has this package and its own engine installed, without any file:

    pytest --pyargs harness.verify.engine_suite --harness-engine=mine

As part of that project's own tests, one line in `tests/test_engine.py`,

    from harness.verify.engine_suite import test_engine

with the engine on the command line, as above, or in the project's `pyproject.toml`:

    [tool.pytest.ini_options]
    harness_engines = "mine"

An engine is found by its entry point in the group `harness.engines`. A test passes if the engine
does as the protocol `harness.engines.Engine` says, fails with what it does instead, and is skipped,
with the reason, if that cannot be tried. What runners can promise on the engine is proved by
`harness.verify.suite`, or by `harness verify --engine mine`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.engines import Engine
from harness.verify.conformance import CHECKS
from harness.verify.proofs import Refuted, Untried

__all__ = ["test_engine"]


@pytest.mark.harness
def test_engine(harness_check: tuple[str, str], harness_engine: Callable[[str], Engine]) -> None:
    """The engine does as every engine must."""
    name, check = harness_check
    try:
        CHECKS[check](harness_engine(name))
    except Refuted as refuted:
        pytest.fail(f"the engine {name}: {refuted}", pytrace=False)
    except Untried as untried:
        pytest.skip(f"the engine {name}: {untried}")
