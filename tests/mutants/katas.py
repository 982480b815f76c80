"""Mistakes in how the katas keep a tree."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from harness.engines.spec import NOBODY
from harness.inside import tarpipe
from harness.inside.delta import Delta
from harness.inside.disk import remove_tree
from harness.inside.saving import SavedFile
from harness.inside.tree import walk
from harness.runners.event import TestEvent
from tests.mutants.mutant import Honest, HonestEvent, HonestKatas

HOUR_NS = 3600 * 10**9

TICKS = 0.01
"""Seconds after which the kernel's clock for stamps has surely moved on."""


class AdditiveEvent(HonestEvent):
    def stage(self, chunks: Iterable[bytes]) -> int:
        archive = list(chunks)
        tarpipe.unpack(self._sandbox, iter(archive))
        everything: list[bytes] = []
        tarpipe.pack(self._sandbox, everything.append)
        return super().stage(everything)


class AdditiveKatas(HonestKatas):
    event_kind = AdditiveEvent


class Additive(Honest):
    """The tree is unpacked over the old one.

    What the run deleted is back for ever, and a folder that became a file makes tar fail.
    """

    name = "additive"
    katas_kind = AdditiveKatas


class EmptyEvent(HonestEvent):
    def stage(self, chunks: Iterable[bytes]) -> int:
        count = sum(map(len, chunks))
        remove_tree(self._staging)
        os.mkdir(self._staging, 0o755)
        return count


class EmptyKatas(HonestKatas):
    event_kind = EmptyEvent


class EmptyTarBack(Honest):
    """An empty tree comes back, with the right output.

    For 16 weeks of 2016 the original deleted in the wrong place and piped an empty tree back. Every
    output was right, since every build started from nothing; nobody noticed that builds were no
    longer incremental.
    """

    name = "empty-tar-back"
    katas_kind = EmptyKatas


class TouchingEvent(HonestEvent):
    def stage(self, chunks: Iterable[bytes]) -> int:
        count = super().stage(chunks)
        for root, folders, files in os.walk(self._staging):
            for name in (*folders, *files):
                os.utime(os.path.join(root, name), follow_symlinks=False)
        return count


class TouchingKatas(HonestKatas):
    event_kind = TouchingEvent


class Touch(Honest):
    """The tree is unpacked with `--touch`, as the original did for a while.

    Every stamp is that of unpacking, and make compares the order in which tar happened to unpack.
    """

    name = "touch"
    katas_kind = TouchingKatas


class OwnedEvent(HonestEvent):
    def stage(self, chunks: Iterable[bytes]) -> int:
        count = super().stage(chunks)
        root = os.fsencode(self._staging)
        for path, status in list(walk(root)):
            here = os.path.join(root, path)
            os.chown(here, NOBODY, NOBODY, follow_symlinks=False)
            if not stat.S_ISLNK(status.st_mode):
                # The kernel clears set-id bits when an owner changes.
                os.chmod(here, stat.S_IMODE(status.st_mode))
        return count


class OwnedKatas(HonestKatas):
    event_kind = OwnedEvent


class PlayersRights(Honest):
    """The katas keep the owner of the run, as `tar -xp` does for root.

    The host needs that uid, and anybody who has it there owns what every player made.
    """

    name = "players-rights"
    katas_kind = OwnedKatas


def not_root() -> str:
    return "" if os.geteuid() == 0 else "only root can keep another user's rights"


class InPlaceEvent(HonestEvent):
    def stage(self, chunks: Iterable[bytes]) -> int:
        for name in os.listdir(self._sandbox):
            path = Path(self._sandbox, name)
            if path.is_dir() and not path.is_symlink():
                remove_tree(path)
            else:
                path.unlink()
        return tarpipe.unpack(self._sandbox, chunks)


class InPlaceKatas(HonestKatas):
    event_kind = InPlaceEvent


class InPlace(Honest):
    """The tree is unpacked in place of the old one instead of beside it.

    If the stream is cut, the old tree is gone. The avatar has half of the new one, with a
    half-written target that make trusts.
    """

    name = "in-place"
    katas_kind = InPlaceKatas


