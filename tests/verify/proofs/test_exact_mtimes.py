"""The proof that arbitrary trees survive their round trips."""

from __future__ import annotations

import re

import pytest

from harness.engines.guest import command_line
from harness.inside.tree import Entry
from harness.runners.claims import Property
from harness.verify.proofs import Status
from harness.verify.proofs.shared.tree_differences import differences
from tests.verify.proofs.examining import Examine, on_bubblewrap, on_plain_processes


@on_bubblewrap
@pytest.mark.parametrize("runner", ["katas-data-container:standby=seeded"])
def test_who_claims_it_is_proved(runner: str, examined: Examine) -> None:
    found = examined(runner, Property.EXACT_MTIMES)
    assert (found.status, found.reason) == (Status.PROVED, "")
    assert found.examples >= 5, "twenty round trips among them"


@on_bubblewrap
def test_tmp_starts_anew(examined: Examine) -> None:
    """Nothing of the smallest tree there is comes back; and its token shows it again."""
    found = examined("tmp", Property.EXACT_MTIMES)
    assert found.counterexample is not None
    assert found.counterexample.words.startswith("after 1 round trip the folder '1' is gone")
    again = examined("tmp", Property.EXACT_MTIMES, replay=found.counterexample.token)
    assert again.counterexample is not None
    assert again.examples == 1


@on_plain_processes
def test_tars_default_format_is_found_out(
    examined: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cuts stamps to whole seconds: one entry shows it, by less than a second."""
    default = [each for each in command_line.PACK if "format" not in each and "pax" not in each]
    monkeypatch.setattr(command_line, "PACK", default)
    found = examined("katas-data-container", Property.EXACT_MTIMES)
    assert found.counterexample is not None
    moved = re.findall(r"\(([+-]\d+) ns\)", found.counterexample.words)
    assert moved
    assert all(-(10**9) < int(each) < 0 for each in moved)


FILE = Entry("f", 0o644, 1, 1_500_000_000, digest="a")


def test_differences_are_told_in_words() -> None:
    """Stamps as people read them, and by how much they moved; the first three, and how many
    more.
    """
    before = {
        b"a": FILE,
        b"b": FILE,
        b"c": Entry("l", 0o777, 0, 0, target=b"a"),
        b"d": FILE,
    }
    after = {
        b"a": Entry("f", 0o600, 1, 1_499_999_999, digest="a"),
        b"c": Entry("d", 0o755, 0, 0),
        b"d": FILE,
    }
    assert differences(before, after) == (
        "the file 'b' is gone; "
        "the file 'a' has the mode 0600 instead of 0644, has the mtime 1.499999999 instead of 1.500000000 (-1 ns); "
        "the symlink 'c' is a folder"
    )
    assert differences(before, {}).endswith("; and 1 more")
    assert not differences(before, before)
