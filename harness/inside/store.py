"""The katas: one interface, and the katas in a folder, which the keeper serves to others."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from harness.inside import (
    atomic_file,
    increments,
    journal,
    objects,
    removal,
    repack,
    saving,
    tarpipe,
)
from harness.inside.changes import Changes
from harness.inside.delta import Delta, Stamped, delta_between
from harness.inside.descent import DEEPEST, HOLES, descend, outgrows
from harness.inside.disk import empty_tree, remove_tree, sync_disk, sync_file, sync_folder
from harness.inside.errors import HarnessError, KatasError, NoSuchAvatar
from harness.inside.layer_list import LayerList, fold_layers
from harness.inside.layout import (
    ACCEPTING,
    HELD,
    HISTORY,
    INCOMING,
    INCREMENTS,
    KATA_ID,
    LAYERS,
    PATH_PARTS,
    SANDBOX,
    STAGING,
    STORE,
    VISIBLE,
    Avatar,
    avatar_folder,
    check_kata,
    kata_folder,
)
from harness.inside.locks import READ_SECONDS, STEP_SECONDS, locked, still
from harness.inside.partial_tar import pick
from harness.inside.sent_record import Record, Sent, after_a_crash, begin_writing, decode, encode
from harness.inside.stamps import Ahead, is_ahead
from harness.inside.tree import Entry, snapshot

EVENT_SECONDS = 600.0
"""How long a test event waits for another one of the same avatar, unless it is told."""

USAGE_TRIES = 3
"""How often a tree is looked through that changes meanwhile, before its test event is waited for."""

ARCHIVE = (*tarpipe.CREATE, "--mode=ug-s")
"""A tar for somebody else: any can read it, and who unpacks it as root makes no program that runs as root."""

RUNTIME = (INCOMING, STAGING, ACCEPTING, HELD, "*.lock")
"""What is beside a sandbox only while a test event is under way or prepared, or after a crash of one."""


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
class DiskUsage:
    """What an avatar takes of the disk, in bytes of content; a file of several hard links counts once."""

    visible: int
    extra: int  # made by runs: what an incremental build lives on
    history: int
    problem: str = ""  # why it could not be found out; the rest is 0 then

    def __add__(self, other: DiskUsage) -> DiskUsage:
        return DiskUsage(
            self.visible + other.visible, self.extra + other.extra, self.history + other.history
        )

    def __sub__(self, other: DiskUsage) -> DiskUsage:
        return DiskUsage(
            self.visible - other.visible, self.extra - other.extra, self.history - other.history
        )

    @classmethod
    def of(
        cls, avatar: Path, seen: Container[bytes], folders: Iterable[str] = (SANDBOX,)
    ) -> DiskUsage:
        """What the avatar in this folder takes, whose files are in these folders below it; those `seen` are visible. Raises
        OSError.
        """
        visible = extra = 0
        for folder in folders:
            for path, size in _sizes(avatar / folder):
                if path in seen:
                    visible += size
                else:
                    extra += size
        return cls(visible, extra, objects.weigh(str(avatar / HISTORY)))


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


class FolderKatas:
    """The katas in a folder."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).absolute()
        self._packing: list[threading.Thread] = []

    def describe(self) -> str:
        return str(self.root)

    def sandbox(self, avatar: Avatar) -> Path:
        """For those who may see the katas: a volume mount."""
        return self.root / avatar_folder(avatar) / SANDBOX

    def event(
        self,
        avatar: Avatar,
        kind: Callable[..., FolderEvent] | None = None,
        *,
        seconds: float = EVENT_SECONDS,
        durable: bool = False,
    ) -> FolderEvent:
        with _saying(f"the katas in {self.root} cannot be written"):
            if not self.root.exists():  # a folder that is there has the mode that its owner gave it
                self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = self.root / avatar_folder(avatar)
            made = kind or FolderEvent
            found = made(folder, time.monotonic() + seconds, self._closed, durable=durable)
            (self.root / STORE).touch()
            return found

    def list(
        self, kata: str | None = None, *, unread: Unread | None = None
    ) -> dict[str, dict[str, list[Increment]]]:
        found: dict[str, dict[str, list[Increment]]] = {}
        deadline = time.monotonic() + STEP_SECONDS
        with _saying(f"the katas in {self.root} cannot be read"):
            for each, folder in self._folders(kata):
                try:
                    with _saying(f"the kata in {folder} cannot be read"):
                        found[each] = _increments(folder, deadline)
                except KatasError as error:
                    if unread is None:
                        raise
                    unread(each, str(error))
        return found

    @contextlib.contextmanager
    def history(self, avatar: Avatar) -> Iterator[Path]:
        folder = self._avatar(avatar)
        journal.settle(str(folder))
        yield folder / HISTORY

    def pack_history(self, avatar: Avatar, write: tarpipe.Write) -> int:
        """The avatar's history as a tar stream; returns its bytes."""
        folder = self._avatar(avatar)
        with _saying(f"the katas in {self.root} cannot be read"), still(str(folder)):
            journal.recover_if_possible(str(folder))
            return tarpipe.pack(str(folder), write, what=(HISTORY,))

    def download(self, kata: str, write: tarpipe.Write) -> int:
        check_kata(kata)
        folder = self.root / kata_folder(kata)
        if not os.path.isdir(folder):
            raise NoSuchAvatar(
                f"there is no kata {kata} in {self.root}; `harness katas list` shows them all"
            )
        with _saying(f"the katas in {self.root} cannot be read"), _still(folder):
            names = sorted(name for name in os.listdir(folder) if not name.endswith(".lock"))
            _check_archive(kata, folder)
            return tarpipe.pack(
                str(folder),
                write,
                what=tuple(f"./{name}" for name in names),
                options=_leaving_out("./*"),
                command=ARCHIVE,
            )

    def tidy(self) -> repack.Sizes:
        with _saying(f"the katas in {self.root} cannot be written"):
            removal.finish_katas(str(self.root))
            folders = [each.parent for each in sorted(self.root.glob(f"??/????????/*/{HISTORY}"))]
            return sum((repack.tidy(str(each)) for each in folders), repack.Sizes())

    def remove(self, kata: str, name: str | None = None) -> None:
        check_kata(kata)
        with _saying(f"the katas in {self.root} cannot be written"):
            removal.finish_katas(str(self.root))
        folder = self.root / (
            kata_folder(kata) if name is None else avatar_folder(Avatar(kata, name))
        )
        if not os.path.isdir(folder):
            what = f"kata {kata}" if name is None else f"avatar {kata}/{name}"
            raise NoSuchAvatar(
                f"there is no {what} in {self.root}; `harness katas list` shows them all"
            )
        with _saying(f"{folder} cannot be removed"):
            (removal.remove_kata if name is None else removal.remove_avatar)(str(folder))

    def usage(self) -> dict[str, dict[str, DiskUsage]]:
        with _saying(f"the katas in {self.root} cannot be read"):
            return {
                kata: {
                    name: self._usage(Avatar(kata, name)) for name in removal.avatars(str(folder))
                }
                for kata, folder in self._folders()
            }

    def export(self, write: tarpipe.Write) -> int:
        """All katas as a tar stream; returns its bytes. No test event begins until `write` has taken all."""
        with _saying(f"the katas in {self.root} cannot be read"), contextlib.ExitStack() as stack:
            for kata, folder in self._folders():
                stack.enter_context(_still(folder))
                _check_archive(kata, folder)
            return tarpipe.pack(
                str(self.root), write, options=_leaving_out("./*/*/*"), command=ARCHIVE
            )

    def interrupt(self) -> None:
        """No keeper is in between."""

    def close(self) -> None:
        """Nothing is held between test events; histories that are being packed are waited for."""
        while self._packing:
            self._packing.pop().join()

    def _avatar(self, avatar: Avatar) -> Path:
        folder = self.root / avatar_folder(avatar)
        if not os.path.isdir(folder / HISTORY):
            raise NoSuchAvatar(
                f"there is no avatar {avatar} in {self.root}; `harness katas list` shows them all"
            )
        return folder

    def _usage(self, avatar: Avatar) -> DiskUsage:
        """Of one that cannot be read, its problem: others can."""
        folder = self.root / avatar_folder(avatar)
        try:
            with _saying(f"the katas in {folder} cannot be read"):
                _recover(folder.parent, avatar.name, time.monotonic() + STEP_SECONDS)
                for _ in range(USAGE_TRIES):
                    with contextlib.suppress(
                        FileNotFoundError
                    ):  # a run that is under way removed it meanwhile
                        return _usage_of(folder)
                with locked(str(folder)):
                    return _usage_of(folder)
        except HarnessError as error:
            return DiskUsage(0, 0, 0, str(error))

    def _folders(self, one: str | None = None) -> Iterator[tuple[str, Path]]:
        """Each kata, or this one if it is there, and where it is."""
        if one is not None:
            check_kata(one)
        for folder in sorted(self.root.glob("??/????????" if one is None else kata_folder(one))):
            kata = folder.parent.name + folder.name
            if KATA_ID.fullmatch(kata):
                yield kata, folder

    def _closed(self, avatar: Path) -> None:
        """A test event of the avatar has ended: its history is packed, when it is time, without anybody's waiting for it."""
        if repack.due(str(avatar / HISTORY)):
            self._packing = [each for each in self._packing if each.is_alive()]
            thread = threading.Thread(
                target=repack.repack_in_time, args=(str(avatar),), name="harness-repack"
            )
            thread.start()
            self._packing.append(thread)


