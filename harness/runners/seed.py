"""What a sandbox that stands by already holds: a copy of the avatar's, and what has to be known of it to send in only the
edit, and to bring back only what changed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from harness.engines import Sandbox
from harness.inside.changes import (
    FILE,
    FOLDER,
    STAMPS_READS,
    Changes,
    Listing,
    above,
    can_tell,
    changes_between,
    suspects,
)
from harness.inside.delta import Delta, Stamped, usable
from harness.inside.delta import delta_between as work_out_delta
from harness.inside.errors import EngineError, StreamCut, UsageError
from harness.inside.layout import split_name
from harness.inside.store import Event, Held, SendPlan
from harness.inside.tree import KINDS

MOST_FILES = 1000
"""An edit of more than these is sent with all the rest."""

MOST_BYTES = 1 << 30
"""So much is hashed at most, on either side, to find out what a run did not change."""

LINK, NOTHING = b"l", b""


def letter_of(mode: int) -> bytes:
    """The letter that find prints for what git's mode names."""
    return KINDS[stat.S_IFMT(mode)].encode()


@dataclass(frozen=True)
class SeedEdit:
    """What has to be sent to a sandbox that holds all the rest."""

    sent: tuple[
        bytes, ...
    ]  # files that were written, and all folders that are touched by it, parents first
    deleted: tuple[bytes, ...]


@dataclass(frozen=True)
class Seed:
    """A sandbox's content, as it was when it was last written."""

    held: Held
    listing: Listing
    file_system: str

    @classmethod
    def plant(cls, sandbox: Sandbox, katas: Event) -> Seed | None:
        """Pipe the whole sandbox of the katas in; None where what a run changes could not be told."""
        held = katas.hold()
        sandbox.unpack(katas.pack)
        file_system, marks = sandbox.mark()
        try:
            listing = sandbox.listing()
        except StreamCut:
            return None
        return cls(held, listing, file_system) if can_tell(file_system, marks, listing) else None

    def compare(self, manifest: Mapping[bytes, Stamped]) -> SendPlan | None:
        """The visible files sent, against what is held; None where the copy could not be made what the katas will be."""
        held = self.held
        sent = {name: file.stamped for name, file in held.sent.items()}
        there = {name for name, file in sent.items() if self._holds(name, file.mode)}
        delta = work_out_delta(manifest, sent, there)
        if not (self._can_write(delta, sent) and self._can_be_used(manifest, delta)):
            return None
        new = {manifest[name].blob for name in delta.written} - {""}
        return SendPlan(delta, held.missing | new, held.head, held.tag)

    def _can_write(self, delta: Delta, sent: Mapping[bytes, Stamped]) -> bool:
        """Whether they go over nothing but files, in folders that the player may write in."""
        names = (*delta.written, *delta.deleted)
        if len(names) > MOST_FILES:
            return False
        for name in names:
            if self.listing.kind(name) not in {FILE, LINK, NOTHING} or not all(
                map(self._is_open, above(name))
            ):
                return False
        # What a run put in the place of an empty folder is not the player's to delete.
        if any(
            stat.S_ISDIR(sent[each].mode) and self.listing.kind(each) != NOTHING
            for each in delta.deleted
        ):
            return False
        # The katas change a mode in place, by all names of the file; here it would come as another file.
        return not any(map(self.listing.has_names, delta.modes))

    def _can_be_used(self, manifest: Mapping[bytes, Stamped], delta: Delta) -> bool:
        """Whether none is in a folder that a run shut, and no whole folder was deleted: both are put right where nothing stands
        by.
        """
        ways = {each for name in manifest for each in above(name)}
        folders = ways | {b".", *manifest}
        left = {os.path.dirname(name) or b"." for name in delta.deleted}
        return all(map(self._can_be_entered, ways)) and left <= folders

    def edit(self, delta: Delta) -> SeedEdit:
        """What a delta makes of the copy, too."""
        folders = {each for name in delta.written for each in above(name)}
        folders |= {
            each for name in delta.deleted for each in above(name) if self.listing.kind(each)
        }
        return SeedEdit(
            (*sorted(folders, key=lambda path: (path != b".", path)), *delta.written), delta.deleted
        )

    def bring_back(
        self, sandbox: Sandbox, katas: Event, edit: SeedEdit
    ) -> tuple[Changes, int] | None:
        """Stage what the run changed; returns it and the bytes that were piped. None where that cannot be told: then the
        whole tree has to be brought back.
        """
        try:
            after = sandbox.listing()
            read = suspects(self.listing, after) if self.file_system in STAMPS_READS else ()
            also = _others(sandbox, katas, after, read) if read else ()
            changes = changes_between(self.listing, edit.sent, after, also)
            for path in (
                *changes.gone,
                *changes.brought,
                *(each.path for each in changes.folders[1:]),
            ):
                split_name(path)
        except (
            EngineError,
            UsageError,
        ):  # the latter: names that are longer or deeper than is put in by name
            return None
        piped = katas.stage(sandbox.pick(changes.brought)) if changes.brought else 0
        return changes, piped

    def _holds(self, path: bytes, mode: int) -> bool:
        """Whether something is there of the kind that git's mode names; see `delta.same_kind`."""
        kind = self.listing.kind(path)
        return kind == letter_of(mode) and (
            kind != FILE or not usable(mode) & ~self.listing.mode(path)
        )

    def _can_be_entered(self, path: bytes) -> bool:
        return self.listing.kind(path) != FOLDER or self.listing.mode(path) & 0o500 == 0o500

    def _is_open(self, path: bytes) -> bool:
        kind = self.listing.kind(path)
        return kind == NOTHING or (kind == FOLDER and self.listing.mode(path) & 0o700 == 0o700)


def _others(
    sandbox: Sandbox, katas: Event, listing: Listing, paths: Sequence[bytes]
) -> Collection[bytes]:
    """Those of these files whose content is another than in the katas, or may be: of more bytes than a sandbox holds, most are
    holes, which cost less to bring back than to read.
    """
    sizes, left = {}, MOST_BYTES
    for size, path in sorted((listing.size(path), path) for path in paths):
        left -= size
        if left < 0:
            break
        sizes[path] = size
    with ThreadPoolExecutor(1) as other:  # both read at the same time
        before = other.submit(katas.digests, sizes)
        now = sandbox.digest(sizes) if sizes else {}
        same = {path for path, digest in before.result().items() if now.get(path) == digest}
    return [path for path in paths if path not in same]
