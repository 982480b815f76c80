"""Unpack one layer of an image into a folder: a program of its own, because it changes its root.

    python -I -X utf8 unpacker.py FOLDER MOST_BYTES MOST_NAMES [owners] <layer.tar

The folder becomes its root before it reads the first byte. So no name in the archive, no symlink of
an earlier layer and no `..` leads out of the folder; the kernel resolves all of them inside. This
imports the standard library alone, all of it before the change of root.

Set-id bits and devices are not made. `owners` keeps the owners of files, which takes root; without
it all files belong to the caller. On an error it prints one line and exits with 1.
"""

from __future__ import annotations

import contextlib
import decimal
import errno
import os
import resource
import shutil
import stat
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

DELETES = ".wh."
"""What the name of a mark begins with: the rest is a name that the layer deletes."""

METADATA = ".wh..wh."
"""What the names of other marks begin with, which are no files either."""

HIDES_ALL = ".wh..wh..opq"
"""The mark of a folder of which earlier layers show nothing."""

PERMISSIONS = 0o1777
"""The bits of a mode that are kept: all but set-uid and set-gid."""

_FOLDER = os.O_PATH | os.O_DIRECTORY
_PIECE = 1 << 20
_MEMORY = 1 << 31
"""Bytes of memory that this program may take, whatever sizes the archive's headers claim."""

_MOST_STAMP = 1 << 62


class BadLayer(Exception):
    """The archive holds what no layer may."""


