"""The katas: the interface of every store of them, and the values that it takes and gives."""

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
"""How long a test event waits for another one of the same avatar, unless it is told."""


@dataclass(frozen=True)
class SendPlan:
    """The visible files sent, against what the katas hold."""

    delta: Delta
    missing: frozenset[str]  # ids of contents that the history does not hold yet
    head: str | None  # commit of the last accepted test event
    tag: int  # its number; 0 before the first


@dataclass(frozen=True)
class Held:
    """What a copy of the sandbox goes with, as long as nobody changes the sandbox."""

    mark: str  # stays for as long
    sent: Record  # the visible files, as the player sent them last
    missing: frozenset[str]  # ids of their contents that the history does not hold
    head: str | None
    tag: int


Unread = Callable[[str, str], object]
"""Is told of a kata that cannot be read, by its id, and what is wrong."""


@dataclass(frozen=True)
class Increment:
    """One accepted test event, as increments.json lists it."""

    tag: int
    time: str  # ISO 8601, UTC
    outcome: str
    status: int | None


@dataclass(frozen=True)
class Acceptance:
    """All that makes a test event accepted."""

    commit: str
    objects: Iterable[
        tuple[str, bytes]
    ]  # id and zlib-compressed content, as git keeps loose objects
    increment: Increment


class Event(Protocol):
    """One test event of one avatar, which is locked until `close`. Every method raises KatasError."""

    @property
    def roots(self) -> tuple[int, ...]:
        """The inodes that the folder of the sandbox may have for a run that sees the katas: any other is not theirs."""

    def compare(self, manifest: Mapping[bytes, Stamped]) -> SendPlan: ...

    def start_afresh(self) -> None:
        """Empty the sandbox, before anything is compared; the history goes on."""

    def save(
        self,
        files: Iterable[saving.SavedFile],
        delta: Delta,
        *,
        owner: tuple[int, int] | None,
    ) -> None:
        """Copy in what changed of the visible files, by what `compare` gave: the files are those that are `written`."""

    def hold(self) -> Held:
        """Mark the sandbox as it is, for whoever makes a copy of it."""

    def resume(
        self,
        mark: str,
        files: Iterable[saving.SavedFile],
        delta: Delta,
        *,
        latest: int,
    ) -> bool:
        """In place of `compare` and `save`, for the holder of a copy who has compared for himself: save, if the mark is
        still there. `latest` is the newest stamp in the sandbox, in nanoseconds.
        """

    def pack(self, write: tarpipe.Write, paths: Sequence[bytes] | None = None) -> int:
        """The whole sandbox as a tar stream, or these entries without what is below them; returns its bytes."""

    def digests(self, sizes: Mapping[bytes, int]) -> Mapping[bytes, str]:
        """The BLAKE2b of these files, in hexadecimal; none for what cannot be read, or has not this size."""

    def stage(self, chunks: Iterable[bytes]) -> int:
        """Unpack a tar stream beside the sandbox; it takes the sandbox's place when the test event is
        accepted.
        """

    def accept(self, acceptance: Acceptance, changes: Changes | None = None) -> None:
        """In one atomic step: the staged tree, if any, the commit with its tag, and the entry of
        increments.json. With `changes` what was staged is only what they bring into the sandbox.
        """

    def snapshot(self, *, contents: bool = False) -> Mapping[bytes, Entry]: ...

    def usage(self) -> DiskUsage:
        """What the avatar takes of the disk now, with whatever is accepted but not folded yet."""

    def close(self) -> None: ...


class Katas(Protocol):
    """Where the katas live. Every method raises KatasError, and NoSuchAvatar where it is given one that is
    not there.
    """

    def describe(self) -> str: ...

    def event(
        self, avatar: Avatar, *, seconds: float = EVENT_SECONDS, durable: bool = False
    ) -> Event:
        """Begin a test event, waiting for another one of the same avatar; a new avatar is made on the fly. After so many
        seconds it is given up: Busy is raised, or EngineError where it is a keeper that was waited for. With `durable` no
        failure of the power undoes it once it is accepted.
        """

    def list(
        self, kata: str | None = None, *, unread: Unread | None = None
    ) -> Mapping[str, Mapping[str, Sequence[Increment]]]:
        """Kata to avatar to accepted test events, of all katas or of one. A kata that cannot be read is left out where there
        is an `unread` to tell it to, and raises KatasError where there is none.
        """

    def history(self, avatar: Avatar) -> AbstractContextManager[Path]:
        """A folder that holds the avatar's git history, to be read from."""

    def download(self, kata: str, write: tarpipe.Write) -> int:
        """The whole kata as a tar stream; returns its bytes. No test event of it begins until `write` has taken all."""

    def tidy(self) -> repack.Sizes:
        """Pack all histories, which each test event does for its avatar now and then; returns what that gained."""

    def remove(self, kata: str, name: str | None = None) -> None:
        """Remove an avatar, or the whole kata, for good, once no test event of it is under way."""

    def usage(self) -> Mapping[str, Mapping[str, DiskUsage]]:
        """Kata to avatar to what it takes of the disk, or the problem of one that cannot be read."""

    def interrupt(self) -> None:
        """Whoever is in the middle of something with a keeper gets StreamCut, and nothing more can be asked of one."""

    def close(self) -> None: ...
