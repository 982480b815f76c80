"""A run's deeds, done one after another in a folder or in an overlay that the kernel mounts for
them.

They are done by a process of its own in a namespace of mounts, of which nothing is left when it has ended: this file, run as a
script, which takes nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import TracebackType

Deed = tuple[str, str, str]
"""What is done, and to which one or two paths."""

FUTURE = 4_000_000_000


class Kernel:
    """Does deeds."""

    def __init__(self, namespace: Sequence[str]) -> None:
        """The namespace as words that a command is put behind."""
        self._process = subprocess.Popen(
            [*namespace, sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(
        self, folder: str, deeds: Sequence[Deed], options: str = "", *, like: Sequence[str] = ()
    ) -> list[str]:
        """Do them in a folder, on which an overlay of these options is mounted meanwhile, if there
        are any. Returns for each deed which error it met, if any. Where one like it met EXDEV, a
        folder is renamed in the same way as there.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([folder, options, deeds, like]) + "\n")
        self._process.stdin.flush()
        answer: list[str] = json.loads(self._process.stdout.readline())
        return answer

    def __enter__(self) -> Kernel:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.__exit__(kind, error, trace)


def write(path: str, other: str, how: int = os.O_TRUNC) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | how, 0o644)
    os.write(file, other.encode())
    os.close(file)


def append(path: str, other: str) -> None:
    write(path, other, os.O_APPEND)


def remove(path: str, other: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def rename_by_copy(path: str, other: str) -> None:
    """As mv does across file systems."""
    if os.path.lexists(other):
        os.rmdir(other)
    shutil.copytree(path, other, symlinks=True)
    shutil.rmtree(path)


def rename(path: str, other: str) -> None:
    try:
        os.rename(path, other)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        rename_by_copy(path, other)
        raise


DEEDS: dict[str, Callable[[str, str], object]] = {
    "write": write,
    "append": append,
    "remove": remove,
    "rename": rename,
    "rename by copy": rename_by_copy,
    "folder": lambda path, other: os.mkdir(path),
    "link": lambda path, other: os.link(path, other, follow_symlinks=False),
    "symlink": lambda path, other: os.symlink(other, path),
    "pipe": lambda path, other: os.mkfifo(path),
    "close": lambda path, other: os.chmod(path, 0, follow_symlinks=False),
    "open": lambda path, other: os.chmod(path, 0o755, follow_symlinks=False),
    "future": lambda path, other: os.utime(path, (FUTURE, FUTURE), follow_symlinks=False),
}


def _try(deed: Deed, like: str) -> str:
    what, path, other = deed
    if like == "EXDEV":
        what += " by copy"
    try:
        DEEDS[what](path, other)
    except NotImplementedError:
        return "ENOTSUP"  # Python has no chmod of a symlink
    except shutil.Error as error:
        return f"EXDEV {error}"
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return like


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for line in sys.stdin:
        folder, options, deeds, like = json.loads(line)
        if options and libc.mount(
            b"overlay", os.fsencode(folder), b"overlay", 0, os.fsencode(options)
        ):
            raise OSError(ctypes.get_errno(), f"mount: {options}")
        os.chdir(folder)
        answer = [_try(deed, like[number] if like else "") for number, deed in enumerate(deeds)]
        os.chdir("/")
        if options and libc.umount(os.fsencode(folder)):
            raise OSError(ctypes.get_errno(), "umount")
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
