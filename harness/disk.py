"""What the standard library lacks for folders that hostile code has been in: exchange two, and remove one for
sure.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
from collections.abc import Callable

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_libc = ctypes.CDLL(None, use_errno=True)


def exchange(one: str, other: str) -> None:
    """Swap two paths of one file system in one atomic step: renameat2(2) with RENAME_EXCHANGE, Linux 3.15.
    Raises OSError.
    """
    failed = _libc.renameat2(
        _AT_FDCWD,
        ctypes.c_char_p(os.fsencode(one)),
        _AT_FDCWD,
        ctypes.c_char_p(os.fsencode(other)),
        _RENAME_EXCHANGE,
    )
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one, None, other)


def remove_tree(folder: str | bytes | os.PathLike[str]) -> None:
    """Remove a folder with all that is in it, whatever modes a run gave it. A missing folder is fine; raises
    OSError.
    """

    def make_way(function: Callable[..., object], path: str | bytes, error: BaseException) -> None:
        if isinstance(error, FileNotFoundError):
            return
        parent = os.path.dirname(path)
        for each in (parent, path):
            if stat.S_ISDIR(os.lstat(each).st_mode):
                os.chmod(each, 0o700)
        if function in (os.open, os.scandir, os.lstat):
            shutil.rmtree(path, onerror=_raise)
        else:
            function(path)

    # Names are bytes: the standard library's own errors cannot print every name that Linux allows.
    shutil.rmtree(os.fsencode(folder), onerror=lambda function, path, info: make_way(function, path, info[1]))


def _raise(function: Callable[..., object], path: object, info: tuple[object, BaseException, object]) -> None:
    if not isinstance(info[1], FileNotFoundError):
        raise info[1]
