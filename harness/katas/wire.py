"""The values of the katas as JSON, for the way to a keeper and back.

Runs in the keeper too: standard library only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from harness.katas.delta import Delta, Stamped
from harness.katas.saving import SavedFile
from harness.katas.store import Comparison, Held, Increment, Usage
from harness.tree import Entry


def pack_manifest(manifest: Mapping[bytes, Stamped]) -> Any:
    return [[os.fsdecode(name), file.mode, file.blob] for name, file in manifest.items()]


def unpack_manifest(data: Any) -> dict[bytes, Stamped]:
    return {os.fsencode(name): Stamped(mode, blob) for name, mode, blob in data}


def pack_file(file: SavedFile) -> bytes:
    """One file as one piece of a stream: a line of JSON, then the content."""
    return json.dumps([os.fsdecode(file.name), file.mode]).encode() + b"\n" + file.content


def unpack_file(piece: bytes) -> SavedFile:
    head, _, content = piece.partition(b"\n")
    name, mode = json.loads(head)
    return SavedFile(os.fsencode(name), mode, content)


def pack_comparison(comparison: Comparison) -> Any:
    delta = comparison.delta
    parts = (delta.unchanged, delta.changed, delta.new, delta.deleted)
    return {
        "delta": [pack_names(names) for names in parts],
        "missing": sorted(comparison.missing),
        "head": comparison.head,
        "tag": comparison.tag,
    }


def unpack_comparison(data: Any) -> Comparison:
    delta = Delta(*(tuple(unpack_names(names)) for names in data["delta"]))
    return Comparison(delta, frozenset(data["missing"]), data["head"], data["tag"])


def pack_held(held: Held) -> Any:
    return {
        "mark": held.mark,
        "kept": [[os.fsdecode(name), *(file or (None, None))] for name, file in held.kept.items()],
        "missing": sorted(held.missing),
        "head": held.head,
        "tag": held.tag,
    }


def unpack_held(data: Any) -> Held:
    kept = {os.fsencode(name): Stamped(mode, blob) if blob else None for name, mode, blob in data["kept"]}
    return Held(data["mark"], kept, frozenset(data["missing"]), data["head"], data["tag"])


def pack_listing(listing: Mapping[str, Mapping[str, list[Increment]]]) -> Any:
    return {
        kata: {name: [asdict(each) for each in found] for name, found in avatars.items()}
        for kata, avatars in listing.items()
    }


def unpack_listing(data: Any) -> dict[str, dict[str, list[Increment]]]:
    return {
        kata: {name: [Increment(**each) for each in found] for name, found in avatars.items()}
        for kata, avatars in data.items()
    }


def pack_usage(usage: Mapping[str, Mapping[str, Usage]]) -> Any:
    return {kata: {name: asdict(each) for name, each in found.items()} for kata, found in usage.items()}


def unpack_usage(data: Any) -> dict[str, dict[str, Usage]]:
    return {kata: {name: Usage(**each) for name, each in found.items()} for kata, found in data.items()}


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
        os.fsencode(path): Entry(kind, mode, size, mtime_ns, os.fsencode(target), digest, os.fsencode(link))
        for path, kind, mode, size, mtime_ns, target, digest, link in data
    }


def pack_names(names: tuple[bytes, ...] | list[bytes]) -> list[str]:
    return [os.fsdecode(name) for name in names]


def unpack_names(data: list[str]) -> list[bytes]:
    return [os.fsencode(name) for name in data]
