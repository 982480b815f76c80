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
"""Seconds after which the kernel's clock, by which it stamps, has surely moved on."""


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
    """Additive tar-back, into the folder that holds the tree of before: what the run deleted is there again, for ever, and a
    folder that became a file makes tar fail.
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
    """An empty tar-back with the right output: for 16 weeks of 2016 the original deleted in the wrong place and piped an empty
    tree back. Every output was right, since everything was built from nothing each time; nobody noticed that incremental
    builds had gone.
    """

    name = "empty-tar-back"
    katas_kind = EmptyKatas


class TouchingEvent(HonestEvent):
    def stage(self, chunks: Iterable[bytes]) -> int:
        count = super().stage(chunks)
        for root, folders, files in os.walk(self._staging):
            for each in (*folders, *files):
                os.utime(os.path.join(root, each), follow_symlinks=False)
        return count


class TouchingKatas(HonestKatas):
    event_kind = TouchingEvent


class Touch(Honest):
    """`--touch` on extraction, which the original had for a while: every stamp is that of the extraction, and make compares
    the order in which tar happened to extract.
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
                os.chmod(
                    here, stat.S_IMODE(status.st_mode)
                )  # the kernel takes bits away from what changes hands
        return count


class OwnedKatas(HonestKatas):
    event_kind = OwnedEvent


class PlayersRights(Honest):
    """The rights of the run's user kept in the katas, as `tar -xp` keeps them for root: the host needs that uid, and whoever
    else has it there owns what every player made.
    """

    name = "players-rights"
    katas_kind = OwnedKatas


def not_root() -> str:
    return "" if os.geteuid() == 0 else "only root can keep another user's rights"


class InPlaceEvent(HonestEvent):
    def stage(self, chunks: Iterable[bytes]) -> int:
        for each in os.listdir(self._sandbox):
            path = Path(self._sandbox, each)
            if path.is_dir() and not path.is_symlink():
                remove_tree(path)
            else:
                path.unlink()
        return tarpipe.unpack(self._sandbox, chunks)


class InPlaceKatas(HonestKatas):
    event_kind = InPlaceEvent


class InPlace(Honest):
    """Extraction over the old tree instead of beside it: when the stream is cut, the old tree has gone, and half of the new
    one, with a half-written target that make trusts, is what the avatar has.
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
    """No bump of an edit's stamp: it is stamped by the clock alone, as every copy is. A product from a clock that runs ahead
    then makes each later edit invisible; so does one of the same tick, 54 of 60 times on the bare host.
    """

    name = "unbumped"
    katas_kind = UnbumpedKatas


class AheadEvent(UnbumpedEvent):
    def stamp(self, path: bytes, now: int) -> None:
        super().stamp(path, now + HOUR_NS)


class AheadKatas(HonestKatas):
    event_kind = AheadEvent


class ClockAhead(Honest):
    """A clock an hour ahead where the edits are stamped, as when the browser's own is taken: each build is older than the
    edit that it was made for, so make makes it again and again, with the right output.
    """

    name = "clock-ahead"
    katas_kind = AheadKatas


class CommitsTimedOut(Honest):
    """A commit of a timed-out run: the steps after the run are carried out whatever became of it, so that an attempt that
    the player was told was never made is a tag in the history.
    """

    name = "commits-timed-out"

    def ran(self, event: TestEvent) -> bool:
        completed = event.run()
        if event.execution is not None and event.execution.timed_out:
            event.commit("4th")
        return completed


class RenamesMissedEvent(HonestEvent):
    unchanged: frozenset[bytes] = frozenset()
    """What the run-container says it has not touched, and need not be sent."""

    def stage(self, chunks: Iterable[bytes]) -> int:
        count = super().stage(chunks)
        for path in self.unchanged:
            here, there = (
                os.path.join(os.fsencode(each), path) for each in (self._staging, self._sandbox)
            )
            if not os.path.lexists(there):  # it can only be taken from where it was
                parent = os.stat(os.path.dirname(here))
                os.unlink(here)
                os.utime(os.path.dirname(here), ns=(parent.st_atime_ns, parent.st_mtime_ns))
        return count


class RenamesMissedKatas(HonestKatas):
    event_kind = RenamesMissedEvent


class RenamesMissed(Honest):
    """Only what changed is piped back, told by its ctime: what is in a folder that the run renamed has the ctime that it had,
    is not sent, and is not where it was either.
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
    """Dates that the carrier cannot hold turned into 0, as Docker's engine does with those before 1970 and after 2262: a
    header unpacked from an old archive is of another age than before, and is compiled against again.
    """

    name = "dates-clamped"
    katas_kind = ClampedKatas
