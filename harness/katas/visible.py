"""The visible files: what the browser edits and sends with each test event.

`VisibleFiles.from_folder` gathers them from a folder. `freeze` makes them independent of that
folder: what is hashed is then what is sent and what is committed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from harness.inside.changes import above
from harness.inside.delta import Delta, Stamped, blob_id, read_all
from harness.inside.errors import UsageError
from harness.inside.layout import is_git_folder, is_list_of_modules, printable_name, split_name
from harness.katas.gather import BY_PATTERN, Gathering, left_out_line
from harness.katas.players_folder import Place, PlayersFolder, Reader, open_regular, reader
from harness.katas.spool import PIECE, Part, Spool

_OF_ANOTHER_KIND = (errno.ELOOP, errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.ENXIO)
"""Errors of opening a path that has become something other than a regular file."""

FILE, PROGRAM, LINK, FOLDER = 0o100644, 0o100755, 0o120000, 0o040000
"""The kinds of file, as git's modes.

A folder is sent only if it is empty, because otherwise its files imply it.
"""


class VisibleFile:
    """One visible file. Its content is read when needed, so a large tree is never all in memory."""

    def __init__(
        self,
        content: bytes | Path | Place | Part,
        mode: int | None = None,
        *,
        age: int | None = None,
    ) -> None:
        """Take the content itself, or the path or place of the file that holds it.

        `mode` is git's; None makes a file a program if it starts with `#!`. `age` is the mtime in
        the player's folder, in nanoseconds; None if there is none, as from a browser.
        """
        self._content = (
            Place(PlayersFolder(os.fsencode(content.parent)), os.fsencode(content.name))
            if isinstance(content, Path)
            else content
        )
        self._mode = mode
        self.age = age

    def pieces(self) -> Iterator[bytes]:
        """Yield the content in pieces of at most 1 MiB. Raises UsageError if its file is gone."""
        if isinstance(self._content, Part):
            yield from self._content.pieces()
            return
        content = self.read()
        for start in range(0, len(content), PIECE):
            yield content[start : start + PIECE]

    def read(self) -> bytes:
        """Return the whole content. Raises UsageError if the file that holds it is gone."""
        if isinstance(self._content, bytes):
            return self._content
        if isinstance(self._content, Part):
            return b"".join(self._content.pieces())
        try:
            with reader() as one, one.found(self._content) as (folder, name):
                if self._mode == LINK:
                    return os.readlink(name, dir_fd=folder)
                with open(open_regular(folder, name), "rb") as file:
                    return file.read()
        except OSError as error:
            raise _unreadable(error) from error

    def freeze(self, spool: Spool, one: Reader) -> VisibleFile:
        """Return this file as it is now, read by `one`, independent of the file that holds it.

        Raises OSError; FileNotFoundError if that path is no longer a file or a symlink.
        """
        place = self._content
        if not isinstance(place, Place):
            return self
        with one.found(place) as (folder, name):
            try:
                return self._frozen(folder, name, self._mode, spool)
            except OSError as error:
                if self.age is None or error.errno not in _OF_ANOTHER_KIND:
                    raise
            kind = _kind(os.stat(name, dir_fd=folder, follow_symlinks=False))
            if kind not in (FILE, PROGRAM, LINK):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            return self._frozen(folder, name, kind, spool)

    def _frozen(self, folder: int, name: bytes, mode: int | None, spool: Spool) -> VisibleFile:
        if mode == LINK:
            return VisibleFile(os.readlink(name, dir_fd=folder), LINK, age=self.age)
        file = open_regular(folder, name)
        try:
            status = os.fstat(file)
            if status.st_size > spool.memory:
                content: bytes | Part = spool.take(file, status.st_size)
            else:
                content = read_all(file, status.st_size)
                spool.memory -= len(content)
        finally:
            os.close(file)
        return VisibleFile(content, mode, age=None if self.age is None else status.st_mtime_ns)

    @property
    def size(self) -> int:
        """Size in bytes, without reading the content. Raises UsageError if its file is gone."""
        if isinstance(self._content, bytes):
            return len(self._content)
        if isinstance(self._content, Part):
            return self._content.size
        try:
            with reader() as one, one.found(self._content) as (folder, name):
                return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
        except OSError as error:
            raise _unreadable(error) from error

    @cached_property
    def mode(self) -> int:
        """Git's mode: FILE, PROGRAM, LINK or FOLDER."""
        if self._mode is not None:
            return self._mode
        return PROGRAM if next(self.pieces(), b"").startswith(b"#!") else FILE

    @cached_property
    def blob(self) -> str:
        """Git's id of the content; empty for a folder."""
        if self.mode == FOLDER:
            return ""
        return self._content.blob if isinstance(self._content, Part) else blob_id(self.read())


