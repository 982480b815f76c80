"""Values of the katas as JSON, on the way to a keeper and back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from harness.inside import sent_record
from harness.inside.delta import Delta, Stamped
from harness.inside.saving import SavedFile
from harness.inside.store import Held, Increment, SendPlan
from harness.inside.tree import Entry
from harness.inside.usage import DiskUsage

_CONTENT, _END = b"+", b"."
"""First byte of a piece of content, and the piece that ends a file.

No piece may be empty, because that would end the stream.
"""


_NAMES = ("unchanged", "changed", "new", "deleted", "gone", "modes", "released", "removed")
"""The fields of a delta that are tuples of names."""


def pack_manifest(manifest: Mapping[bytes, Stamped]) -> Any:
    return [[os.fsdecode(name), file.mode, file.blob] for name, file in manifest.items()]


def unpack_manifest(data: Any) -> dict[bytes, Stamped]:
    return {os.fsencode(name): Stamped(mode, blob) for name, mode, blob in data}


def pack_files(files: Iterable[SavedFile]) -> Iterator[bytes]:
    """Yield files as pieces of a stream: for each a line of JSON, its content, and _END."""
    for file in files:
        yield json.dumps([os.fsdecode(file.name), file.mode, file.blob, file.age]).encode()
        for piece in file.content:
            yield _CONTENT + piece
        yield _END


def unpack_files(pieces: Iterator[bytes]) -> Iterator[SavedFile]:
    """Yield the files that `pack_files` packed. Raises StreamCut.

    The content of each must be read before the next file is asked for.
    """
    for head in pieces:
        name, mode, blob, age = json.loads(head)
        content = _contents(pieces)
        yield SavedFile(os.fsencode(name), mode, blob, age, content)
        # Skip content that the caller did not read.
        for _ in content:
            pass


def _contents(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if piece == _END:
            return
        yield piece[len(_CONTENT) :]


def pack_delta(delta: Delta) -> Any:
    """Return the delta as a value that JSON can hold."""
    names = {key: pack_names(getattr(delta, key)) for key in _NAMES}
    return {**names, "ages": {os.fsdecode(name): age for name, age in delta.ages.items()}}


def unpack_delta(data: Any) -> Delta:
    """Return the delta that `pack_delta` packed."""
    names = {key: tuple(unpack_names(data[key])) for key in _NAMES}
    return Delta(**names, ages={os.fsencode(name): age for name, age in data["ages"].items()})


def pack_send_plan(plan: SendPlan) -> Any:
    return {
        "delta": pack_delta(plan.delta),
        "missing": sorted(plan.missing),
        "head": plan.head,
        "tag": plan.tag,
    }


def unpack_send_plan(data: Any) -> SendPlan:
    return SendPlan(
        unpack_delta(data["delta"]), frozenset(data["missing"]), data["head"], data["tag"]
    )


def pack_held(held: Held) -> Any:
    return {
        "mark": held.mark,
        "sent": sent_record.record_to_json(held.sent),
        "missing": sorted(held.missing),
        "head": held.head,
        "tag": held.tag,
    }


def unpack_held(data: Any) -> Held:
    return Held(
        data["mark"],
        sent_record.record_from_json(data["sent"]),
        frozenset(data["missing"]),
        data["head"],
        data["tag"],
    )


def pack_listing(
    listing: Mapping[str, Mapping[str, list[Increment]]], unread: Mapping[str, str]
) -> Any:
    packed = {
        kata: {name: [asdict(event) for event in events] for name, events in avatars.items()}
        for kata, avatars in listing.items()
    }
    return {"katas": packed, "unread": dict(unread)}


def unpack_listing(data: Any) -> tuple[dict[str, dict[str, list[Increment]]], dict[str, str]]:
    """Return what was read, and the problem of each kata that could not be read."""
    listing = {
        kata: {name: [Increment(**event) for event in events] for name, events in avatars.items()}
        for kata, avatars in data["katas"].items()
    }
    return listing, data["unread"]


def pack_usage(usage: Mapping[str, Mapping[str, DiskUsage]]) -> Any:
    return {
        kata: {name: asdict(used) for name, used in avatars.items()}
        for kata, avatars in usage.items()
    }


def unpack_usage(data: Any) -> dict[str, dict[str, DiskUsage]]:
    return {
        kata: {name: DiskUsage(**used) for name, used in avatars.items()}
        for kata, avatars in data.items()
    }


def pack_snapshot(snapshot: Mapping[bytes, Entry]) -> Any:
    return [
        [
            os.fsdecode(path),
            entry.kind,
            entry.mode,
            entry.size,
            entry.mtime_ns,
            os.fsdecode(entry.target),
            entry.digest,
            os.fsdecode(entry.link),
        ]
        for path, entry in snapshot.items()
    ]


def unpack_snapshot(data: Any) -> dict[bytes, Entry]:
    return {
        os.fsencode(path): Entry(
            kind, mode, size, mtime_ns, os.fsencode(target), digest, os.fsencode(link)
        )
        for path, kind, mode, size, mtime_ns, target, digest, link in data
    }


def pack_names(names: tuple[bytes, ...] | list[bytes]) -> list[str]:
    return [os.fsdecode(name) for name in names]


def unpack_names(data: list[str]) -> list[bytes]:
    return [os.fsencode(name) for name in data]
