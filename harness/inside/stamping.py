"""Giving edits their stamps, and moving stamps that are ahead of the clock back to it.

`harness.inside.stamps` decides which stamps they get.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Container, Mapping
from functools import partial

from harness.inside.descent import descend
from harness.inside.errors import KatasError
from harness.inside.layout import PATH_PARTS
from harness.inside.sandbox_folders import entry_status, sandbox_folders, stamp_path
from harness.inside.stamps import TICK_NS, Ahead, Moved, as_sent, file_time, in_order

AHEAD_BYTES = 16 << 20
"""How many bytes of paths ahead of the clock are remembered, so that their stamps can be restored.

A run may make any number of such files.
"""


Stamp = Callable[[bytes, int], int]
"""Stamps a path of the sandbox; returns the stamp that the file system stored."""


def stamp_all(
    stamp: Stamp, edits: Mapping[bytes, int | None], latest: int, *, first: bool
) -> dict[bytes, int]:
    """Stamp the edits later than `latest`, in the order of their ages.

    The files of a `first` test event keep their ages as stamps. Raises OSError, and KatasError if
    the file system cannot store such a stamp.
    """
    if first:
        return {name: stamp(name, age) for name, age in as_sent(edits, file_time()).items()}
    # Some file systems store whole seconds, or every other second.
    for coarse in (0, 10**9, 2 * 10**9):
        given = {name: stamp(name, age) for name, age in in_order(edits, latest + coarse).items()}
        if all(stored > latest for stored in given.values()):
            return given
    raise KatasError("the file system of the katas cannot stamp an edit later than the other files")


class AheadFiles:
    """The files ahead of the clock, of which a bounded number is remembered."""

    def __init__(self) -> None:
        self.now = file_time()
        # The newest stamp of all other files.
        self.latest = 0
        self.ages: dict[bytes, int | None] = {}
        self._left = AHEAD_BYTES

    def is_too_many(self, path: bytes | None, stamp: int) -> bool:
        """Take a file; return whether it is ahead and too many: stamp it `now` and forget it.

        A path of None cannot be remembered.
        """
        if stamp - self.now <= TICK_NS:
            self.latest = max(self.latest, stamp)
            return False
        if path is not None:
            self._left -= len(path)
            if self._left >= 0:
                self.ages[path] = stamp
                return False
        self.latest = max(self.latest, self.now)
        return True


def bring_to_clock(sandbox: str, edited: Container[bytes]) -> tuple[Ahead, int]:
    """Move stamps that are ahead of the clock back to it, keeping their order. Raises OSError.

    Returns what was moved, and the newest stamp afterwards; both leave out what was `edited`.
    Without this, an edit would be stamped in the future too, and ninja would loop: it rebuilds its
    own manifest until that is the newest.
    """
    files = AheadFiles()
    for met in descend(sandbox):
        # No build goes this deep, and paths this long cannot be looked up again.
        path = None if len(met.above) >= PATH_PARTS else met.path
        if path is not None and path in edited:
            continue
        if files.is_too_many(path, met.status.st_mtime_ns):
            with contextlib.suppress(FileNotFoundError):
                os.utime(met.name, ns=(files.now,) * 2, dir_fd=met.parent, follow_symlinks=False)
    with sandbox_folders(sandbox) as folders:
        return stamp_back(partial(stamp_path, folders), files.ages, files.latest)


def stamp_back(stamp: Stamp, ages: Mapping[bytes, int | None], latest: int) -> tuple[Ahead, int]:
    """Move these stamps back to the clock; all others are at most `latest`. Raises OSError."""
    given = {
        path: stamp(path, age) for path, age in sorted(in_order(ages, latest).items(), reverse=True)
    }
    return {path: Moved(given[path], age) for path, age in ages.items() if age}, max(
        [latest, *given.values()]
    )


def put_ahead_again(sandbox: str, ahead: Ahead) -> None:
    """Restore the stamps that `bring_to_clock` moved. Raises OSError.

    What the run has changed since is left alone, and so is the mode of a folder that it closed.
    """
    with sandbox_folders(sandbox) as folders:
        for path, moved in ahead.items():
            *above, last = path.split(b"/")
            with contextlib.suppress(PermissionError):
                folder = folders.place(above)
                status = None if folder is None else entry_status(folder, last)
                if status is not None and status.st_mtime_ns == moved.to:
                    stamp_path(folders, path, moved.back)
