"""increments.json: the accepted test events of a kata, by avatar and in order, so that a dashboard reads one file.

It is plain JSON, in which each test event has a line of its own. So one more is put in as text: to parse and to write
anew what thousands of test events have left would take longer than many a test event.
"""

from __future__ import annotations

import json
from typing import Any

from harness.inside import atomic_file

_END = b"\n ]"


def read_increments(path: str) -> dict[str, list[dict[str, Any]]]:
    """All of it; empty before the first test event. Raises OSError, and KatasError for a damaged file."""
    return _parse(path, atomic_file.read(path))


def last(path: str, avatar: str) -> int:
    """The tag of an avatar's last test event; 0 before the first. Raises as `read`."""
    content = atomic_file.read(path)
    if found := _last_line(content, avatar):
        return found[2]
    events = _parse(path, content).get(avatar, [])
    return int(events[-1]["tag"]) if events else 0


def add(
    path: str, avatar: str, increment: dict[str, Any], *, sync: atomic_file.Sync | None = None
) -> None:
    """Add a test event, or put it in the place of the one of the same tag. The caller holds the kata's lock. Raises as
    `read`.
    """
    content = atomic_file.read(path)
    if found := _last_line(content, avatar):
        start, end, tag = found
        line = json.dumps(increment).encode()
        if tag != increment["tag"]:
            line = content[start:end] + b",\n  " + line
        atomic_file.write(path, content[:start] + line + content[end:], sync=sync)
        return
    increments = _parse(path, content)
    kept = [each for each in increments.get(avatar, []) if each["tag"] != increment["tag"]]
    atomic_file.write(path, _dump({**increments, avatar: [*kept, increment]}), sync=sync)


def drop(path: str, avatar: str) -> None:
    """Forget an avatar's test events. The caller holds the kata's lock. Raises as `read`."""
    increments = read_increments(path)
    if increments.pop(avatar, None) is not None:
        atomic_file.write(path, _dump(increments))


def _last_line(content: bytes, avatar: str) -> tuple[int, int, int] | None:
    """Where the line of the avatar's last test event begins and ends, and its tag; None where it has no such line, or an
    older harness wrote it over several.
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
    found = atomic_file.parse_json(path, content) if content else {}
    try:
        for events in found.values():
            for each in events:
                int(each["tag"])
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise atomic_file.damaged(path) from error
    return dict(found)


def _dump(increments: dict[str, list[dict[str, Any]]]) -> bytes:
    avatars = (
        f" {json.dumps(name)}: [\n  " + ",\n  ".join(json.dumps(each) for each in events) + "\n ]"
        for name, events in increments.items()
        if events
    )
    return ("{\n" + ",\n".join(avatars) + "\n}\n").encode()