@dataclass
class Layer:
    """A layer that is being unpacked into the root folder of this process."""

    most_bytes: int
    """Bytes that its files may have together."""

    most_names: int
    """How many entries it may have."""

    owners: bool
    """Whether files get the owners that the archive names."""

    _made: set[tuple[int, str]] = field(default_factory=set)
    """What this layer has made, and the folders around it.

    Each is known by the inode of its folder and its name there.
    """

    _stamps: dict[tuple[str, ...], int] = field(default_factory=dict)
    """The stamps of folders, which come last because each new name changes them."""

    _parent: tuple[tuple[str, ...], int] | None = None
    """The folder that is open, because most entries follow others of their folder.

    It cannot be removed meanwhile: only names in it are.
    """

    def unpack(self, stream: BinaryIO) -> None:
        """Read a tar to its end. Raises BadLayer, OSError, and what tarfile raises."""
        with tarfile.open(
            fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape"
        ) as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # it would keep all
                self._count(names=1)
                self._take(tar, member)
        while stream.read(_PIECE):
            pass  # what pads the archive
        for parts, stamp in sorted(self._stamps.items(), reverse=True):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.utime("/" + "/".join(parts), ns=(stamp, stamp), follow_symlinks=False)

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = _parts(member.name)
        if not parts:
            return  # the root folder itself
        *above, name = parts
        if name.startswith(DELETES) or any(part.startswith(METADATA) for part in parts):
            self._delete(tuple(above), name)
            return
        parent = self._open(tuple(above))
        if not member.isdir() or not _is_folder(parent, name):
            self._remove(parent, name)
        self._make(tar, member, parent, parts)

    def _make(
        self, tar: tarfile.TarFile, member: tarfile.TarInfo, parent: int, parts: tuple[str, ...]
    ) -> None:
        """Make what the member describes, unless it is a device."""
        name = parts[-1]
        if member.isdir():
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent)
            self._stamps[parts] = _stamp(member)
        elif member.issym():
            os.symlink(member.linkname, name, dir_fd=parent)
        elif member.islnk():
            target = "/" + "/".join(_parts(member.linkname))
            os.link(target, name, dst_dir_fd=parent, follow_symlinks=False)
        elif member.isfifo():
            os.mkfifo(name, 0o600, dir_fd=parent)
        elif member.isfile():
            self._write(tar, member, parent, name)
        else:
            return
        self._made.add((os.fstat(parent).st_ino, name))
        if not member.islnk():
            self._finish(member, parent, name)

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        source = tar.extractfile(member)
        assert source is not None
        with open(os.open(name, flags, 0o600, dir_fd=parent), "wb") as file:
            while piece := source.read(_PIECE):
                self._count(size=len(piece))
                file.write(piece)
            if file.tell() != member.size:
                raise BadLayer(f"{member.name!r} is cut")

    def _finish(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        """Give what was made its owner, its mode and its stamp, in this order."""
        if self.owners:
            try:
                os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
            except OSError as error:
                # In a container, not every uid may exist.
                if error.errno not in (errno.EINVAL, errno.EPERM):
                    raise
        if not member.issym():
            os.chmod(name, member.mode & PERMISSIONS, dir_fd=parent)
        stamp = _stamp(member)
        os.utime(name, ns=(stamp, stamp), dir_fd=parent, follow_symlinks=False)

    def _delete(self, above: tuple[str, ...], mark: str) -> None:
        """Remove what a mark says, as far as it comes from an earlier layer."""
        if mark != HIDES_ALL and any(part.startswith(METADATA) for part in (*above, mark)):
            return
        name = mark.removeprefix(DELETES)
        if mark != HIDES_ALL and name in ("", ".", ".."):
            raise BadLayer(f"it deletes {name!r}, which is no name")
        try:
            parent = self._open(above, make=False)
        except (FileNotFoundError, NotADirectoryError):
            return
        if mark == HIDES_ALL:
            with _reading(".", parent) as folder:
                self._keep_made(folder)
        elif (os.fstat(parent).st_ino, name) not in self._made:
            self._remove(parent, name)
        elif _is_folder(parent, name):
            with _reading(name, parent) as folder:
                self._keep_made(folder)

    def _keep_made(self, folder: int) -> None:
        """Remove what is in an open folder, but for what this layer has made."""
        inode = os.fstat(folder).st_ino
        for name in os.listdir(folder):
            if (inode, name) not in self._made:
                self._remove(folder, name)
            elif _is_folder(folder, name):
                with _reading(name, folder) as below:
                    self._keep_made(below)

    def _remove(self, parent: int, name: str) -> None:
        """Remove a name with all that is below it; a missing one is fine."""
        if _is_folder(parent, name):
            shutil.rmtree(name, dir_fd=parent)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=parent)

    def _open(self, parts: tuple[str, ...], *, make: bool = True) -> int:
        """Open a folder, and make those that are missing on the way to it."""
        if self._parent:
            if self._parent[0] == parts:
                return self._parent[1]
            os.close(self._parent[1])
            self._parent = None
        for length in range(1, len(parts) + 1) if make else ():
            path = "/" + "/".join(parts[:length])
            # What is on the way to something new stays, too.
            self._made.add((os.stat(os.path.dirname(path)).st_ino, parts[length - 1]))
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o755)
                self._count(names=1)
        self._parent = parts, os.open("/" + "/".join(parts), _FOLDER)
        return self._parent[1]

    def _count(self, *, size: int = 0, names: int = 0) -> None:
        self.most_bytes -= size
        self.most_names -= names
        if self.most_bytes < 0 or self.most_names < 0:
            raise BadLayer("it holds more than an image may")


def _parts(name: str) -> tuple[str, ...]:
    """Return the names of a path. Raises BadLayer if it goes up."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise BadLayer(f"{name!r} leads out of the image")
    return parts


def _is_folder(parent: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode)
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _reading(name: str, parent: int) -> Iterator[int]:
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        yield folder
    finally:
        os.close(folder)


def _stamp(member: tarfile.TarInfo) -> int:
    """Return the stamp in nanoseconds; tarfile keeps a float, which is not exact."""
    try:
        seconds = decimal.Decimal(member.pax_headers.get("mtime") or member.mtime)
        stamp = int(seconds * 10**9)
    except (ArithmeticError, ValueError):
        return 0
    return max(-_MOST_STAMP, min(stamp, _MOST_STAMP))


def main() -> int:
    folder, most_bytes, most_names, *words = sys.argv[1:]
    try:
        os.chroot(folder)
        os.chdir("/")
        os.umask(0)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        Layer(int(most_bytes), int(most_names), "owners" in words).unpack(sys.stdin.buffer)
    except OSError as error:
        where = f" ({os.fsdecode(error.filename)!r})" if error.filename else ""
        return _complain(f"{error.strerror or error}{where}")
    except Exception as error:
        return _complain(str(error) or type(error).__name__)
    return 0


def _complain(why: str) -> int:
    sys.stderr.write(" ".join(why.split()) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
