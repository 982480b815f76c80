"""Folders with a label that names their owner, so that `harness clean` finds what a crash left.

They may lie in a shared /tmp, where another user may have made a folder of the same name, or put a
link or a named pipe in its place. So this module opens them by descriptors, from the folder that
holds them all, follows no links, and reads and removes only what belongs to this user.
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
"""Bytes that are read of a label."""

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_UNDER_WAY = re.compile(r"\.(?:making|removing)\.(.+)\.[0-9a-f]+")
"""The name of a folder while it is created or removed. It names the owner, since the label may not
be there.
"""


def state_home() -> Path:
    """Return the folder that keeps katas and volumes; HARNESS_HOME overrides it."""
    return Path(os.environ.get("HARNESS_HOME") or platformdirs.user_state_path("harness"))


def sandboxes_home() -> Path:
    """Return the folder for this user's sandboxes.

    It is not below the home folder, which a run under another uid may be unable to enter.
    """
    return Path(tempfile.gettempdir()) / f"harness-{os.geteuid()}"


@dataclass(frozen=True)
class Labelled:
    """A folder with an owner."""

    name: str
    """Its name on the shelf."""

    owner: str
    """What its label says."""

    ours: bool
    """Whether the folder and its label belong to this user."""

    temporary: bool = True
    """Whether it is removed with its owner."""

    katas: str | None = None
    """What a volume's label says. None: it has no such label."""

    under_way: bool = False
    """Whether it is being created or removed."""


class Shelf:
    """A folder that holds folders with owners. Close it by leaving its `with` block."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises OSError."""
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
        """Let one process of this user sweep at a time; two would remove the same folders."""
        fcntl.flock(self._folder, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._folder, fcntl.LOCK_UN)

    def open_up(self) -> None:
        """Let other users enter but not list it, whatever the umask: a player is another user."""
        os.fchmod(self._folder, 0o711)

    def labelled(self) -> list[Labelled]:
        """Return the folders in it that have an owner, sorted by name."""
        folders = (self._look(name) for name in sorted(os.listdir(self._folder)))
        return [folder for folder in folders if folder]

    def make(
        self, name: str, labels: Mapping[str, str], *, mode: int, inside: Mapping[str, int]
    ) -> bool:
        """Create a folder with labels and inner folders, in one step. Returns False if it exists.

        Raises OSError.
        """
        making = self.name_under_way("making")
        os.mkdir(making, 0o700, dir_fd=self._folder)
        try:
            folder = os.open(making, os.O_RDONLY | _FOLDER, dir_fd=self._folder)
            try:
                for inner, permissions in inside.items():
                    os.mkdir(inner, dir_fd=folder)
                    os.chmod(inner, permissions, dir_fd=folder)
                for label, content in labels.items():
                    file = os.open(
                        label, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o644, dir_fd=folder
                    )
                    os.write(file, content.encode())
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
        """Remove a folder and what is in it; a missing one is fine. Raises OSError.

        What an error or a crash leaves has a name that only `harness clean` looks for.
        """
        removing = self.name_under_way("removing")
        try:
            os.rename(name, removing, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except FileNotFoundError:
            return
        remove_tree(removing, parent=self._folder)

    def name_under_way(self, what: str) -> str:
        """Return a new name for a folder that is being made or removed, which says by whom."""
        return f".{what}.{quote(str(Owner.current()), safe='')}.{secrets.token_hex(4)}"

    def _look(self, name: str) -> Labelled | None:
        try:
            folder = os.open(name, os.O_PATH | _FOLDER, dir_fd=self._folder)
        except OSError:
            return None  # not a folder, or its owner has just removed it
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
    """Return what a label says, and whether it is this user's; None if it is not a plain file."""
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
"""The folder inside a temporary one that holds the user's files, without the label."""


@contextlib.contextmanager
def scratch(kind: str) -> Iterator[Path]:
    """Give the block an empty folder that only this user can enter, and remove it afterwards."""
    folder = temporary_folder(kind, inside={SCRATCH: 0o700})
    try:
        yield folder / SCRATCH
    finally:
        remove_folder(folder)


@contextlib.contextmanager
def probe_volume(home: Path) -> Iterator[Path]:
    """Do the same where volumes are kept, to try what their file system can do. Raises OSError."""
    home.mkdir(parents=True, exist_ok=True)
    with Shelf(home) as shelf:
        name = _make(shelf, "probe", {TEMPORARY: ""}, {SCRATCH: 0o755})
        try:
            yield home / name / SCRATCH
        finally:
            shelf.remove(name)


def temporary_folder(kind: str, *, inside: Mapping[str, int] = MappingProxyType({})) -> Path:
    """Create a folder that this process owns, with the inner folders `inside`, by name and mode.

    Remove it with `remove_folder`; after a crash, `harness clean` does.
    """
    base = sandboxes_home()
    try:
        base.mkdir(exist_ok=True, parents=True)
        with Shelf(base) as shelf:
            if not shelf.ours:
                raise EngineError(
                    f"{base} belongs to another user; set TMPDIR to a folder of your own"
                )
            shelf.open_up()
            return base / _make(shelf, kind, {}, inside)
    except OSError as error:
        raise EngineError(
            f"no {kind} folder can be made in {base}: {error.strerror}; set TMPDIR to one with room"
        ) from error


def _make(shelf: Shelf, kind: str, labels: Mapping[str, str], inside: Mapping[str, int]) -> str:
    """Create a folder that this process owns, and return its name. Raises OSError."""
    while True:
        name = f"{kind}-{secrets.token_hex(4)}"
        if shelf.make(
            name, {OWNER_LABEL: str(Owner.current()), **labels}, mode=0o711, inside=inside
        ):
            return name


def remove_folder(folder: Path) -> None:
    """Remove a folder that has an owner, with its label; a missing one is fine. Raises OSError."""
    with contextlib.suppress(FileNotFoundError), Shelf(folder.parent) as shelf:
        shelf.remove(folder.name)
