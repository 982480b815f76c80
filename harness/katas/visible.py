"""The visible files: what the browser edits and sends with each test event."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from errno import EACCES
from functools import cached_property
from pathlib import Path

from harness.errors import UsageError
from harness.katas.delta import Stamped, blob_id
from harness.katas.layout import show, split_name

FILE, PROGRAM, LINK = 0o100644, 0o100755, 0o120000
"""The kinds of file, by git's modes."""


class VisibleFile:
    """One visible file; its content is read when it is asked for, so that a large tree is never all in
    memory.
    """

    def __init__(self, content: bytes | Path, mode: int | None = None) -> None:
        """`content` itself, or the file that holds it. Mode None: a program if it starts with #!."""
        self._content = content
        self._mode = mode

    def read(self) -> bytes:
        """Raises UsageError where the file that holds it has gone."""
        if isinstance(self._content, bytes):
            return self._content
        try:
            if self._mode == LINK:
                return os.fsencode(self._content.readlink())
            return self._content.read_bytes()
        except OSError as error:
            raise _unreadable(error) from error

    @property
    def size(self) -> int:
        """Bytes, found without reading them. Raises UsageError where the file that holds them has gone."""
        if isinstance(self._content, bytes):
            return len(self._content)
        try:
            return self._content.lstat().st_size
        except OSError as error:
            raise _unreadable(error) from error

    @cached_property
    def mode(self) -> int:
        if self._mode is not None:
            return self._mode
        return PROGRAM if self.read().startswith(b"#!") else FILE

    @cached_property
    def blob(self) -> str:
        """Git's id of the content."""
        return blob_id(self.read())


class VisibleFiles(Mapping[bytes, VisibleFile]):
    """Name, relative to the sandbox, to file. Immutable."""

    def __init__(self, files: Mapping[str, str | bytes] | Mapping[bytes, VisibleFile]) -> None:
        """From texts or bytes by name. Raises UsageError for a name that escapes, or is both a file and a
        folder.
        """
        found: dict[bytes, VisibleFile] = {}
        for key, content in files.items():
            name = _encode(key)
            split_name(name)
            found[name] = (
                content if isinstance(content, VisibleFile) else VisibleFile(_content(name, content))
            )
        self._files = dict(sorted(found.items(), key=lambda item: item[0]))
        for folder in folders_of(self._files):
            if folder in self._files:
                raise UsageError(f"{show(folder)} is both a file and a folder")

    @classmethod
    def from_folder(cls, folder: str | os.PathLike[str]) -> VisibleFiles:
        """All files below a folder but the history in `.git`. Raises UsageError for what cannot be sent."""
        folder = Path(folder)
        if not os.path.isdir(folder):
            raise UsageError(f"there is no folder {folder}")
        try:
            files = {
                os.fsencode(path.relative_to(folder)): _visible(path, folder) for path in _files_below(folder)
            }
        except OSError as error:
            raise _unreadable(error) from error
        if not files:
            raise UsageError(f"the folder {folder} is empty")
        return cls(files)

    def edited(self, name: str, content: str | bytes) -> VisibleFiles:
        """The same files with one of them replaced or added. Raises UsageError as the constructor does."""
        key = _encode(name)
        mode = self._files[key].mode if key in self._files else None
        return VisibleFiles({**self._files, key: VisibleFile(_content(key, content), mode)})

    def without(self, name: str) -> VisibleFiles:
        """The same files less one; raises KeyError."""
        key = _encode(name)
        self._files[key]
        return VisibleFiles({each: file for each, file in self._files.items() if each != key})

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Write all of them below an empty folder, with stamps of now. Raises OSError."""
        root = os.fsencode(folder)
        for each in {os.path.dirname(name) for name in self._files}:
            os.makedirs(os.path.join(root, each), exist_ok=True)
        for name, file in self._files.items():
            path = os.path.join(root, name)
            if file.mode == LINK:
                os.symlink(file.read(), path)
                continue
            with open(path, "wb") as out:
                out.write(file.read())
                os.fchmod(out.fileno(), file.mode & 0o777)

    def manifest(self) -> dict[bytes, Stamped]:
        """What a delta is worked out from."""
        return {name: Stamped(file.mode, file.blob) for name, file in self._files.items()}

    def __getitem__(self, name: str | bytes) -> VisibleFile:
        return self._files[_encode(name)]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _files_below(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, onerror=_raise):
        here = Path(root)
        for history in (folders, names):  # a file in a git worktree
            if here == folder and ".git" in history:
                history.remove(".git")
        for name in sorted(folders):
            if (here / name).is_symlink():
                folders.remove(name)
                names.append(name)
        folders.sort()
        for name in sorted(names):
            yield here / name


def _visible(path: Path, folder: Path) -> VisibleFile:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        if not _inside(path, folder):
            raise UsageError(
                f"the symlink {show(bytes(path))} points out of the tree, as an absolute one always does: make it relative, or "
                "copy what it points to"
            )
        return VisibleFile(path, LINK)
    if not stat.S_ISREG(mode):
        raise UsageError(f"{show(bytes(path))} is neither a file nor a folder nor a symlink; remove it")
    if not os.access(path, os.R_OK):
        raise PermissionError(EACCES, os.strerror(EACCES), path)
    return VisibleFile(path, PROGRAM if mode & 0o100 else FILE)


def _raise(error: OSError) -> None:
    raise error


def _unreadable(error: OSError) -> UsageError:
    return UsageError(f"{show(os.fsencode(error.filename))} cannot be read: {error.strerror}")


def folders_of(names: Iterable[bytes]) -> set[bytes]:
    """All folders above these names, the top one left out."""
    found: set[bytes] = set()
    for name in names:
        folder = os.path.dirname(name)
        while folder and folder not in found:
            found.add(folder)
            folder = os.path.dirname(folder)
    return found


def _inside(link: Path, folder: Path) -> bool:
    if os.readlink(link).startswith("/"):
        return False
    return Path(os.path.realpath(link)).is_relative_to(os.path.realpath(folder))


def _content(name: bytes, content: object) -> bytes:
    if not isinstance(content, str | bytes):
        raise UsageError(f"{show(name)} must be str or bytes, not {type(content).__name__}")
    return _encode(content)


def _encode(text: str | bytes) -> bytes:
    """As file names are: bytes that are no UTF-8 come as lone surrogates."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError as error:
        raise UsageError(f"{text!r} is no text that can be kept: {error.reason}") from error
