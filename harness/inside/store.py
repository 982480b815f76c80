"""The interface of every store of katas, and the values that pass through it.

`harness.inside.folder_katas` keeps katas in a folder. `harness.katas.volume_katas` and
`harness.katas.granular_katas` keep them in volumes, behind keepers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.inside import repack, saving, tarpipe
from harness.inside.changes import Changes
from harness.inside.delta import Delta, Stamped
from harness.inside.layout import Avatar
from harness.inside.sent_record import Record
from harness.inside.tree import Entry
from harness.inside.usage import DiskUsage

EVENT_SECONDS = 600.0
"""How long a test event waits by default for another test event of the same avatar."""


@dataclass(frozen=True)
class SendPlan:
    """What must be sent: the visible files compared with what the katas hold."""

    delta: Delta
    """What the player changed since the last test event."""
    missing: frozenset[str]
    """Git ids of the contents that the history does not hold yet."""
    head: str | None
    """Commit of the last accepted test event; None before the first."""
    tag: int
    """Number of the last accepted test event; 0 before the first."""


@dataclass(frozen=True)
class Held:
    """The state that a copy of the sandbox matches until somebody changes the sandbox."""

    mark: str
    """Token that identifies this state; it disappears when the sandbox changes."""
    sent: Record
    """The visible files as the player last sent them."""
    missing: frozenset[str]
    """Git ids of their contents that the history does not hold yet."""
    head: str | None
    """Commit of the last accepted test event; None before the first."""
    tag: int
    """Number of the last accepted test event; 0 before the first."""


Unread = Callable[[str, str], object]
"""Receives the id of a kata that cannot be read, and a line that says why."""


@dataclass(frozen=True)
class Increment:
    """One accepted test event, as `increments.json` lists it."""

    tag: int
    """Its number, from 1."""
    time: str
    """When it was accepted: ISO 8601, UTC."""
    outcome: str
    """Outcome of the run, such as `completed`."""
    status: int | None
    """Exit status of the run; None if it has none."""


@dataclass(frozen=True)
class Acceptance:
    """Everything that is needed to accept a test event."""

    commit: str
    """Git id of the commit."""
    objects: Iterable[tuple[str, bytes]]
    """Git id and zlib-compressed content of each new object, as git stores loose objects."""
    increment: Increment
    """The entry for `increments.json`."""


class Event(Protocol):
    """One test event of one avatar, which stays locked until `close`.

    Every method raises KatasError.
    """

    @property
    def roots(self) -> tuple[int, ...]:
        """Inodes that the sandbox's folder may have in a run that mounts the katas.

        A folder with any other inode does not belong to the katas.
        """

    def compare(self, manifest: Mapping[bytes, Stamped]) -> SendPlan:
        """Return what must be sent, given the mode and blob of every visible file."""

    def start_afresh(self) -> None:
        """Empty the sandbox before anything is compared. The history goes on."""

    def save(
        self,
        files: Iterable[saving.SavedFile],
        delta: Delta,
        *,
        owner: tuple[int, int] | None,
    ) -> None:
        """Copy the changes of the visible files into the sandbox.

        `delta` comes from `compare`, and `files` are the files in `delta.written`. `owner` is the
        uid and gid that should own the sandbox; None leaves its owner as it is.
        """

    def hold(self) -> Held:
        """Mark the present state of the sandbox before a copy of it is made."""

    def resume(
        self,
        mark: str,
        files: Iterable[saving.SavedFile],
        delta: Delta,
        *,
        latest: int,
    ) -> bool:
        """Save without `compare` if the sandbox still has this mark; return whether it has.

        This is for a caller that holds a copy of the sandbox and has worked out the delta itself.
        `latest` is the newest stamp in the sandbox, in nanoseconds.
        """

    def pack(self, write: tarpipe.Write, paths: Sequence[bytes] | None = None) -> int:
        """Write the sandbox as a tar stream and return the number of bytes.

        With `paths`, write these entries only, without the contents of folders.
        """

    def digests(self, sizes: Mapping[bytes, int]) -> Mapping[bytes, str]:
        """Return the BLAKE2b of each file in hexadecimal.

        Files that cannot be read, or whose size is not the one given, are left out.
        """

    def stage(self, chunks: Iterable[bytes]) -> int:
        """Unpack a tar stream beside the sandbox and return the number of bytes.

        The unpacked tree replaces the sandbox when the test event is accepted.
        """

    def accept(
        self, acceptance: Acceptance, changes: Changes | None = None, *, mounted: bool = False
    ) -> None:
        """Accept the staged tree, the commit, its tag and the increment in one atomic step.

        With `changes`, the staged tree holds only what they bring into the sandbox. `mounted` says
        that the run worked in the sandbox itself; with neither, and nothing staged, it worked
        elsewhere and the sandbox is as it was saved.
        """

    def snapshot(self, *, contents: bool = False) -> Mapping[bytes, Entry]:
        """Return the sandbox as it is; with `contents`, including a digest of each file."""

    def usage(self) -> DiskUsage:
        """Return the avatar's disk usage, including layers that are accepted but not yet folded."""

    def close(self) -> None:
        """End the test event and release the avatar."""


class Katas(Protocol):
    """A store of katas.

    Every method raises KatasError; one that takes a kata or an avatar raises NoSuchAvatar if it
    does not exist.
    """

    def describe(self) -> str:
        """Return where the katas are, for messages."""

    def place(self) -> str:
        """Return the place that opens these katas again; empty if they cannot be opened again.

        A folder, or `volume:NAME`, as a command line takes it.
        """

    def container(self, avatar: Avatar) -> str:
        """Return the volume that holds an avatar; empty if a folder of this machine does."""

    def event(
        self, avatar: Avatar, *, seconds: float = EVENT_SECONDS, durable: bool = False
    ) -> Event:
        """Begin a test event; create the avatar if it is new.

        Waits up to `seconds` for another test event of the same avatar, then raises Busy, or
        EngineError if a keeper did not answer. With `durable`, an accepted test event survives a
        power failure.
        """

    def list(
        self, kata: str | None = None, *, unread: Unread | None = None
    ) -> Mapping[str, Mapping[str, Sequence[Increment]]]:
        """Return the accepted test events by kata and avatar, of all katas or of one.

        A kata that cannot be read is reported to `unread` and left out; without `unread`,
        KatasError is raised.
        """

    def history(self, avatar: Avatar) -> AbstractContextManager[Path]:
        """Open a folder that holds the avatar's git history, for reading only."""

    def download(self, kata: str, write: tarpipe.Write) -> int:
        """Write the whole kata as a tar stream and return the number of bytes.

        No test event of the kata begins before `write` has received everything.
        """

    def tidy(self) -> repack.Sizes:
        """Pack all histories and return how much space that saved.

        Test events also pack their avatar's history from time to time.
        """

    def remove(self, kata: str, name: str | None = None) -> None:
        """Delete an avatar, or the whole kata, once no test event of it is in progress."""

    def usage(self) -> Mapping[str, Mapping[str, DiskUsage]]:
        """Return disk usage by kata and avatar, or the problem of one that cannot be read."""

    def interrupt(self) -> None:
        """Cut all conversations with keepers: callers get StreamCut, and no new call succeeds."""

    def close(self) -> None:
        """Release everything that the store holds."""
