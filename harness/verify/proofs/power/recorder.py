"""Records what a process does to a folder of its disk: at each of Python's own audit events of a change (PEP 578), and of those
that `inside.disk` raises, the folder is looked at, and what differs is told. So what another process changes there is seen too
(a tar, a run in a layer), and what is under proof knows nothing of it.

Runs in the keeper too, put in front of its program: standard library only, and nothing of the harness's.
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
"""The audit events of what changes a disk or forces it, but for opening a file that is to be made."""

OPEN, MARK = "open", "mark"

RECORD_PREFIX = b"harness-recording "
"""Begins each line that a keeper tells of on its stderr."""

OPAQUE_ATTRIBUTE = "user.overlay.opaque"

SETTLED_NS = 100_000_000
"""So long after a change the clock that files are stamped from has moved on, so that a later one has another stamp."""

TRIES = 20

_Node = dict[str, Any]


class Recorder:
    """Of one folder, for the thread that made it. A record is a mapping: `call`, the audit event that is about to happen, or
    MARK; `what`, the name of a mark, or the node that is forced to the disk (0: all of them); and `nodes`, those that differ
    since the record before, by a number that no other gets.
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
        """An audit hook; it cannot be taken back, but is quiet once this is not `active`."""
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
        """Note where in the recording something has happened."""
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
        """What another process removed meanwhile is not there."""
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
        """That of an inode which is there without a break; one that was gone in between is another."""
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
        found = sorted(entries, key=lambda each: each.name)
    for each in found:
        try:
            yield each.name, each.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue


def _is_opaque(folder: str) -> bool:
    try:
        return os.getxattr(folder, OPAQUE_ATTRIBUTE) == b"y"
    except OSError:
        return False


def install_in_keeper() -> None:
    """Record what this keeper does to its katas, and tell of it on stderr whenever somebody waits for an answer. The MARK
    of a test event that was accepted is `accepted`.
    """
    from harness.inside.keeper import Keeper  # noqa: PLC0415 - of the program that this stands in front of

    records: list[dict[str, Any]] = []
    recorder = Recorder(sys.argv[1], records.append)
    sys.addaudithook(recorder.hook)

    def tell() -> None:
        data = b"".join(RECORD_PREFIX + json.dumps(each).encode() + b"\n" for each in records)
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
