"""The library's front door, as its documentation shows it."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import harness
import harness.library
from harness.engines.folders import sandboxes_home
from harness.engines.owner import LABEL, Owner
from harness.errors import UsageError

FILES = {
    "cyber-dojo.sh": "#!/bin/sh\nmake -s && cat built\n",
    "Makefile": "built: a\n\techo making; cp a built\n",
    "a": "1\n",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this user's is touched."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))


def test_the_example_in_the_documentation_runs() -> None:
    found = doctest.testmod(harness.library)
    assert found.attempted == 3
    assert found.failed == 0


def test_katas_that_are_named_are_there_the_next_time() -> None:
    """The second runner finds what the first one built, and leaves nothing else behind."""
    for tag, output in ((1, "making\n1\n"), (2, "1\n")):
        with harness.open_runner(engine="local", katas="volume:mine") as runner:
            run = runner.run(harness.Avatar(), FILES)
        assert (run.tag, run.stdout) == (tag, output)
    mine = [each for each in sandboxes_home().glob(f"*/{LABEL}") if each.read_text() == str(Owner.current())]
    assert not mine


def test_temporary_katas_go_with_the_runner(tmp_path: Path) -> None:
    with harness.open_runner(engine="local") as runner:
        assert runner.run(harness.Avatar(), FILES).tag == 1
    assert not list((tmp_path / "home" / "volumes").iterdir())


def test_a_wrong_name_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="there is no runner none"),
        harness.open_runner("none", engine="local"),
    ):
        pass
    with pytest.raises(UsageError, match="there is no engine podman"), harness.open_runner(engine="podman"):
        pass
    assert not (tmp_path / "home").exists()


def test_the_package_names_what_it_has() -> None:
    """Names are imported when they are first used, and a wrong one is an AttributeError as ever."""
    for name in harness.__all__:
        assert getattr(harness, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        harness.nothing  # noqa: B018 - looking it up is the test
