"""The differences between two trees, in words for a counterexample."""

from __future__ import annotations

from dataclasses import fields

from harness.inside.layout import printable_name
from harness.inside.tree import Entry, Snapshot, difference
from harness.verify.testing.planting import decimal

_KINDS = {
    "f": "file",
    "d": "folder",
    "l": "symlink",
    "p": "fifo",
    "s": "socket",
    "c": "character device",
    "b": "block device",
}

_MANY = 3
"""Differences that are described; the others are counted."""


def differences(before: Snapshot, after: Snapshot) -> str:
    """Describe the first few differences in order of path; empty if there are none."""
    differ = difference(before, after)
    said = [f"the {_kind(before[path])} {printable_name(path)} is gone" for path in differ.removed]
    said += [
        f"there is a {_kind(after[path])} {printable_name(path)} that was not there"
        for path in differ.added
    ]
    said += [
        f"the {_kind(before[path])} {printable_name(path)} {_change(before[path], after[path])}"
        for path in differ.changed
    ]
    more = f"; and {len(said) - _MANY} more" if len(said) > _MANY else ""
    return "; ".join(said[:_MANY]) + more


def _kind(entry: Entry) -> str:
    return _KINDS[entry.kind]


def _change(before: Entry, after: Entry) -> str:
    if before.kind != after.kind:
        return f"is a {_kind(after)}"
    return ", ".join(
        f"has the {field.name.removesuffix('_ns')} {_value(after, field.name)} instead of "
        f"{_value(before, field.name)}{_moved(before, after) if field.name == 'mtime_ns' else ''}"
        for field in fields(Entry)
        if getattr(before, field.name) != getattr(after, field.name)
    )


def _value(entry: Entry, name: str) -> str:
    value = getattr(entry, name)
    if name == "mtime_ns":
        return decimal(value)
    if name == "mode":
        return f"{value:04o}"
    return printable_name(value) if isinstance(value, bytes) else str(value)


def _moved(before: Entry, after: Entry) -> str:
    return f" ({after.mtime_ns - before.mtime_ns:+d} ns)"
