"""The list of an avatar's layers: beside the sandbox, which is the lowest, it has `layers/`, a folder for each layer, and
`layers.json`, which lists them. What that does not list is thrown away.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.inside import atomic_file, journal
from harness.inside.changes import above
from harness.inside.delta import same_kind
from harness.inside.disk import exchange, lacks, remove_tree, sync_disk, sync_folder
from harness.inside.errors import KatasError
from harness.inside.layers import Layers, is_opaque, is_whiteout, split_path
from harness.inside.layout import LAYER_LIST, LAYERS, SANDBOX, STAGING, VISIBLE
from harness.inside.sent_record import Record, encode, record_from_json, record_to_json
from harness.inside.tree import walk

_LONGEST = 4096 - 64
"""Bytes of a path of a layer at most: Linux's PATH_MAX, less what it may take more in another layer."""


@dataclass(frozen=True)
class LayerList:
    """What layers.json holds."""

    layers: tuple[tuple[int, int], ...] = ()  # number and count of entries, the topmost first
    next: int = 1  # the number of the next layer
    newest: int = 0  # no stamp in the tree is later, in nanoseconds
    sent: Record = field(default_factory=dict)  # what the player sent last
    gone: Collection[bytes] = ()  # of that, what is not there any more, as what it was sent as
    closed: tuple[bytes, ...] = ()  # folders on the way to it into which their owner cannot look
    ahead: Mapping[bytes, int] = field(
        default_factory=dict
    )  # stamps that a test event took away from what it goes over
    linked: tuple[
        bytes, ...
    ] = ()  # all names of regular files that have several, and of some that had
    odd: tuple[bytes, ...] = ()  # the same of what is neither a regular file nor a folder
    indexed: bool = False  # whether the kernel kept an index for the last run

    @classmethod
    def read(cls, avatar: Path) -> LayerList | None:
        """Raises OSError, and ValueError for a damaged file; None where there is none."""
        try:
            data = json.loads((avatar / LAYER_LIST).read_bytes())
        except FileNotFoundError:
            return None
        return cls(
            layers=tuple((number, count) for number, count in data["layers"]),
            next=data["next"],
            newest=data["newest"],
            sent=record_from_json(data["sent"]),
            gone=frozenset(_unpack(data["gone"])),
            closed=_unpack(data["closed"]),
            ahead={os.fsencode(path): stamp for path, stamp in data["ahead"].items()},
            linked=_unpack(data["linked"]),
            odd=_unpack(data["odd"]),
            indexed=data["indexed"],
        )

    def pack(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "layers": self.layers,
            "next": self.next,
            "newest": self.newest,
            "sent": record_to_json(self.sent),
            "gone": _pack(self.gone),
            "closed": _pack(self.closed),
            "ahead": {os.fsdecode(path): stamp for path, stamp in self.ahead.items()},
            "linked": _pack(self.linked),
            "odd": _pack(self.odd),
            "indexed": self.indexed,
        }


def _pack(names: Iterable[bytes]) -> list[str]:
    return [os.fsdecode(each) for each in names]


