"""One file of the katas as a whole: old or new, never half of it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any

from harness.inside.errors import KatasError

Sync = Callable[[int], object]
"""Forces what is written to the disk, given the open file: sync_file or sync_disk of harness.inside.disk."""


def write(path: str, content: bytes, temporary: str = "", *, sync: Sync | None = None) -> None:
    """Make the file old or new, never half of it; with `sync` even where the power fails, which not every file system
    promises without. Raises OSError. The caller holds the lock of the folder.

    What a crash leaves is overwritten next time; git overlooks it, by the `.lock` that its own files in
    the making have too.
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
    """What the file holds; nothing where there is none. Raises OSError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def parse_json(path: str, content: bytes) -> Any:
    """What the file at this path says. Raises KatasError for anything but JSON."""
    try:
        return json.loads(content)
    except ValueError as error:
        raise damaged(path) from error


def damaged(path: str) -> KatasError:
    """The error for a file whose content is nothing that the harness wrote."""
    return KatasError(
        f"{path} is damaged: it is not what a harness writes; put it back from a backup, or remove the avatar, "
        "or the kata where it is increments.json, with `harness katas remove`"
    )