class FolderEvent:
    """One test event of an avatar in a folder."""

    def __init__(
        self,
        folder: Path,
        deadline: float | None = None,
        closed: Callable[[Path], object] = lambda folder: None,
        *,
        durable: bool = False,
    ) -> None:
        """Waits for another one until the deadline, in monotonic seconds; `closed` is called with the folder in the end. With
        `durable` no failure of the power undoes it once it is accepted, nor tears what was there. Raises OSError and KatasError.
        """
        self._folder, self._closed, self._durable = folder, closed, durable
        self._unsaid: bytes | None = None  # what is to stand in visible.json, and does not yet
        self._sandbox, self._staging = str(folder / SANDBOX), str(folder / STAGING)
        self._incoming = str(folder / INCOMING)
        self._ahead: Ahead = {}
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked(str(folder), deadline))
            removal.finish(str(folder))
            (folder / SANDBOX).mkdir(exist_ok=True)
            if os.path.ismount(self._sandbox):
                raise KatasError(
                    f"{self._sandbox} is a mount point, whose place no other tree can take in one step; mount what the whole "
                    "katas are in"
                )
            journal.recover(str(folder))
            self._settle()
            with contextlib.suppress(
                OSError
            ):  # what cannot go is in the way of those alone who need the place
                self._clear()
            journal.make_history(str(folder / HISTORY), durable=durable)
            self._lock = stack.pop_all()

    @property
    def roots(self) -> tuple[int, ...]:
        with self._saying("read"):
            return (os.stat(self._sandbox).st_ino,)

    def compare(self, manifest: Mapping[bytes, Stamped]) -> SendPlan:
        with self._saying("read"):
            self._let_go()
            sent = self._sent()
            there = saving.still_there(self._sandbox, sent)
            delta = delta_between(
                manifest, {name: file.stamped for name, file in sent.items()}, there
            )
            return SendPlan(delta, *self._against(manifest.values()))

    def start_afresh(self) -> None:
        with self._saying("written"):
            self._let_go()
            (self._folder / VISIBLE).unlink(missing_ok=True)
            empty_tree(self._sandbox)

    def save(
        self,
        files: Iterable[saving.SavedFile],
        delta: Delta,
        *,
        owner: tuple[int, int] | None,
    ) -> None:
        self._save(files, delta, owner)

    def _save(
        self,
        files: Iterable[saving.SavedFile],
        delta: Delta,
        owner: tuple[int, int] | None = None,
        latest: int | None = None,
    ) -> None:
        with self._saying("written"):
            self._let_go()
            if owner and os.stat(self._sandbox).st_uid != owner[0]:
                saving.hand_over(self._sandbox, owner)
            if not (delta.written or delta.deleted):
                return
            os.makedirs(self._incoming, exist_ok=True)
            sent = self._sent()
            # A mode is changed in place: what is there is no half-written file, and stays the run's.
            self._write_sent(begin_writing(sent, {*delta.written} - {*delta.modes}))
            if self._durable:
                sync_folder(str(self._folder))  # what is in doubt is known before it is
            saved = saving.save(
                self._sandbox,
                self._incoming,
                files,
                delta.deleted,
                owner,
                sent=sent,
                names=delta.names,
                latest=latest,
                sync=sync_file if self._durable else None,
            )
            kept = {name: file for name, file in sent.items() if name not in delta.deleted}
            record = {**kept, **saved.sent}
            if self._durable:
                # All of that must be on the disk first, and the run need not wait for it.
                self._unsaid = encode(record)
            else:
                self._write_sent(record)
            # What the player sent is stamped by the harness: it may stay where it was brought.
            self._ahead = {path: moved for path, moved in saved.ahead.items() if path not in kept}

    def hold(self) -> Held:
        with self._saying("written"):
            path = str(self._folder / HELD)
            mark = self._held()
            if not mark:
                mark = secrets.token_hex(16)
                atomic_file.write(path, mark.encode())
            sent = self._sent()
            return Held(mark, sent, *self._against(file.stamped for file in sent.values()))

    def resume(
        self,
        mark: str,
        files: Iterable[saving.SavedFile],
        delta: Delta,
        *,
        latest: int,
    ) -> bool:
        with self._saying("read"):
            # What lies ahead of the clock is brought back to it by an edit, which the copy knows nothing of.
            if self._held() != mark or is_ahead(latest):
                return False
        self._save(files, delta, latest=latest)
        return True

    def pack(self, write: tarpipe.Write, paths: Sequence[bytes] | None = None) -> int:
        if paths is None:
            return tarpipe.pack(self._sandbox, write)
        with self._saying("read"):
            return pick(self._sandbox, paths, write)

    def digests(self, sizes: Mapping[bytes, int]) -> dict[bytes, str]:
        with self._saying("read"):
            return saving.digests(self._sandbox, sizes)

    def stage(self, chunks: Iterable[bytes]) -> int:
        with self._saying("written"):
            journal.make_staging(
                str(self._folder), 0o700
            )  # closed to the runs of team mates until all is in it
        try:
            return tarpipe.unpack(self._staging, chunks)
        except BaseException:
            with self._saying("written"):
                remove_tree(self._staging)  # part of a tree is never accepted
            raise

    def accept(self, acceptance: Acceptance, changes: Changes | None = None) -> None:
        with self._saying("written"):
            self._let_go()
            if acceptance.increment.status == 0:
                # A run that succeeded has made anew what depends on the edit; what it left alone does not.
                saving.put_ahead_again(self._result, self._ahead)
            journal.accept(
                str(self._folder),
                acceptance.objects,
                acceptance.commit,
                asdict(acceptance.increment),
                changes,
                durable=self._durable,
                sent=self._unsaid,
            )
            self._unsaid = None

    def snapshot(self, *, contents: bool = False) -> dict[bytes, Entry]:
        with self._saying("read"):
            return snapshot(self._sandbox, contents=contents)

    def usage(self) -> DiskUsage:
        with self._saying("read"):
            return DiskUsage.of(self._folder, _visible(self._folder))

    def close(self) -> None:
        with self._lock, contextlib.suppress(OSError):  # the next test event tries again
            if self._unsaid is not None:
                self._write_visible(self._unsaid, sync_disk)
            self._clear()
        with contextlib.suppress(OSError):
            self._closed(self._folder)

    def _held(self) -> str:
        try:
            return (self._folder / HELD).read_text()
        except FileNotFoundError:
            return ""

    def _let_go(self) -> None:
        """From now on no copy is the sandbox: it is about to be changed, by this test event or the run of one."""
        (self._folder / HELD).unlink(missing_ok=True)

    @property
    def _result(self) -> str:
        """The tree that becomes the sandbox when the test event is accepted."""
        return self._staging if os.path.isdir(self._staging) else self._sandbox

    def _settle(self) -> None:
        fold_layers(self._folder, durable=self._durable)

    def _clear(self) -> None:
        pending = journal.is_pending(str(self._folder))
        if not pending:  # else the staged tree is still to become the sandbox
            remove_tree(self._staging)
        if not (pending and self._durable):  # else objects in it are still to come into the history
            remove_tree(self._incoming)

    def _against(self, stamped: Iterable[Stamped]) -> tuple[frozenset[str], str | None, int]:
        """The history beside these files: which contents it does not hold yet, its head, and the tag of that."""
        head, tag = journal.head(str(self._folder))
        missing = objects.missing(
            str(self._folder / HISTORY), {file.blob for file in stamped if file.blob}
        )
        return frozenset(missing), head, tag

    def _sent(self) -> dict[bytes, Sent]:
        found = _read_sent(self._folder)
        if isinstance(found, dict):
            return after_a_crash(found, partial(saving.stamp_of, self._sandbox))
        # An older version kept the names alone: what the sandbox holds there is taken for what was sent.
        surveyed = saving.survey(self._sandbox, found)
        self._write_sent(surveyed)
        return surveyed

    def _write_sent(self, record: Record) -> None:
        self._write_visible(encode(record), sync_file if self._durable else None)

    def _write_visible(self, content: bytes, sync: atomic_file.Sync | None) -> None:
        os.makedirs(self._incoming, exist_ok=True)
        path = str(self._folder / VISIBLE)
        atomic_file.write(path, content, os.path.join(self._incoming, VISIBLE), sync=sync)

    def _saying(self, what: str) -> AbstractContextManager[None]:
        return _saying(f"the katas in {self._folder} cannot be {what}")


