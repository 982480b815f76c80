"""What the player sent last: the record in `visible.json`, beside the sandbox.

An edit is found by comparing with this record, not with the sandbox: what a run made of a file is
not the player's edit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.inside.delta import Stamped
from harness.inside.layout import VISIBLE

UNKNOWN = "?"
"""Stands for the blob of a file that a crash interrupted: whatever is sent next is an edit."""


class Sent(NamedTuple):
    """One file, or one empty folder, as it was sent."""

    mode: int
    """Git's mode; 0o040000 for an empty folder."""
    blob: str
    """Git's id of the content; empty for a folder."""
    stamp: int
    """The mtime that it was given in the sandbox, in nanoseconds since 1970."""
    writing: bool = False
    """Whether another content is being written in its place."""
    age: int | None = None
    """The mtime that it had in the player's folder then, in nanoseconds since 1970."""
    left_out: bool = False
    """Whether the player left it out since, so that runs alone write it."""

    @property
    def stamped(self) -> Stamped:
        """Its mode and blob."""
        return Stamped(self.mode, self.blob)


Record = Mapping[bytes, Sent]
"""The files that were sent, by name."""


def record_to_json(record: Record) -> Any:
    """Return the record as a value that JSON can hold."""
    return {os.fsdecode(name): _fields(file) for name, file in record.items()}


def _fields(file: Sent) -> tuple[Any, ...]:
    """Return its fields without defaults at the end."""
    if file.left_out:
        return tuple(file)
    if file.age is not None:
        return file[:5]
    return file[: 4 if file.writing else 3]


def record_from_json(data: Any) -> dict[bytes, Sent]:
    """Return the record that `record_to_json` made JSON of."""
    return {os.fsencode(name): Sent(*file) for name, file in data.items()}


def encode(record: Record) -> bytes:
    """Return the content of `visible.json`."""
    return json.dumps(record_to_json(record)).encode()


def decode(content: bytes) -> dict[bytes, Sent] | list[bytes]:
    """Return the record that `encode` wrote. Raises ValueError if it is damaged.

    Versions up to 0.1 stored the names alone; for their files, return those.
    """
    data = json.loads(content)
    try:
        return (
            [os.fsencode(name) for name in data]
            if isinstance(data, list)
            else record_from_json(data)
        )
    except (AttributeError, TypeError) as error:
        raise ValueError("it does not hold a record of files") from error


def begin_writing(record: Record, names: Iterable[bytes]) -> dict[bytes, Sent]:
    """Mark these files as being written, in case of a crash before they are."""
    new = Sent(0, UNKNOWN, 0)
    return {**record, **{name: record.get(name, new)._replace(writing=True) for name in names}}


def after_a_crash(
    record: Record, stamp_of: Callable[[bytes, int], int | None]
) -> dict[bytes, Sent]:
    """Return what of a record can be relied on.

    A file that was being written is known only if it is gone or has its old stamp. `stamp_of`
    returns the stamp of a name in the sandbox, or None if nothing of that mode is there.
    """
    known = dict(record)
    for name, file in record.items():
        if file.writing:
            same = stamp_of(name, file.mode) in (file.stamp, None)
            known[name] = file._replace(blob=file.blob if same else UNKNOWN, writing=False)
    return known


def read_sent(avatar: Path) -> dict[bytes, Sent] | list[bytes]:
    """Return the avatar's record, or the bare names that an old version wrote."""
    try:
        return decode((avatar / VISIBLE).read_bytes())
    except FileNotFoundError:
        return {}


def visible_names(avatar: Path) -> set[bytes]:
    """Return the names of the visible files of the avatar in this folder."""
    return set(read_sent(avatar))
