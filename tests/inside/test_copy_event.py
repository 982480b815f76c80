"""A test event in a copy of the sandbox: what cannot be copied again is not accepted."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from harness.inside.copy_event import CopyEvent
from harness.inside.errors import KatasError
from harness.inside.layout import INCOMING, STAGING
from tests.events import acceptance, save
from tests.support import one_line


@pytest.mark.parametrize(("levels", "fits"), [(15, True), (30, False)])
def test_what_no_copy_can_be_made_of_is_refused(tmp_path: Path, levels: int, fits: bool) -> None:
    """A nest of folders that is deeper than any path; the next test event is as before."""
    folder = tmp_path / "01" / "23456789" / "lion"
    with closing(CopyEvent(folder)) as event:
        comparison = save(event, {"file": "1"})
        here = os.open(folder / event.place(), os.O_RDONLY)
        event.copy(None)
        for _ in range(levels):
            os.mkdir("n" * 250, dir_fd=here)
            below = os.open("n" * 250, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        if fits:
            event.accept(acceptance({"file": "1"}, comparison))
        else:
            with pytest.raises(KatasError, match="which cannot be copied") as raised:
                event.accept(acceptance({"file": "1"}, comparison))
            one_line(raised.value)
    with closing(CopyEvent(folder)) as event:
        assert event.place()
        event.copy(None)
        assert len(event.snapshot()) == 2 + levels * fits


def test_a_run_whose_harness_died_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on writing into its copy, which cannot be removed before it ends."""
    folder = tmp_path / "01" / "23456789" / "lion"
    with closing(CopyEvent(folder)) as event:
        (folder / event.place() / "made").touch()
        orphan = os.open(folder / STAGING, os.O_RDONLY)
        monkeypatch.setattr(event, "close", event.lock.close)
    inode, rmdir = os.fstat(orphan).st_ino, os.rmdir

    def writing(path: str | bytes, *, dir_fd: int | None = None) -> None:
        if os.stat(path, dir_fd=dir_fd).st_ino == inode:
            os.close(os.open("more", os.O_CREAT | os.O_WRONLY, dir_fd=orphan))
        rmdir(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", writing)
    with closing(CopyEvent(folder)) as event:
        comparison = save(event, {"file": "1"})
        assert os.listdir(folder / event.place()) == []
        event.copy(None)
        event.accept(acceptance({"file": "1"}, comparison))
        assert event.snapshot().keys() == {b".", b"file"}
    assert os.listdir(orphan) == ["more"]
    monkeypatch.undo()
    with closing(CopyEvent(folder)):
        assert not (folder / INCOMING).exists()
    os.close(orphan)
