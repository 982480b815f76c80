"""A run that sees the katas plays in the folder that was meant, or not at all: an engine may mount
another one, and say nothing of it, as Podman does and Docker before 26.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest

from harness.engines import Engine, Sandbox, SandboxSpec
from harness.engines.spec import HostFolder, PartOfVolume, WholeVolume
from harness.inside.errors import EngineError
from harness.inside.layout import Avatar
from harness.runners import parse_variant
from harness.runners.base import BaseRunner
from harness.runners.run import Outcome
from tests.support import one_line, play, script

MOUNTING = (
    "katas-volume",
    "katas-data-container:granularity=avatar",
    "katas-data-container:granularity=kata,pipe=none",
    "katas-subpath",
    "katas-overlay",
)


def without(spec: SandboxSpec) -> SandboxSpec:
    """What an engine makes of it that passes over the mount: the sandbox is there, and empty."""
    return replace(spec, mount=None)


def above(spec: SandboxSpec) -> SandboxSpec:
    """What an engine makes of it that mounts more than it is told: the folder above, with others'
    files.
    """
    mount = spec.mount
    if isinstance(mount, WholeVolume):
        return replace(spec, mount=replace(mount, sandbox=os.path.dirname(mount.sandbox)))
    if isinstance(mount, PartOfVolume):
        return replace(spec, mount=replace(mount, folder=os.path.dirname(mount.folder)))
    assert isinstance(mount, HostFolder)
    return replace(spec, mount=HostFolder(mount.path.parent))


@pytest.fixture
def open_mounting(shared_engine: Engine) -> Iterator[Callable[[str], BaseRunner]]:
    """Opens a runner that mounts, or skips."""
    with ExitStack() as opened:

        def open_it(name: str) -> BaseRunner:
            try:
                return opened.enter_context(closing(parse_variant(name).open(shared_engine)))
            except EngineError as error:
                pytest.skip(str(error))

        yield open_it


def refused(
    runner: BaseRunner,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    wrong: Callable[[SandboxSpec], SandboxSpec],
) -> None:
    """The first test event, whose mount goes wrong, is faulty, and was not begun; the second is the
    first that is accepted.
    """
    opens, printed = engine.open, "printed"

    def open_wrongly(spec: SandboxSpec) -> Sandbox:
        assert spec.mount
        return opens(wrong(spec))

    with monkeypatch.context() as patched:
        patched.setattr(engine, "open", open_wrongly)
        run = runner.run(Avatar(), script(f"echo {printed} | tee made"))
    assert (run.outcome, run.tag, run.status, run.stdout) == (Outcome.FAULTY, None, None, "")
    assert "did not mount the katas" in run.reason
    one_line(EngineError(run.reason))
    again = play(runner, Avatar(), f"cat made 2>&1 || echo {printed}")
    assert (again.tag, again.stdout.splitlines()[-1]) == (1, printed)


@pytest.mark.parametrize("name", MOUNTING)
def test_a_mount_that_is_passed_over_is_told(
    name: str,
    shared_engine: Engine,
    open_mounting: Callable[[str], BaseRunner],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An empty folder in the place of the katas is no sandbox."""
    refused(open_mounting(name), shared_engine, monkeypatch, without)


@pytest.mark.parametrize("shared_engine", ["local"], indirect=True)
@pytest.mark.parametrize("name", [each for each in MOUNTING if each != "katas-overlay"])
def test_a_mount_of_another_folder_is_told(
    name: str,
    shared_engine: Engine,
    open_mounting: Callable[[str], BaseRunner],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One with the files of others in it even less so."""
    refused(open_mounting(name), shared_engine, monkeypatch, above)
