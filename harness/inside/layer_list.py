"""The list of an avatar's layers, `layers.json`.

The sandbox is the lowest layer. The others are in `layers/`, a folder for each; folders that the
list does not name are removed.
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
"""Bytes of the longest path in a layer: Linux's PATH_MAX, less room for another layer's name."""

LINKED_BYTES = 16 << 20
"""The most bytes that all names of hard links may have: each test event reads and writes them."""


@dataclass(frozen=True)
class LayerList:
    """The content of `layers.json`."""

    layers: tuple[tuple[int, int], ...] = ()
    """Number and count of entries of each layer, topmost first."""
    next: int = 1
    """The number of the next layer."""
    newest: int = 0
    """The newest stamp in the tree, in nanoseconds."""
    sent: Record = field(default_factory=dict)
    """What the player sent last."""
    gone: Collection[bytes] = ()
    """Names in `sent` where no file of the kind that was sent exists any more."""
    closed: tuple[bytes, ...] = ()
    """Folders on the way to files in `sent` that forbid their owner to look into them."""
    ahead: Mapping[bytes, int] = field(default_factory=dict)
    """Stamps that a test event in progress has moved back to the clock in lower layers."""
    linked: tuple[bytes, ...] = ()
    """All names of regular files that have several; may name some that no longer do."""
    odd: tuple[bytes, ...] = ()
    """The same for entries that are neither regular files nor folders."""
    indexed: bool = False
    """Whether the kernel kept an index for the last run."""

    @classmethod
    def read(cls, avatar: Path) -> LayerList | None:
        """Read the avatar's list; None if there is none.

        Raises OSError, and ValueError if damaged.
        """
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
        """Return the list as a value that JSON can hold."""
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
    return [os.fsdecode(name) for name in names]


def _unpack(data: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(os.fsencode(name) for name in data)


class _Survey:
    """What the list must know of one folder, collected while walking it."""

    def __init__(self, folder: str, sent: Record) -> None:
        self._room = _LONGEST - len(os.fsencode(folder)) - 1
        self._on_the_way = {folder for name in sent for folder in above(name)}
        self.newest = self.count = 0
        self.closed: list[bytes] = []
        self.linked: list[bytes] = []
        self.odd: list[bytes] = []
        self._left = LINKED_BYTES

    def take(self, path: bytes, status: os.stat_result) -> None:
        """Add one entry. Raises KatasError if layers cannot hold it."""
        if len(path) > self._room:
            raise KatasError(
                f"nested folders have paths that are too long for layers: {len(path)} bytes; "
                "remove them, or use katas-data-container"
            )
        self.count += 1
        self.newest = max(self.newest, status.st_mtime_ns)
        if stat.S_ISDIR(status.st_mode):
            if path in self._on_the_way and lacks(status.st_mode):
                self.closed.append(path)
        elif status.st_nlink > 1:
            self._left = _less(self._left, path)
            (self.linked if stat.S_ISREG(status.st_mode) else self.odd).append(path)


def _less(left: int, path: bytes) -> int:
    """Return the bytes left for other names. Raises KatasError if this name is too many."""
    if left < len(path):
        raise KatasError(
            f"hard links have names of more than {LINKED_BYTES >> 20} MiB, too many for layers; "
            "remove some, or use katas-data-container"
        )
    return left - len(path)


def survey_layers(sandbox: str, sent: Record) -> LayerList:
    """Return the list of an avatar without layers, by walking its sandbox.

    Raises OSError and KatasError.
    """
    survey, gone = _Survey(sandbox, sent), set(sent)
    for path, status in walk(sandbox):
        survey.take(path, status)
        if path in gone and same_kind(sent[path].mode, status):
            gone.remove(path)
    return LayerList(
        newest=survey.newest,
        sent=sent,
        gone=gone,
        closed=tuple(survey.closed),
        linked=tuple(survey.linked),
        odd=tuple(survey.odd),
    )


def with_layer(before: LayerList, layer: str, shown: Layers, sent: Record) -> LayerList:
    """Return the list with one more layer, by walking only that.

    `shown` is the tree with the layer on top. Raises OSError and KatasError.
    """
    survey = _Survey(layer, sent)
    # A run may make any number of files: keep only those paths that are asked for below.
    asked = {*sent, *before.closed, *before.linked, *before.odd}
    asked_folders = {folder for path in asked for folder in above(path)}
    touched: set[bytes] = set()
    # Nothing below these paths is as it was before.
    hiding: set[bytes] = set()
    for path, status in walk(layer):
        if path in asked:
            touched.add(path)
        hides = is_whiteout(status)
        if hides:
            survey.count += 1
        else:
            survey.take(path, status)
            hides = not stat.S_ISDIR(status.st_mode) or is_opaque(
                os.path.join(os.fsencode(layer), path)
            )
        if hides and path in asked_folders:
            hiding.add(path)

    def as_before(name: bytes) -> bool:
        return name not in touched and hiding.isdisjoint(above(name))

    def has_gone(name: bytes) -> bool:
        if as_before(name) and name in before.sent:
            return name in before.gone
        entry = shown.find(split_path(name))
        return entry is None or not same_kind(sent[name].mode, entry.status)

    linked = (*filter(as_before, before.linked), *survey.linked)
    odd = (*filter(as_before, before.odd), *survey.odd)
    left = LINKED_BYTES
    for path in (*linked, *odd):
        left = _less(left, path)
    return replace(
        before,
        layers=((before.next, survey.count), *before.layers),
        next=before.next + 1,
        newest=survey.newest,
        sent=sent,
        gone=frozenset(filter(has_gone, sent)),
        closed=(*filter(as_before, before.closed), *survey.closed),
        ahead={},
        linked=linked,
        odd=odd,
    )


def put_layers_ahead_again(avatar: Path, layer_list: LayerList) -> None:
    """Restore the stamps that a test event moved without being accepted. Raises OSError."""
    layers = layers_of(avatar, layer_list)
    for path, stamp in layer_list.ahead.items():
        if entry := layers.find(split_path(path)):
            os.utime(entry.path, ns=(stamp, stamp), follow_symlinks=False)


def fold_layers(avatar: Path, *, durable: bool = False) -> None:
    """Fold all layers of an avatar into its sandbox. The caller holds the avatar's lock.

    With `durable`, the order of the steps is such that a power failure loses nothing. Raises
    OSError, KatasError and ValueError.
    """
    if LayerList.read(avatar) is None:
        return
    # Otherwise a layer that is accepted but not listed yet would be removed with the others.
    journal.recover(str(avatar))
    layer_list = LayerList.read(avatar)
    assert layer_list is not None
    put_layers_ahead_again(avatar, layer_list)
    if layer_list.layers:
        staging = str(avatar / STAGING)
        remove_tree(staging)
        layers_of(avatar, layer_list).fold(staging)
    atomic_file.write(
        str(avatar / VISIBLE), encode(layer_list.sent), sync=sync_disk if durable else None
    )
    if layer_list.layers:
        # A crash after this is harmless: layers over a tree that already contains them show the
        # same tree.
        exchange(str(avatar / SANDBOX), str(avatar / STAGING))
    if durable:
        sync_folder(str(avatar))
    (avatar / LAYER_LIST).unlink()
    if durable:
        sync_folder(str(avatar))
    remove_tree(avatar / STAGING)
    remove_tree(avatar / LAYERS)


def layers_of(avatar: Path, layer_list: LayerList) -> Layers:
    """Return the avatar's tree: its layers over its sandbox."""
    return Layers(
        [
            *(str(avatar / LAYERS / str(number)) for number, _ in layer_list.layers),
            str(avatar / SANDBOX),
        ]
    )
