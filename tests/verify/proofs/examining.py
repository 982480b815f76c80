"""What a test of a proof says of itself: its engine, and what it is handed to examine with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.verify.proofs import ProofResult

Examine = Callable[..., ProofResult]

# A test here is of a proof, and needs an engine at hand; on Docker the runners are proved by `make
# verify`.
on_bubblewrap = pytest.mark.parametrize("shared_engine", ["local"], indirect=True)
on_plain_processes = pytest.mark.parametrize("shared_engine", ["local-plain"], indirect=True)
