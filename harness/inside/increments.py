"""`increments.json`: a kata's accepted test events by avatar, so that a dashboard reads one file.

The file is plain JSON with one line for each test event, so another one can be inserted as text.
Parsing and rewriting thousands of them would take longer than many a test event.
"""

from __future__ import annotations

import json
from typing import Any

from harness.inside import atomic_file

_END = b"\n ]"


def read_increments(path: str) -> dict[str, list[dict[str, Any]]]:
    """Return the whole file; empty before the first test event.

    Raises OSError, and KatasError for a damaged file.
    """
    return _parse(path, atomic_file.read(path))


def last(path: str, avatar: str) -> int:
    """Return the tag of an avatar's last test event; 0 before the first.

    Raises as `read_increments`.
    """
    content = atomic_file.read(path)
    if line := _last_line(content, avatar):
        return line[2]
    events = _parse(path, content).get(avatar, [])
    return int(events[-1]["tag"]) if events else 0


def add(
    path: str, avatar: str, increment: dict[str, Any], *, sync: atomic_file.Sync | None = None
) -> None:
    """Add a test event, or replace the one with the same tag.

    The caller holds the kata's lock. Raises as `read_increments`.
    """
    content = atomic_file.read(path)
    if place := _last_line(content, avatar):
        start, end, tag = place
        line = json.dumps(increment).encode()
        if tag != increment["tag"]:
            line = content[start:end] + b",\n  " + line
        atomic_file.write(path, content[:start] + line + content[end:], sync=sync)
        return
    increments = _parse(path, content)
    kept = [event for event in increments.get(avatar, []) if event["tag"] != increment["tag"]]
    atomic_file.write(path, _dump({**increments, avatar: [*kept, increment]}), sync=sync)


def drop(path: str, avatar: str) -> None:
    """Remove an avatar's test events.

    The caller holds the kata's lock. Raises as `read_increments`.
    """
    increments = read_increments(path)
    if increments.pop(avatar, None) is not None:
        atomic_file.write(path, _dump(increments))


def _last_line(content: bytes, avatar: str) -> tuple[int, int, int] | None:
    """Return start, end and tag of the line of an avatar's last test event.

    None if there is no such line, or if an older harness wrote it over several.
    """
    head = f'\n "{avatar}": [\n'.encode()
    begin = content.find(head)
    end = content.find(_END, begin)
    if begin < 0 or end < 0 or not content.endswith(b"}\n"):
        return None
    start = content.rfind(b"\n  ", begin + len(head) - 1, end) + 3
    try:
        return start, end, int(json.loads(content[start:end])["tag"])
    except (ValueError, LookupError, TypeError):
        return None


def _parse(path: str, content: bytes) -> dict[str, list[dict[str, Any]]]:
    increments = atomic_file.parse_json(path, content) if content else {}
    try:
        for events in increments.values():
            for event in events:
                int(event["tag"])
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise atomic_file.damaged(path) from error
    return dict(increments)


def _dump(increments: dict[str, list[dict[str, Any]]]) -> bytes:
    avatars = (
        f" {json.dumps(name)}: [\n  " + ",\n  ".join(json.dumps(event) for event in events) + "\n ]"
        for name, events in increments.items()
        if events
    )
    return ("{\n" + ",\n".join(avatars) + "\n}\n").encode()
