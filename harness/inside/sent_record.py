"""What the player sent last: `visible.json`, beside the sandbox.

An edit is told against this record, not against the sandbox: what a run made of a file is no edit of the player's.
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
"""The blob of a file that a crash left half sent: it is an edit, whatever is sent next."""


class Sent(NamedTuple):
    """One file, or one empty folder, as it was sent."""

    mode: int  # git's; that of a folder for an empty one
    blob: str  # git's id of the content; empty for a folder
    stamp: int  # the mtime that it was given in the sandbox, in nanoseconds
    writing: bool = False  # something else is being written in its place

    @property
    def stamped(self) -> Stamped:
        return Stamped(self.mode, self.blob)


Record = Mapping[bytes, Sent]


def record_to_json(record: Record) -> Any:
    """As JSON."""
    return {os.fsdecode(name): each[: 4 if each.writing else 3] for name, each in record.items()}


def record_from_json(data: Any) -> dict[bytes, Sent]:
    """What `pack` made JSON of."""
    return {os.fsencode(name): Sent(*each) for name, each in data.items()}


def encode(record: Record) -> bytes:
    """The content of `visible.json`."""
    return json.dumps(record_to_json(record)).encode()


def decode(content: bytes) -> dict[bytes, Sent] | list[bytes]:
    """What `encode` made. Versions up to 0.1 kept the names alone: then these. Raises ValueError for a damaged file."""
    data = json.loads(content)
    try:
        return (
            [os.fsencode(name) for name in data]
            if isinstance(data, list)
            else record_from_json(data)
        )
    except (AttributeError, TypeError) as error:
        raise ValueError("it is not a record of files") from error


def begin_writing(record: Record, names: Iterable[bytes]) -> dict[bytes, Sent]:
    """The record while these files are written, for whoever comes after a crash in between."""
    new = Sent(0, UNKNOWN, 0)
    return {**record, **{name: record.get(name, new)._replace(writing=True) for name in names}}


def after_a_crash(
    record: Record, stamp_of: Callable[[bytes, int], int | None]
) -> dict[bytes, Sent]:
    """What can be relied on of a record: of a file that was being written only if it has its old stamp still, or has gone.
    `stamp_of` gives the stamp of what is at a name in the sandbox, None where nothing of the mode is.
    """
    found = dict(record)
    for name, each in record.items():
        if each.writing:
            same = stamp_of(name, each.mode) in (each.stamp, None)
            found[name] = each._replace(blob=each.blob if same else UNKNOWN, writing=False)
    return found


def read_sent(avatar: Path) -> dict[bytes, Sent] | list[bytes]:
    try:
        return decode((avatar / VISIBLE).read_bytes())
    except FileNotFoundError:
        return {}


def visible_names(avatar: Path) -> set[bytes]:
    """The names of the visible files of the avatar in this folder."""
    return set(read_sent(avatar))
