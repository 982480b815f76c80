"""Seeds: what a sandbox that stands by already holds, a copy of the avatar's tree.

A seed knows enough of the copy to send in only the edit, and to bring back only what changed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
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
from harness.inside.delta import Delta, Stamped, delta_between, usable
from harness.inside.errors import EngineError, StreamCut, UsageError
from harness.inside.layout import split_name
from harness.inside.store import Event, Held, SendPlan
from harness.inside.tree import KINDS

MOST_FILES = 1000
"""The most files of an edit. A larger one is sent with the whole tree."""

MOST_BYTES = 1 << 30
"""The most bytes that are hashed, on either side, to find files that a run did not change."""

LINK, NOTHING = b"l", b""


class Untold(Exception):
    """What a run will change in a sandbox could not be told later."""


def letter_of(mode: int) -> bytes:
    """Return the letter that find prints for the type in git's mode."""
    return KINDS[stat.S_IFMT(mode)].encode()


@dataclass(frozen=True)
class SeedEdit:
    """What to send to a sandbox that holds the rest."""

    sent: tuple[bytes, ...]
    """The files that were written, and every folder that this touches, parents first."""

    deleted: tuple[bytes, ...]
    """The files that were deleted."""


@dataclass(frozen=True)
class Seed:
    """A sandbox's content, as the harness last wrote it."""

    held: Held
    """The katas' state that it is a copy of."""

    listing: Listing
    """The sandbox's files, in enough detail to tell later what changed."""

    file_system: str
    """The name of the sandbox's file system, as stat(1) prints it."""

    @classmethod
    def plant(cls, sandbox: Sandbox, katas: Event) -> Seed:
        """Pipe the katas' whole sandbox in. Raises Untold if changes could not be told later."""
        held = katas.hold()
        sandbox.unpack(katas.pack)
        file_system, marks = sandbox.mark()
        try:
            listing = sandbox.listing()
        except StreamCut as error:
            raise Untold(str(error)) from error
        if not can_tell(file_system, marks, listing):
            raise Untold(f"what a run changes on {file_system} could not be told")
        return cls(held, listing, file_system)

    def compare(self, manifest: Mapping[bytes, Stamped]) -> SendPlan | None:
        """Compare the visible files with what is held.

        Returns None if sending the edit would not make the copy equal to the katas.
        """
        held = self.held
        sent = {name: file.stamped for name, file in held.sent.items()}
        there = {name for name, file in sent.items() if self._holds(name, file.mode)}
        delta = delta_between(manifest, sent, there)
        if not (self._can_write(delta, sent) and self._can_be_used(manifest, delta)):
            return None
        new = {manifest[name].blob for name in delta.written} - {""}
        return SendPlan(delta, held.missing | new, held.head, held.tag)

    def _can_write(self, delta: Delta, sent: Mapping[bytes, Stamped]) -> bool:
        """Return whether the edit replaces only files, in folders that the player may write to."""
        names = (*delta.written, *delta.deleted)
        if len(names) > MOST_FILES:
            return False
        for name in names:
            if self.listing.kind(name) not in {FILE, LINK, NOTHING} or not all(
                map(self._is_open, above(name))
            ):
                return False
        # The player may not delete what a run put in the place of an empty folder.
        if any(
            stat.S_ISDIR(sent[name].mode) and self.listing.kind(name) != NOTHING
            for name in delta.deleted
        ):
            return False
        # The katas change a mode in place, for all hard links; here it would arrive as a new file.
        return not any(map(self.listing.has_names, delta.modes))

    def _can_be_used(self, manifest: Mapping[bytes, Stamped], delta: Delta) -> bool:
        """Return whether no file is in a folder that a run closed, and no whole folder was deleted.

        A test event that starts from nothing repairs both.
        """
        ways = {folder for name in manifest for folder in above(name)}
        folders = ways | {b".", *manifest}
        left = {os.path.dirname(name) or b"." for name in delta.deleted}
        return all(map(self._can_be_entered, ways)) and left <= folders

    def is_out_of_order(self, delta: Delta, edited: Iterable[int | None]) -> bool:
        """Return whether the katas may have to stamp files that are not sent.

        That is so if the edit is older, in the player's folder, than files that were not edited;
        see `stamps.against_time`. `edited` are the ages of the edited files.
        """
        oldest = min((age for age in edited if age is not None), default=None)
        if oldest is None or all(age <= oldest for age in delta.ages.values()):
            return False
        return any(self.held.sent[name].age == age for name, age in delta.ages.items())

    def edit(self, delta: Delta) -> SeedEdit:
        """Return what to send for a delta."""
        folders = {folder for name in delta.written for folder in above(name)}
        folders |= {
            folder for name in delta.deleted for folder in above(name) if self.listing.kind(folder)
        }
        return SeedEdit(
            (*sorted(folders, key=lambda path: (path != b".", path)), *delta.written), delta.deleted
        )

    def bring_back(
        self, sandbox: Sandbox, katas: Event, edit: SeedEdit
    ) -> tuple[Changes, int] | None:
        """Stage what the run changed. Returns the changes, and the bytes that were piped.

        Returns None if the changes cannot be told; then bring back the whole tree.
        """
        try:
            after = sandbox.listing()
            read = suspects(self.listing, after) if self.file_system in STAMPS_READS else ()
            also = differing(sandbox, katas, after, read) if read else ()
            changes = changes_between(self.listing, edit.sent, after, also)
            for path in (
                *changes.gone,
                *changes.brought,
                *(folder.path for folder in changes.folders[1:]),
            ):
                split_name(path)
        except (EngineError, UsageError):  # UsageError: a name is too long or too deep
            return None
        piped = katas.stage(sandbox.pick(changes.brought)) if changes.brought else 0
        return changes, piped

    def _holds(self, path: bytes, mode: int) -> bool:
        """Return whether the entry has the type of git's mode; see `delta.same_kind`."""
        kind = self.listing.kind(path)
        return kind == letter_of(mode) and (
            kind != FILE or not usable(mode) & ~self.listing.mode(path)
        )

    def _can_be_entered(self, path: bytes) -> bool:
        return self.listing.kind(path) != FOLDER or self.listing.mode(path) & 0o500 == 0o500

    def _is_open(self, path: bytes) -> bool:
        kind = self.listing.kind(path)
        return kind == NOTHING or (kind == FOLDER and self.listing.mode(path) & 0o700 == 0o700)


def differing(
    sandbox: Sandbox, katas: Event, listing: Listing, paths: Sequence[bytes]
) -> Collection[bytes]:
    """Return the paths whose content differs from the katas', or was not compared.

    Stops comparing at MOST_BYTES: that is more than a sandbox holds, so most of the rest are holes,
    which are cheaper to bring back than to read.
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
