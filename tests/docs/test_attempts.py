"""The page about trust names what the proofs try, a line an attempt."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from harness.verify.proofs.fresh import SURVIVORS
from harness.verify.proofs.isolated import ATTEMPTS
from tests import ROOT

PAGE = ROOT / "docs" / "explanation" / "trust.md"


@pytest.mark.parametrize(("name", "tried"), [("isolated", ATTEMPTS), ("fresh", SURVIVORS)])
def test_each_attempt_has_a_line(name: str, tried: Mapping[str, str]) -> None:
    """In the words of the proof, and in its order; and nothing is named that is not tried."""
    section = re.search(
        rf"^### {name}\n(.*?)(?=^##|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    assert section
    rows = [line for line in section[1].splitlines() if line.startswith("|")][2:]
    assert rows == [f"| {what} | {how} |" for what, how in tried.items()]
