"""A test event in a copy of the sandbox: what cannot be copied again is not accepted."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from harness.inside.copy_event import CopyEvent
from harness.inside.errors import KatasError
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