def _unpack(data: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(os.fsencode(each) for each in data)


class _Look:
    """What there is to know of a folder of the layers, found by walking it."""

    def __init__(self, folder: str, sent: Record) -> None:
        self._room = _LONGEST - len(os.fsencode(folder)) - 1
        self._on_the_way = {each for name in sent for each in above(name)}
        self.newest = self.count = 0
        self.closed: list[bytes] = []
        self.linked: list[bytes] = []
        self.odd: list[bytes] = []

    def take(self, path: bytes, status: os.stat_result) -> None:
        """Raises KatasError for a path that layers cannot have."""
        if len(path) > self._room:
            raise KatasError(
                f"there is a nest of folders whose paths are too long for layers: {len(path)} bytes; remove it, or take "
                "katas-data-container"
            )
        self.count += 1
        self.newest = max(self.newest, status.st_mtime_ns)
        if stat.S_ISDIR(status.st_mode):
            if path in self._on_the_way and lacks(status.st_mode):
                self.closed.append(path)
        elif status.st_nlink > 1:
            (self.linked if stat.S_ISREG(status.st_mode) else self.odd).append(path)


def survey_layers(sandbox: str, sent: Record) -> LayerList:
    """The list of an avatar without layers, all of whose sandbox is looked through. Raises OSError and KatasError."""
    look, gone = _Look(sandbox, sent), set(sent)
    for path, status in walk(sandbox):
        look.take(path, status)
        if path in gone and same_kind(sent[path].mode, status):
            gone.remove(path)
    return LayerList(
        newest=look.newest,
        sent=sent,
        gone=gone,
        closed=tuple(look.closed),
        linked=tuple(look.linked),
        odd=tuple(look.odd),
    )


def with_layer(before: LayerList, layer: str, shown: Layers, sent: Record) -> LayerList:
    """The list with one more layer, over which these are `shown`; only that is looked through. Raises OSError and KatasError."""
    look = _Look(layer, sent)
    touched: set[bytes] = set()
    hiding: set[bytes] = set()  # nothing below these is as it was
    for path, status in walk(layer):
        touched.add(path)
        if is_whiteout(status):
            look.count += 1
            hiding.add(path)
            continue
        look.take(path, status)
        if not stat.S_ISDIR(status.st_mode) or is_opaque(os.path.join(os.fsencode(layer), path)):
            hiding.add(path)

    def as_before(name: bytes) -> bool:
        return name not in touched and hiding.isdisjoint(above(name))

    def has_gone(name: bytes) -> bool:
        if as_before(name) and name in before.sent:
            return name in before.gone
        found = shown.find(split_path(name))
        return found is None or not same_kind(sent[name].mode, found.status)

    return replace(
        before,
        layers=((before.next, look.count), *before.layers),
        next=before.next + 1,
        newest=look.newest,
        sent=sent,
        gone=frozenset(filter(has_gone, sent)),
        closed=(*filter(as_before, before.closed), *look.closed),
        ahead={},
        linked=(*filter(as_before, before.linked), *look.linked),
        odd=(*filter(as_before, before.odd), *look.odd),
    )


def put_layers_ahead_again(avatar: Path, listed: LayerList) -> None:
    """Give the stamps back that a test event took away which then was not accepted. Raises OSError."""
    layers = layers_of(avatar, listed)
    for path, stamp in listed.ahead.items():
        if found := layers.find(split_path(path)):
            os.utime(found.path, ns=(stamp, stamp), follow_symlinks=False)


def fold_layers(avatar: Path, *, durable: bool = False) -> None:
    """Fold all layers of an avatar, whose lock the caller has, into its sandbox; with `durable` in such an order that no failure
    of the power loses any. Raises OSError, KatasError and ValueError.
    """
    if LayerList.read(avatar) is None:
        return
    journal.recover(
        str(avatar)
    )  # else a layer that is accepted and not listed yet would go with the others
    listed = LayerList.read(avatar)
    assert listed is not None
    put_layers_ahead_again(avatar, listed)
    if listed.layers:
        staging = str(avatar / STAGING)
        remove_tree(staging)
        layers_of(avatar, listed).fold(staging)
    atomic_file.write(
        str(avatar / VISIBLE), encode(listed.sent), sync=sync_disk if durable else None
    )
    if listed.layers:
        # Layers over a tree that has them in it already show the same tree: a crash in between does no harm.
        exchange(str(avatar / SANDBOX), str(avatar / STAGING))
    if durable:
        sync_folder(str(avatar))
    (avatar / LAYER_LIST).unlink()
    if durable:
        sync_folder(str(avatar))
    remove_tree(avatar / STAGING)
    remove_tree(avatar / LAYERS)


def layers_of(avatar: Path, listed: LayerList) -> Layers:
    """The tree of an avatar: its layers over its sandbox."""
    return Layers(
        [
            *(str(avatar / LAYERS / str(number)) for number, _ in listed.layers),
            str(avatar / SANDBOX),
        ]
    )
