"""The katas in a folder, which a keeper serves to others."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.inside import atomic_file, increments, journal, removal, repack, tarpipe
from harness.inside.archive import ARCHIVE, check_archive, leaving_out
from harness.inside.errors import HarnessError, KatasError, NoSuchAvatar, katas_errors
from harness.inside.folder_event import FolderEvent
from harness.inside.layer_list import fold_layers
from harness.inside.layout import (
    ACCEPTING,
    HISTORY,
    INCREMENTS,
    KATA_ID,
    SANDBOX,
    STORE,
    Avatar,
    avatar_folder,
    check_kata,
    kata_folder,
)
from harness.inside.locks import READ_SECONDS, STEP_SECONDS, locked, still
from harness.inside.store import EVENT_SECONDS, Increment, Unread
from harness.inside.usage import DiskUsage, weigh_avatar

USAGE_TRIES = 3
"""How often a tree is looked through that changes meanwhile, before its test event is waited for."""


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
        with katas_errors(f"the katas in {self.root} cannot be written"):
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
        with katas_errors(f"the katas in {self.root} cannot be read"):
            for each, folder in self._folders(kata):
                try:
                    with katas_errors(f"the kata in {folder} cannot be read"):
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
        with katas_errors(f"the katas in {self.root} cannot be read"), still(str(folder)):
            journal.recover_if_possible(str(folder))
            return tarpipe.pack(str(folder), write, what=(HISTORY,))

    def download(self, kata: str, write: tarpipe.Write) -> int:
        check_kata(kata)
        folder = self.root / kata_folder(kata)
        if not os.path.isdir(folder):
            raise NoSuchAvatar(
                f"there is no kata {kata} in {self.root}; `harness katas list` shows them all"
            )
        with katas_errors(f"the katas in {self.root} cannot be read"), _still(folder):
            names = sorted(name for name in os.listdir(folder) if not name.endswith(".lock"))
            check_archive(kata, folder)
            return tarpipe.pack(
                str(folder),
                write,
                what=tuple(f"./{name}" for name in names),
                options=leaving_out("./*"),
                command=ARCHIVE,
            )

    def tidy(self) -> repack.Sizes:
        with katas_errors(f"the katas in {self.root} cannot be written"):
            removal.finish_katas(str(self.root))
            folders = [each.parent for each in sorted(self.root.glob(f"??/????????/*/{HISTORY}"))]
            return sum((repack.tidy(str(each)) for each in folders), repack.Sizes())

    def remove(self, kata: str, name: str | None = None) -> None:
        check_kata(kata)
        with katas_errors(f"the katas in {self.root} cannot be written"):
            removal.finish_katas(str(self.root))
        folder = self.root / (
            kata_folder(kata) if name is None else avatar_folder(Avatar(kata, name))
        )
        if not os.path.isdir(folder):
            what = f"kata {kata}" if name is None else f"avatar {kata}/{name}"
            raise NoSuchAvatar(
                f"there is no {what} in {self.root}; `harness katas list` shows them all"
            )
        with katas_errors(f"{folder} cannot be removed"):
            (removal.remove_kata if name is None else removal.remove_avatar)(str(folder))

    def usage(self) -> dict[str, dict[str, DiskUsage]]:
        with katas_errors(f"the katas in {self.root} cannot be read"):
            return {
                kata: {
                    name: self._usage(Avatar(kata, name)) for name in removal.avatars(str(folder))
                }
                for kata, folder in self._folders()
            }

    def export(self, write: tarpipe.Write) -> int:
        """All katas as a tar stream; returns its bytes. No test event begins until `write` has taken all."""
        with (
            katas_errors(f"the katas in {self.root} cannot be read"),
            contextlib.ExitStack() as stack,
        ):
            for kata, folder in self._folders():
                stack.enter_context(_still(folder))
                check_archive(kata, folder)
            return tarpipe.pack(
                str(self.root), write, options=leaving_out("./*/*/*"), command=ARCHIVE
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
            with katas_errors(f"the katas in {folder} cannot be read"):
                _recover(folder.parent, avatar.name, time.monotonic() + STEP_SECONDS)
                for _ in range(USAGE_TRIES):
                    with contextlib.suppress(
                        FileNotFoundError
                    ):  # a run that is under way removed it meanwhile
                        return weigh_avatar(folder)
                with locked(str(folder)):
                    return weigh_avatar(folder)
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