def _check_archive(kata: str, folder: Path) -> None:
    """Raise KatasError, or OSError, where an avatar of the kata in this folder has a tree that cannot be packed."""
    for name in removal.avatars(str(folder)):
        if what := outgrows(folder / name / SANDBOX, DEEPEST, HOLES):
            raise KatasError(
                f"a run of {kata}/{name} left {what}, which fit in no archive; "
                f"remove them, or the avatar by `harness katas remove {kata} {name} --yes`"
            )


def _leaving_out(avatars: str) -> tuple[str, ...]:
    """Options of a tar that packs katas: only beside a sandbox do these names mean something that is not the kata's."""
    return (
        "--anchored",
        "--no-wildcards-match-slash",
        *(f"--exclude={avatars}/{name}" for name in RUNTIME),
    )


def _read_sent(avatar: Path) -> dict[bytes, Sent] | list[bytes]:
    try:
        return decode((avatar / VISIBLE).read_bytes())
    except FileNotFoundError:
        return {}


def _visible(avatar: Path) -> set[bytes]:
    """The names of the visible files of the avatar in this folder."""
    return set(_read_sent(avatar))


def _recover(kata: Path, avatars: str, deadline: float) -> None:
    """Carry out what a crash left of these avatars' acceptances, for somebody who reads what was accepted."""
    for each in sorted(kata.glob(f"{avatars}/{ACCEPTING}")):
        journal.settle(str(each.parent), deadline)


