"""Nobody waits for ever for a process that was stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from harness.engines.local.engine import LocalEngine
from harness.inside import locks
from harness.inside.errors import Busy, EngineError, HarnessError
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import avatar_folder
from harness.katas.volume_event import VolumeEvent
from tests.events import LION, opened, play
from tests.support import eventually, one_line

HOLD = """
import sys, time
from harness.inside.locks import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def stopped_holder(folder: Path) -> Iterator[int]:
    """A process that holds the lock of this folder and was stopped."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        os.kill(process.pid, signal.SIGSTOP)
        eventually(lambda: ") T " in Path(f"/proc/{process.pid}/stat").read_text(), "it is stopped")
        yield process.pid
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("kind", ["folder", "volume"])
def test_a_test_event_waits_no_longer_than_it_may(kind: str, tmp_path: Path) -> None:
    """Then it says who is in the way, and afterwards all goes on."""
    with opened(kind, tmp_path) as katas:
        play(katas, LION, {"a": "1"})
        root = (
            katas.root
            if isinstance(katas, FolderKatas)
            else tmp_path / "volumes" / "katas" / "katas"
        )
        folder = root / avatar_folder(LION)
        eventually(lambda: free(folder), "the last test event has let go")
        with stopped_holder(folder) as holder:
            with pytest.raises(Busy) as told:
                katas.event(LION, seconds=0.3)
            line = one_line(told.value)
            assert "in use" in line
            if kind == "folder":
                assert f"process {holder} (" in line
                assert "which is stopped" in line
        assert play(katas, LION, {"a": "2"}).tag == 1


def free(folder: Path) -> bool:
    try:
        with locks.locked(str(folder), time.monotonic()):
            return True
    except Busy:
        return False


def test_a_reader_waits_no_longer_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What needs no lock is told all the same."""
    monkeypatch.setattr(locks, "READ_SECONDS", 0.2)
    monkeypatch.setattr("harness.inside.folder_katas.READ_SECONDS", 0.2)
    katas = FolderKatas(tmp_path)
    play(katas, LION, {"a": "1"})
    with stopped_holder(tmp_path / avatar_folder(LION)):
        assert katas.list()[LION.kata].keys() == {LION.name}
        assert not katas.usage()[LION.kata][LION.name].problem
        with katas.history(LION) as history:
            assert (history / "HEAD").exists()
        for ask in (
            lambda: katas.download(LION.kata, lambda data: None),
            lambda: katas.export(lambda data: None),
            lambda: katas.remove(LION.kata, LION.name),
        ):
            with pytest.raises(Busy):
                ask()
    assert katas.download(LION.kata, lambda data: None)


def test_a_keeper_that_was_stopped_is_given_up_and_ended(tmp_path: Path) -> None:
    """Within the time of the test event; the next one has another keeper, and the avatar."""
    with opened("volume", tmp_path) as katas:
        event = katas.event(LION, seconds=1.0)
        assert isinstance(event, VolumeEvent)
        process = event.link.stream.process  # type: ignore[attr-defined]
        with closing(event):
            os.kill(process.pid, signal.SIGSTOP)
            with pytest.raises(EngineError, match="within the time of the whole test event"):
                event.compare({})
        assert play(katas, LION, {"a": "1"}).tag == 0


def test_a_keeper_that_does_not_start_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that hangs holds nobody."""
    with opened("volume", tmp_path) as katas:
        start = LocalEngine.open_keeper

        def late(*arguments: object) -> object:
            time.sleep(1.0)
            return start(*arguments)

        monkeypatch.setattr(LocalEngine, "open_keeper", late)
        with pytest.raises(HarnessError, match="started in time"):
            katas.event(LION, seconds=0.1)
        time.sleep(1.2)  # the late one is closed
        monkeypatch.undo()
        assert play(katas, LION, {"a": "1"}).tag == 0
