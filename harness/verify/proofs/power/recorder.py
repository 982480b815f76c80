"""Records what a process does to a folder of its disk.

Before each change, at Python's own audit events (PEP 578) and those that `inside.disk` raises, it
looks at the folder and reports the differences. So it also sees changes by other processes, such as
a tar or a run in a layer. The code under proof knows nothing of it.

It also runs in keepers, in front of their program: standard library only, nothing of the harness.
"""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

CALLS = frozenset(
    {
        *("os.mkdir", "os.link", "os.symlink", "os.rename", "os.remove", "os.rmdir"),
        *("os.utime", "os.chmod", "os.chown", "os.truncate", "os.setxattr", "os.removexattr"),
        *("harness.exchange", "harness.sync_file", "harness.sync_disk"),
    }
)
"""The audit events that change a disk or force changes, except for opening a new file."""

OPEN, MARK = "open", "mark"

RECORD_PREFIX = b"harness-recording "
"""Begins each line that a keeper reports on its stderr."""

OPAQUE_ATTRIBUTE = "user.overlay.opaque"

SETTLED_NS = 100_000_000
"""Nanoseconds after a change in which the clock of stamps moves on, so that later stamps differ."""

TRIES = 20
"""How often the folder is looked at again after something was removed meanwhile."""

_Node = dict[str, Any]


class Recorder:
    """Records one folder, for the thread that made it.

    A record is a mapping:

    - `call`: the audit event that is about to happen, or MARK
    - `what`: the name of a mark, or the node that is forced to the disk (0: all nodes)
    - `nodes`: those that differ since the last record, by numbers that are never used twice
    """

    def __init__(self, root: str, tell: Callable[[dict[str, Any]], object]) -> None:
        self._root, self._tell = root, tell
        self._thread = threading.get_ident()
        self._looking = False
        self._count = 0
        self._numbers: dict[tuple[int, int], int] = {}
        self._nodes: dict[int, _Node] = {}
        self._contents: dict[tuple[int, int], tuple[tuple[int, int], str]] = {}
        self.active = True

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Record: an audit hook. It cannot be removed, but does nothing unless `active`."""
        if not self.active or self._looking or threading.get_ident() != self._thread:
            return
        if event == OPEN:
            if not (isinstance(arguments[2], int) and arguments[2] & os.O_CREAT):
                return
        elif event not in CALLS:
            return
        forced = arguments[0] if event.startswith("harness.sync") else None
        self._record(event, forced=forced)

    def mark(self, name: str) -> None:
        """Note a moment in the recording."""
        self._record(MARK, what=name)

    def _record(self, call: str, *, forced: int | None = None, what: object = None) -> None:
        self._looking = True
        try:
            before = self._nodes
            self._nodes, self._numbers = self._look_again()
            if forced is not None:
                status = os.fstat(forced)
                what = self._numbers.get((status.st_dev, status.st_ino))
                if call.endswith("disk"):
                    what = 0 if status.st_dev == os.lstat(self._root).st_dev else None
            differ = {
                str(number): self._nodes.get(number)
                for number in sorted({*before, *self._nodes})
                if before.get(number) != self._nodes.get(number)
            }
            self._tell({"call": call, "what": what, "nodes": differ})
        finally:
            self._looking = False

    def _look_again(self) -> tuple[dict[int, _Node], dict[tuple[int, int], int]]:
        """Look at the folder until nothing disappears meanwhile, TRIES times at most."""
        for _ in range(TRIES):
            try:
                return self._look()
            except FileNotFoundError:
                continue
        return self._look()

    def _look(self) -> tuple[dict[int, _Node], dict[tuple[int, int], int]]:
        nodes: dict[int, _Node] = {}
        numbers: dict[tuple[int, int], int] = {}
        waiting = [(self._root, os.lstat(self._root))]
        while waiting:
            path, status = waiting.pop()
            key = (status.st_dev, status.st_ino)
            number = self._number(key, numbers, stat.S_IFMT(status.st_mode))
            if number in nodes:
                continue
            node: _Node = {
                "kind": stat.S_IFMT(status.st_mode),
                "inode": status.st_ino,
                "device": status.st_rdev,
                "mode": stat.S_IMODE(status.st_mode),
                "mtime": status.st_mtime_ns,
                "opaque": False,
                "content": "",
                "names": {},
            }
            nodes[number] = node
            if stat.S_ISDIR(status.st_mode):
                node["opaque"] = _is_opaque(path)
                for name, below in _scan(path):
                    inside = (below.st_dev, below.st_ino)
                    node["names"][name] = self._number(inside, numbers, stat.S_IFMT(below.st_mode))
                    waiting.append((os.path.join(path, name), below))
            elif stat.S_ISREG(status.st_mode):
                node["content"] = self._content(path, status)
            elif stat.S_ISLNK(status.st_mode):
                node["content"] = _encoded(os.fsencode(os.readlink(path)))
        return nodes, numbers

    def _number(self, key: tuple[int, int], numbers: dict[tuple[int, int], int], kind: int) -> int:
        """Return the number of an inode; one that was gone in between gets another."""
        if key not in numbers:
            known = self._numbers.get(key)
            if known is None or self._nodes[known]["kind"] != kind:
                self._count += 1
                known = self._count
            numbers[key] = known
        return numbers[key]

    def _content(self, path: str, status: os.stat_result) -> str:
        key, state = (status.st_dev, status.st_ino), (status.st_ctime_ns, status.st_size)
        known = self._contents.get(key)
        if known and known[0] == state:
            return known[1]
        with open(path, "rb") as file:
            content = _encoded(file.read())
        if time.time_ns() - status.st_ctime_ns > SETTLED_NS:
            self._contents[key] = (state, content)
        return content


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _scan(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        try:
            yield entry.name, entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue


def _is_opaque(folder: str) -> bool:
    try:
        return os.getxattr(folder, OPAQUE_ATTRIBUTE) == b"y"
    except OSError:
        return False


def install_in_keeper() -> None:
    """Record what this keeper does to its katas, and report it on stderr with each answer.

    Accepting a test event is marked `accepted`.
    """
    # From the program that this module stands in front of.
    from harness.inside.keeper import Keeper  # noqa: PLC0415

    records: list[dict[str, Any]] = []
    recorder = Recorder(sys.argv[1], records.append)
    sys.addaudithook(recorder.hook)

    def tell() -> None:
        data = b"".join(RECORD_PREFIX + json.dumps(record).encode() + b"\n" for record in records)
        records.clear()
        while data:
            data = data[os.write(2, data[: 1 << 16]) :]

    def telling(name: str, mark: str = "") -> None:
        answer = getattr(Keeper, name)

        def told(self: Keeper, **arguments: Any) -> Any:
            result = answer(self, **arguments)
            if mark:
                recorder.mark(mark)
            tell()
            return result

        setattr(Keeper, name, told)

    telling("do_event")
    telling("do_accept", "accepted")
    telling("do_tidy")
    telling("do_list")
    recorder.mark("begun")