def _increments(kata: Path, deadline: float) -> dict[str, list[Increment]]:
    """Each avatar's, of a kata in this folder."""
    _recover(kata, "*", deadline)
    listed = increments.read_increments(str(kata / INCREMENTS))
    return {
        name: [_increment(kata, each) for each in listed.get(name, [])]
        for name in removal.avatars(str(kata))
    }


def _increment(kata: Path, data: dict[str, Any]) -> Increment:
    try:
        return Increment(**data)
    except TypeError as error:
        raise atomic_file.damaged(str(kata / INCREMENTS)) from error


def _usage_of(avatar: Path) -> DiskUsage:
    listed = LayerList.read(avatar)
    if listed is None:
        return DiskUsage.of(avatar, _visible(avatar))
    folders = (*(f"{LAYERS}/{number}" for number, _ in listed.layers), SANDBOX)
    return DiskUsage.of(avatar, listed.sent, folders)


@contextlib.contextmanager
def _still(kata: Path) -> Iterator[None]:
    """Alone with a kata's avatars, whose trees are whole and in one folder each. Raises OSError and KatasError."""
    deadline = time.monotonic() + READ_SECONDS
    with contextlib.ExitStack() as stack:
        for name in removal.avatars(str(kata)):
            avatar = kata / name
            stack.enter_context(still(str(avatar), deadline))
            journal.recover_if_possible(str(avatar))
            fold_layers(avatar)
        yield


def _sizes(folder: Path) -> Iterator[tuple[bytes, int]]:
    """Each regular file below a folder, and its bytes; one that is deeper than any visible file without its name."""
    seen = set()
    for met in descend(folder):
        status = met.status
        if stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in seen:
            if status.st_nlink > 1:
                seen.add((status.st_dev, status.st_ino))
            yield met.path if len(met.above) < PATH_PARTS else b"", status.st_size


@contextlib.contextmanager
def _saying(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KatasError(f"{what}: {error.strerror or error}") from error
    except ValueError as error:
        raise KatasError(f"{what}: a file in it is damaged; put it back from a backup") from error