class UnbumpedEvent(HonestEvent):
    def save(
        self,
        files: Iterable[SavedFile],
        delta: Delta,
        *,
        owner: tuple[int, int] | None,
    ) -> None:
        super().save(files, delta, owner=owner)
        self._ahead, ahead = {}, self._ahead
        for path, moved in ahead.items():
            back = os.path.join(os.fsencode(self._sandbox), path)
            os.utime(back, ns=(moved.back, moved.back), follow_symlinks=False)
        now = time.time_ns()
        for name in delta.written:
            self.stamp(os.path.join(os.fsencode(self._sandbox), name), now)

    def stamp(self, path: bytes, now: int) -> None:
        os.utime(path, ns=(now, now), follow_symlinks=False)


class UnbumpedKatas(HonestKatas):
    event_kind = UnbumpedEvent


class Unbumped(Honest):
    """An edit is stamped by the clock alone, as any copy is.

    A product from a clock that runs ahead then hides every later edit. A product of the same tick
    hid 54 of 60 on the bare host.
    """

    name = "unbumped"
    katas_kind = UnbumpedKatas


class AheadEvent(UnbumpedEvent):
    def stamp(self, path: bytes, now: int) -> None:
        super().stamp(path, now + HOUR_NS)


class AheadKatas(HonestKatas):
    event_kind = AheadEvent


class ClockAhead(Honest):
    """Edits are stamped by a clock that is an hour ahead, such as the browser's.

    Each build is older than its edit, so make builds again and again, with the right output.
    """

    name = "clock-ahead"
    katas_kind = AheadKatas


class CommitsTimedOut(Honest):
    """A timed-out run is committed: the steps after a run follow whatever its outcome.

    The history has a tag for an attempt that, as the player was told, was never made.
    """

    name = "commits-timed-out"

    def ran(self, event: TestEvent) -> bool:
        completed = event.run()
        if event.progress.execution is not None and event.progress.execution.timed_out:
            event.commit("4th")
        return completed


class RenamesMissedEvent(HonestEvent):
    unchanged: frozenset[bytes] = frozenset()
    """Files that the run-container reports as untouched, which need not be sent."""

    def stage(self, chunks: Iterable[bytes]) -> int:
        count = super().stage(chunks)
        for path in self.unchanged:
            here, there = (
                os.path.join(os.fsencode(folder), path) for folder in (self._staging, self._sandbox)
            )
            # It can only be taken from where it was.
            if not os.path.lexists(there):
                parent = os.stat(os.path.dirname(here))
                os.unlink(here)
                os.utime(os.path.dirname(here), ns=(parent.st_atime_ns, parent.st_mtime_ns))
        return count


class RenamesMissedKatas(HonestKatas):
    event_kind = RenamesMissedEvent


class RenamesMissed(Honest):
    """Only files with a new ctime come back.

    Files in a folder that the run renamed keep their ctime. They are not sent, and are no longer
    where they were either.
    """

    name = "renames-missed"
    katas_kind = RenamesMissedKatas

    def ran(self, event: TestEvent) -> bool:
        time.sleep(TICKS)
        mark = time.time()
        time.sleep(TICKS)
        if not event.run():
            return False
        assert isinstance(event.katas, RenamesMissedEvent)
        found = event.sandbox.execute(f"find . -type f ! -newerct @{mark:.6f} -print0", 60)
        event.katas.unchanged = frozenset(found.stdout.split(b"\0")[:-1])
        return True


class ClampedEvent(HonestEvent):
    def stage(self, chunks: Iterable[bytes]) -> int:
        count = super().stage(chunks)
        root = os.fsencode(self._staging)
        for path, status in list(walk(root)):
            if not 0 <= status.st_mtime_ns < 2**63:
                os.utime(os.path.join(root, path), ns=(0, 0), follow_symlinks=False)
        return count


class ClampedKatas(HonestKatas):
    event_kind = ClampedEvent


class DatesClamped(Honest):
    """Dates that the transport cannot hold become 0, as Docker does before 1970 and after 2262.

    A header from an old archive gets another age, and everything that includes it is compiled
    again.
    """

    name = "dates-clamped"
    katas_kind = ClampedKatas
