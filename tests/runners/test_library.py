"""The library's front door, as its documentation shows it."""

from __future__ import annotations

import doctest
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import harness
import harness.runners.library
from harness.engines.folders import sandboxes_home
from harness.engines.local import cgroups
from harness.engines.local import engine as local
from harness.engines.local.bubblewrap import bubblewrap_problem
from harness.engines.owner import OWNER_LABEL, Owner
from harness.inside.errors import EngineError, UsageError
from tests.support import one_line

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
    found = doctest.testmod(harness.runners.library)
    assert found.attempted == 3
    assert found.failed == 0


def test_katas_that_are_named_are_there_the_next_time() -> None:
    """The second runner finds what the first one built, and leaves nothing else behind."""
    for tag, output in ((1, "making\n1\n"), (2, "1\n")):
        with harness.open_runner(engine="local", katas="volume:mine") as runner:
            run = runner.run(harness.Avatar(), FILES)
        assert (run.tag, run.stdout) == (tag, output)
    mine = [
        each
        for each in sandboxes_home().glob(f"*/{OWNER_LABEL}")
        if each.read_text() == str(Owner.current())
    ]
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
    with (
        pytest.raises(UsageError, match="there is no engine podman"),
        harness.open_runner(engine="podman"),
    ):
        pass
    assert not (tmp_path / "home").exists()


@pytest.fixture
def nothing_isolates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without bubblewrap and Docker."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setattr(local, "bubblewrap_problem", lambda: "bubblewrap is not installed")


@pytest.mark.usefixtures("nothing_isolates")
@pytest.mark.parametrize("engine", ["auto", "local"])
def test_where_nothing_isolates_it_refuses(engine: str) -> None:
    """In one line, which says why, what to install, and how to play all the same; nothing of it
    stays open.
    """
    with pytest.raises(EngineError) as refused, harness.open_runner(engine=engine):
        pass
    said = one_line(refused.value)
    assert "(bubblewrap is not installed)" in said
    assert "install bubblewrap or start Docker" in said
    assert "isolated=False" in said


@pytest.mark.usefixtures("nothing_isolates")
@pytest.mark.parametrize(
    "options", [{"engine": "local-plain"}, {"engine": "auto", "isolated": False}]
)
def test_who_trusts_the_code_says_so(options: dict[str, Any]) -> None:
    """By the engine's name, or by what is asked of any engine."""
    with harness.open_runner("tmp", **options) as runner:
        assert runner.run(harness.Avatar(), FILES).tag == 1


@pytest.mark.skipif(bool(bubblewrap_problem()), reason=bubblewrap_problem())
def test_a_gap_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """What isolates and does not bound plays, and says what is open."""
    monkeypatch.setattr(cgroups, "cgroup_problem", lambda: "not here")
    heard: list[str] = []
    with harness.open_runner("tmp", engine="local", report=heard.append) as runner:
        assert runner.run(harness.Avatar(), FILES).tag == 1
    assert any("not bounded together (not here)" in line for line in heard)


def test_the_package_names_what_it_has() -> None:
    """Names are imported when they are first used, and a wrong one is an AttributeError as ever."""
    for name in harness.__all__:
        if name != "__version__":
            assert getattr(harness, name).__name__ == name
    assert harness.__version__ == version("tarpipe-harness")
    assert set(harness.__all__) <= set(dir(harness))
    with pytest.raises(AttributeError, match="nothing"):
        harness.nothing  # noqa: B018 - looking it up is the test
