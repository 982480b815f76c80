"""Files of the katas that are written atomically: always old or new, never half of it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any

from harness.inside.errors import KatasError

Sync = Callable[[int], object]
"""Forces an open file to the disk: `sync_file` or `sync_disk` of `harness.inside.disk`."""


def write(path: str, content: bytes, temporary: str = "", *, sync: Sync | None = None) -> None:
    """Replace the file's content in one step. The caller holds the folder's lock. Raises OSError.

    With `sync`, this also holds after a power failure, which not every file system promises
    otherwise. After a crash, the next write overwrites the temporary file. Its name ends in
    `.lock`, like git's own temporary files, so git ignores it.
    """
    temporary = temporary or f"{path}.lock"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            if sync:
                file.flush()
                sync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def read(path: str) -> bytes:
    """Return the file's content; empty if there is no file. Raises OSError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def parse_json(path: str, content: bytes) -> Any:
    """Parse the content of the file at this path. Raises KatasError if it is not JSON."""
    try:
        return json.loads(content)
    except ValueError as error:
        raise damaged(path) from error


def damaged(path: str) -> KatasError:
    """Return the error for a file that the harness cannot have written."""
    return KatasError(
        f"{path} is damaged: the harness cannot have written it; restore it from a backup, or use "
        "`harness katas remove` to remove the avatar, or the kata if it is increments.json"
    )
