"""The katas in a folder, which a keeper also serves to others."""

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
from harness.inside.errors import HarnessError, KatasError, NoSuchAvatar
from harness.inside.folder_event import FolderEvent, katas_errors
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

_USAGE_TRIES = 3
"""How often the size of a changing sandbox is tried before its test event is waited for."""


class FolderKatas:
    """The katas below one folder.

    `Katas` in `harness.inside.store` describes its methods.
    """

    def __init__(self, root: str | os.PathLike[str], *, entered: bool = False) -> None:
        """Serve the katas below `root`, which need not exist.

        An avatar's folder that is made there is closed to other users of the machine, because a run
        may leave a program there that becomes the user of the run, whoever starts it, or a socket.
        `entered` says that players enter it by its path, as they do in a mounted volume.
        """
        self.root = Path(root).absolute()
        self._mode = 0o755 if entered else 0o700
        self._packing: list[threading.Thread] = []

    def describe(self) -> str:
        return self.place()

    def place(self) -> str:
        return str(self.root)

    def container(self, avatar: Avatar) -> str:
        return ""

    def sandbox(self, avatar: Avatar) -> Path:
        """Return the avatar's sandbox, for a caller that mounts it or looks into it."""
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
            # An existing folder keeps the mode that its owner gave it.
            if not self.root.exists():
                self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = self.root / avatar_folder(avatar)
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(self._mode, exist_ok=True)
            make = kind or FolderEvent
            event = make(folder, time.monotonic() + seconds, self._closed, durable=durable)
            (self.root / STORE).touch()
            return event

    def list(
        self, kata: str | None = None, *, unread: Unread | None = None
    ) -> dict[str, dict[str, list[Increment]]]:
        listing: dict[str, dict[str, list[Increment]]] = {}
        deadline = time.monotonic() + STEP_SECONDS
        with katas_errors(f"the katas in {self.root} cannot be read"):
            for name, folder in self._folders(kata):
                try:
                    with katas_errors(f"the kata in {folder} cannot be read"):
                        listing[name] = _increments(folder, deadline)
                except KatasError as error:
                    if unread is None:
                        raise
                    unread(name, str(error))
        return listing

    @contextlib.contextmanager
    def history(self, avatar: Avatar) -> Iterator[Path]:
        folder = self._avatar(avatar)
        journal.settle(str(folder))
        yield folder / HISTORY

    def pack_history(self, avatar: Avatar, write: tarpipe.Write) -> int:
        """Write the avatar's history as a tar stream and return the number of bytes."""
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
            histories = sorted(self.root.glob(f"??/????????/*/{HISTORY}"))
            return sum((repack.tidy(str(path.parent)) for path in histories), repack.Sizes())

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
        """Write all katas as a tar stream and return the number of bytes.

        No test event begins before `write` has received everything.
        """
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
        """Do nothing: there is no keeper to interrupt."""

    def close(self) -> None:
        """Wait for the histories that are being packed."""
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
        """Return the avatar's disk usage, or the problem if it cannot be read."""
        folder = self.root / avatar_folder(avatar)
        try:
            with katas_errors(f"the katas in {folder} cannot be read"):
                _recover(folder.parent, avatar.name, time.monotonic() + STEP_SECONDS)
                for _ in range(_USAGE_TRIES):
                    # A run in progress may remove a file between listing and looking at it.
                    with contextlib.suppress(FileNotFoundError):
                        return weigh_avatar(folder)
                with locked(str(folder)):
                    return weigh_avatar(folder)
        except HarnessError as error:
            return DiskUsage(0, 0, 0, str(error))

    def _folders(self, one: str | None = None) -> Iterator[tuple[str, Path]]:
        """Yield the id and folder of each kata, or of this one if it exists."""
        if one is not None:
            check_kata(one)
        for folder in sorted(self.root.glob("??/????????" if one is None else kata_folder(one))):
            kata = folder.parent.name + folder.name
            if KATA_ID.fullmatch(kata):
                yield kata, folder

    def _closed(self, avatar: Path) -> None:
        """Pack the history in the background if it is time."""
        if repack.due(str(avatar / HISTORY)):
            self._packing = [thread for thread in self._packing if thread.is_alive()]
            thread = threading.Thread(
                target=repack.repack_in_time, args=(str(avatar),), name="harness-repack"
            )
            thread.start()
            self._packing.append(thread)


def _recover(kata: Path, pattern: str, deadline: float) -> None:
    """Finish acceptances that a crash interrupted, of the avatars whose names match a pattern."""
    for path in sorted(kata.glob(f"{pattern}/{ACCEPTING}")):
        journal.settle(str(path.parent), deadline)


def _increments(kata: Path, deadline: float) -> dict[str, list[Increment]]:
    """Return the increments of each avatar of the kata in this folder."""
    _recover(kata, "*", deadline)
    listed = increments.read_increments(str(kata / INCREMENTS))
    return {
        name: [_increment(kata, data) for data in listed.get(name, [])]
        for name in removal.avatars(str(kata))
    }


def _increment(kata: Path, data: dict[str, Any]) -> Increment:
    try:
        return Increment(**data)
    except TypeError as error:
        raise atomic_file.damaged(str(kata / INCREMENTS)) from error


@contextlib.contextmanager
def _still(kata: Path) -> Iterator[None]:
    """Lock all avatars of a kata, each with its whole tree in the sandbox.

    Raises OSError and KatasError.
    """
    deadline = time.monotonic() + READ_SECONDS
    with contextlib.ExitStack() as stack:
        for name in removal.avatars(str(kata)):
            avatar = kata / name
            stack.enter_context(still(str(avatar), deadline))
            journal.recover_if_possible(str(avatar))
            fold_layers(avatar)
        yield