class VisibleFiles(Mapping[bytes, VisibleFile]):
    """The visible files by name, relative to the sandbox. Immutable."""

    def __init__(
        self,
        files: Mapping[str, str | bytes] | Mapping[bytes, VisibleFile],
        *,
        left_out: Mapping[str, Sequence[bytes]] | None = None,
        folders: Collection[bytes] | None = None,
    ) -> None:
        """Take texts, bytes or files by name.

        `left_out` lists the names that are not sent, by reason; a folder's name ends in "/".
        `folders` are all folders that the player has; None if that is not known, as with files from
        a browser. Raises UsageError for a name that escapes the sandbox, or that is both a file and
        a folder.
        """
        by_name: dict[bytes, VisibleFile] = {}
        for key, content in files.items():
            name = _encode(key)
            parts = split_name(name)
            if any(map(is_git_folder, parts)):
                raise UsageError(
                    f"{printable_name(name)} has git's own folder in its name, "
                    "which a history cannot hold; leave it out"
                )
            by_name[name] = (
                content
                if isinstance(content, VisibleFile)
                else VisibleFile(_content(name, content))
            )
            if is_list_of_modules(parts[-1]) and by_name[name].mode == LINK:
                raise UsageError(
                    f"{printable_name(name)} is a symlink, which a history cannot hold under that "
                    "name; leave it out, or make it a file"
                )
        for folder in parent_folders(by_name):
            if folder in by_name:
                if by_name[folder].mode != FOLDER:
                    raise UsageError(f"{printable_name(folder)} is both a file and a folder")
                # It is not empty.
                del by_name[folder]
        self._files = dict(sorted(by_name.items(), key=lambda item: item[0]))
        self.left_out = left_out or {}
        self.folders = folders

    @classmethod
    def from_folder(
        cls,
        folder: str | os.PathLike[str],
        *,
        exclude: Sequence[str] = (),
        stores: Sequence[str | os.PathLike[str]] = (),
        gitignore: bool = True,
    ) -> VisibleFiles:
        """Gather the files below a folder, with their stamps, and its empty folders.

        These are left out, and listed in `left_out` by reason: what `.gitignore` or git's
        `info/exclude` names and git does not track (unless `gitignore` is false); what a pattern in
        `exclude` names, which has the syntax of `.gitignore`; git repositories inside the tree;
        katas inside it, `stores` being folders of katas; symlinks that point out of it; names that
        git would not clone; sockets and the like. Raises UsageError if something cannot be read,
        for a folder that is `/` or one of katas, and for a pattern that can name nothing.
        """
        if not os.fspath(folder):
            raise UsageError("the name of the folder is empty; for this one, give .")
        folder = Path(folder)
        if not os.path.isdir(folder):
            raise UsageError(f"there is no folder {folder}")
        try:
            gathering = Gathering(
                folder, exclude, [Path(path) for path in stores], gitignore=gitignore
            )
            files = {
                name: VisibleFile(
                    b"" if stat.S_ISDIR(status.st_mode) else Place(gathering.folder, name),
                    _kind(status),
                    age=status.st_mtime_ns,
                )
                for name, status in gathering.entries().items()
            }
        except OSError as error:
            raise UsageError(f"{_unreadable(error)}; to leave it out, --exclude it") from error
        if all(file.mode == FOLDER for file in files.values()):
            line = left_out_line(gathering.left_out)
            raise UsageError(f"the folder {folder} is empty" + (f"; {line}" if line else ""))
        return cls(files, left_out=gathering.left_out, folders=gathering.folders)

    def freeze(self) -> VisibleFiles:
        """Return all files as they are now, independent of their folder.

        A file that has been deleted from its folder is left out. Raises UsageError if one cannot be
        read.
        """
        spool, frozen = Spool(), {}
        with reader() as one:
            for name, file in self._files.items():
                try:
                    frozen[name] = file.freeze(spool, one)
                except FileNotFoundError as error:
                    if file.age is None:
                        raise _unreadable(error, name) from error
                except OSError as error:
                    raise _unreadable(error, name) from error
        return self._with(frozen)

    def edited(self, name: str, content: str | bytes) -> VisibleFiles:
        """Return the same files with one replaced or added.

        Raises UsageError as the constructor does.
        """
        key = _encode(name)
        mode = self._files[key].mode if key in self._files else None
        mode = None if mode == FOLDER else mode
        return self._with({**self._files, key: VisibleFile(_content(key, content), mode)})

    def without(self, name: str) -> VisibleFiles:
        """Return the same files except this one. Raises KeyError if there is no such file."""
        key = _encode(name)
        self._files[key]
        return self._with({other: file for other, file in self._files.items() if other != key})

    def _with(self, files: Mapping[bytes, VisibleFile]) -> VisibleFiles:
        """Return these files, of the same folder."""
        return VisibleFiles(files, left_out=self.left_out, folders=self.folders)

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Write all files into an empty folder. Raises OSError.

        Each file gets its stamp; files without one get the present time.
        """
        root = os.fsencode(folder)
        for parent in {os.path.dirname(name) for name in self._files}:
            os.makedirs(os.path.join(root, parent), exist_ok=True)
        for name, file in self._files.items():
            path = os.path.join(root, name)
            if file.mode == FOLDER:
                os.makedirs(path, exist_ok=True)
            elif file.mode == LINK:
                os.symlink(file.read(), path)
            else:
                with open(path, "wb") as out:
                    out.writelines(file.pieces())
                    os.fchmod(out.fileno(), file.mode & 0o777)
            if file.age is not None:
                os.utime(path, ns=(file.age, file.age), follow_symlinks=False)

    def manifest(self) -> dict[bytes, Stamped]:
        """Return mode and blob of each file: what a delta is computed from."""
        return {name: Stamped(file.mode, file.blob) for name, file in self._files.items()}

    def complete(self, delta: Delta) -> Delta:
        """Add to a delta what only the player's side knows: see its last three fields."""
        ages = ((name, self._files[name].age) for name in delta.unchanged)
        delta = replace(delta, ages={name: age for name, age in ages if age is not None})
        if not delta.deleted:
            return delta
        left_out = {name for why in BY_PATTERN for name in self.left_out.get(why, ())}
        released = {name for name in delta.deleted if _is_in(name, left_out)}
        gone = [] if self.folders is None else delta.emptied
        return replace(
            delta,
            deleted=tuple(name for name in delta.deleted if name not in released),
            released=tuple(sorted(released)),
            removed=tuple(path for path in gone if path not in (self.folders or ())),
        )

    def ages(self) -> dict[bytes, int | None]:
        """Return each file's mtime in the player's folder, in nanoseconds, or None."""
        return {name: file.age for name, file in self._files.items()}

    def __getitem__(self, name: str | bytes) -> VisibleFile:
        return self._files[_encode(name)]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _is_in(name: bytes, left_out: Collection[bytes]) -> bool:
    """Return whether a file was left out, by its own name or with a folder above it."""
    return name in left_out or any(folder + b"/" in left_out for folder in above(name))


def _kind(status: os.stat_result) -> int:
    """Return git's mode for this status."""
    if stat.S_ISREG(status.st_mode):
        return PROGRAM if status.st_mode & 0o100 else FILE
    return stat.S_IFMT(status.st_mode)


def _unreadable(error: OSError, name: str | bytes = "a visible file") -> UsageError:
    return UsageError(
        f"{printable_name(os.fsencode(error.filename or name))} cannot be read: {error.strerror}"
    )


def parent_folders(names: Iterable[bytes]) -> set[bytes]:
    """Return all folders above these names, except the top one."""
    folders: set[bytes] = set()
    for name in names:
        folder = os.path.dirname(name)
        while folder and folder not in folders:
            folders.add(folder)
            folder = os.path.dirname(folder)
    return folders


def _content(name: bytes, content: object) -> bytes:
    if not isinstance(content, str | bytes):
        raise UsageError(
            f"{printable_name(name)} must be str or bytes, not {type(content).__name__}"
        )
    return _encode(content)


def _encode(text: str | bytes) -> bytes:
    """Encode text as file names are encoded: bytes that are not UTF-8 come as lone surrogates."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError as error:
        raise UsageError(f"{text!r} is text that cannot be stored: {error.reason}") from error
