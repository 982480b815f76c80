"""Folders that have an owner: the local engine's, and those of whatever else needs one that `harness clean` finds after a
crash.

Others may be at work where they lie: in a shared /tmp anybody may have made a folder of the name that is wanted, or put a link
or a named pipe into its way. So each is reached from the one folder that holds them all, by descriptors, without following
anything, and nothing is read or removed that is not this user's own.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from urllib.parse import quote, unquote

import platformdirs

from harness.engines.owner import KATAS, OWNER_LABEL, TEMPORARY, Owner
from harness.inside.disk import remove_tree
from harness.inside.errors import EngineError

_LONGEST = 4096
"""Bytes of a label; this much is read of it."""

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_UNDER_WAY = re.compile(r"\.(?:making|removing)\.(.+)\.[0-9a-f]+")
"""The name of a folder while it is made or removed. It says whose it is: the label is not there yet, or no more."""


def state_home() -> Path:
    """Where katas and volumes are kept between sessions; HARNESS_HOME names another place."""
    return Path(os.environ.get("HARNESS_HOME") or platformdirs.user_state_path("harness"))


def sandboxes_home() -> Path:
    """Where this user's sandboxes are made. Not below a home folder, which a run under another uid may not
    enter.
    """
    return Path(tempfile.gettempdir()) / f"harness-{os.geteuid()}"


@dataclass(frozen=True)
class Labelled:
    """A folder with an owner."""

    name: str
    owner: str  # what its label says
    ours: bool  # this user's, and so is the label
    temporary: bool = True  # goes with its owner
    katas: str | None = None  # what a volume's label says
    under_way: bool = False  # is only being made, or removed


class Shelf:
    """A folder that holds folders with owners."""

    def __init__(self, path: Path) -> None:
        """Opens it. Raises OSError."""
        self.path = path
        self._folder = os.open(path, os.O_RDONLY | _FOLDER)
        self.ours = os.fstat(self._folder).st_uid == os.geteuid()

    def __enter__(self) -> Shelf:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._folder)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """One sweep of this user's at a time: two would take the same folders apart, to each other's surprise."""
        fcntl.flock(self._folder, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._folder, fcntl.LOCK_UN)

    def open_up(self) -> None:
        """Let others enter, though not look around, whatever this process's umask is: a player is one."""
        os.fchmod(self._folder, 0o711)

    def labelled(self) -> list[Labelled]:
        """The folders in it that have an owner, by name."""
        found = (self._look(name) for name in sorted(os.listdir(self._folder)))
        return [each for each in found if each]

    def make(
        self, name: str, labels: Mapping[str, str], *, mode: int, inside: Mapping[str, int]
    ) -> bool:
        """Make a folder with these labels, and folders inside, all at once; False if there is one. Raises OSError."""
        making = self._under_way("making")
        os.mkdir(making, 0o700, dir_fd=self._folder)
        try:
            folder = os.open(making, os.O_RDONLY | _FOLDER, dir_fd=self._folder)
            try:
                for each, permissions in inside.items():
                    os.mkdir(each, dir_fd=folder)
                    os.chmod(each, permissions, dir_fd=folder)
                for label, said in labels.items():
                    file = os.open(
                        label, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o644, dir_fd=folder
                    )
                    os.write(file, said.encode())
                    os.close(file)
                os.fchmod(folder, mode)
            finally:
                os.close(folder)
            os.rename(making, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except BaseException as error:
            remove_tree(making, parent=self._folder)
            if isinstance(error, OSError) and error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                return False
            raise
        return True

    def remove(self, name: str) -> None:
        """Remove a folder with all that is in it; a missing one is fine. Raises OSError. What is left of it then, or after a
        crash, has no name that anybody would look for, but one that `harness clean` knows.
        """
        removing = self._under_way("removing")
        try:
            os.rename(name, removing, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except FileNotFoundError:
            return
        remove_tree(removing, parent=self._folder)

    def _under_way(self, what: str) -> str:
        return f".{what}.{quote(str(Owner.current()), safe='')}.{secrets.token_hex(4)}"

    def _look(self, name: str) -> Labelled | None:
        try:
            folder = os.open(name, os.O_PATH | _FOLDER, dir_fd=self._folder)
        except OSError:
            return None  # no folder, or its owner has just removed it
        try:
            ours = os.fstat(folder).st_uid == os.geteuid()
            if under_way := _UNDER_WAY.fullmatch(name):
                return Labelled(name, unquote(under_way[1]), ours, under_way=True)
            owner = _read(folder, OWNER_LABEL)
            if owner is None:
                return None
            katas = _read(folder, KATAS)
            return Labelled(
                name,
                owner[0],
                ours and owner[1],
                temporary=_read(folder, TEMPORARY) is not None,
                katas=katas and katas[0],
            )
        finally:
            os.close(folder)


def _read(folder: int, label: str) -> tuple[str, bool] | None:
    """What a label of an open folder says, and whether it is this user's; None if it is no plain file."""
    try:
        file = os.open(label, os.O_RDONLY | _FILE, dir_fd=folder)
    except OSError:
        return None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return None
        return os.read(file, _LONGEST).decode(errors="replace"), status.st_uid == os.geteuid()
    finally:
        os.close(file)


SCRATCH = "files"
"""The folder inside a temporary one that holds only what its user puts there."""


@contextlib.contextmanager
def scratch(kind: str) -> Iterator[Path]:
    """An empty folder, for this user alone, that goes with the block, or with the next `harness clean`."""
    folder = temporary_folder(kind, inside={SCRATCH: 0o700})
    try:
        yield folder / SCRATCH
    finally:
        remove_folder(folder)


@contextlib.contextmanager
def probe_volume(home: Path) -> Iterator[Path]:
    """The same in a home of volumes, to find out what can be done on its file system. Raises OSError."""
    home.mkdir(parents=True, exist_ok=True)
    with Shelf(home) as shelf:
        name = _make(shelf, "probe", {TEMPORARY: ""}, {SCRATCH: 0o755})
        try:
            yield home / name / SCRATCH
        finally:
            shelf.remove(name)


def temporary_folder(kind: str, *, inside: Mapping[str, int] = MappingProxyType({})) -> Path:
    """A fresh folder of this process's, where `harness clean` finds it should the process not come to remove it with
    `remove_folder`; with folders `inside` of these modes.
    """
    base = sandboxes_home()
    try:
        base.mkdir(exist_ok=True, parents=True)
        with Shelf(base) as shelf:
            if not shelf.ours:
                raise EngineError(f"{base} is somebody else's; set TMPDIR to a folder of your own")
            shelf.open_up()
            return base / _make(shelf, kind, {}, inside)
    except OSError as error:
        raise EngineError(
            f"no {kind} folder can be made in {base}: {error.strerror}; set TMPDIR to one with room"
        ) from error


def _make(shelf: Shelf, kind: str, labels: Mapping[str, str], inside: Mapping[str, int]) -> str:
    """A folder of this process's, under a name that nothing has; returns the name. Raises OSError."""
    while True:
        name = f"{kind}-{secrets.token_hex(4)}"
        if shelf.make(
            name, {OWNER_LABEL: str(Owner.current()), **labels}, mode=0o711, inside=inside
        ):
            return name


def remove_folder(folder: Path) -> None:
    """Remove a folder that has an owner, label and all; a missing one is fine. Raises OSError."""
    with contextlib.suppress(FileNotFoundError), Shelf(folder.parent) as shelf:
        shelf.remove(folder.name)
