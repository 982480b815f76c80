"""A test event whose run sees the avatar's tree below, and whose changes, the edit included, go into a layer above: to accept
it is to list that layer. Who comes to the avatar in any other way finds the layers folded into the sandbox first.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.inside import atomic_file, journal, saving
from harness.inside.changes import Changes
from harness.inside.delta import Delta, Stamped, delta_between, same_kind
from harness.inside.disk import open_folder, remove_tree, sync_disk, sync_file, sync_folder
from harness.inside.folder_event import FolderEvent
from harness.inside.hard_links import copies, indexed
from harness.inside.layer_list import (
    LayerList,
    fold_layers,
    layers_of,
    put_layers_ahead_again,
    survey_layers,
    with_layer,
)
from harness.inside.layers import Layers, dress, split_path
from harness.inside.layout import LAYER_LIST, LAYERS, SANDBOX, split_name
from harness.inside.sent_record import Record, Sent
from harness.inside.stamps import Ahead, is_ahead
from harness.inside.store import Acceptance, SendPlan
from harness.inside.tree import Entry, entries
from harness.inside.upper_layer import UpperLayer, UserAndGroup
from harness.inside.usage import DiskUsage

DEPTH = 10
"""The kernel takes the names of all layers in one page of 4 KiB."""


@dataclass(frozen=True)
class Stack:
    """What a run-container mounts, each relative to the folder of the avatar."""

    lower: tuple[str, ...]  # the topmost first
    upper: str
    work: str


class LayeredEvent(FolderEvent):
    """One test event in a layer of its own."""

    _listed: LayerList
    _now: Record  # the visible files of this test event
    _newest: int  # no stamp in the tree is later, this test event's edit aside

    def __init__(
        self, folder: Path, *event: Any, depth: int = DEPTH, durable: bool = False
    ) -> None:
        """At most so many layers lie over the sandbox between two test events."""
        self._depth = depth
        super().__init__(folder, *event, durable=durable)

    def _settle(self) -> None:
        if os.path.exists(self._staging):
            # A crash in the middle of that left each file with two names.
            fold_layers(self._folder, durable=self._durable)
        listed = LayerList.read(self._folder)
        if listed:
            put_layers_ahead_again(self._folder, listed)
        self._begin(listed or survey_layers(self._sandbox, self._sent()))
        self._clear_layers()

    def _begin(self, listed: LayerList) -> None:
        self._listed, self._now, self._newest = listed, listed.sent, listed.newest
        self._upper = UpperLayer(f"{self._layer}.upper", layers_of(self._folder, listed))

    def stack(self, owner: UserAndGroup | None) -> Stack:
        """Make the layer that this test event's run writes into, for a player who is to own the tree. Raises KatasError."""
        with self._katas_errors("written"):
            if owner and os.stat(self._sandbox).st_uid != owner[0]:
                self._flatten()
                saving.hand_over(self._sandbox, owner)
            top = self._upper.below.find([])
            assert top is not None
            os.makedirs(self._work)
            os.mkdir(self._upper.path)
            dress(self._upper.path, top.status)
            os.close(open_folder(self._upper.path))  # whatever mode a run gave it
            self._copy_linked()
        number = self._listed.next
        below = tuple(f"{LAYERS}/{each}" for each, _ in self._listed.layers)
        return Stack((*below, SANDBOX), f"{LAYERS}/{number}.upper", f"{LAYERS}/{number}.work")

    @property
    def roots(self) -> tuple[int, ...]:
        """Once there is a stack: kernels take that of the changes, or the topmost below it, for the root of both."""
        with self._katas_errors("read"):
            top = self._upper.below.find([])
            assert top is not None
            return os.stat(self._upper.path).st_ino, top.status.st_ino

    def compare(self, manifest: Mapping[bytes, Stamped]) -> SendPlan:
        with self._katas_errors("read"):
            self._invalidate_copies()
            sent = self._listed.sent
            for path in self._listed.closed:
                self._upper.folder(split_path(path))
            there = sent.keys() - set(self._listed.gone)
            delta = delta_between(
                manifest, {name: file.stamped for name, file in sent.items()}, there
            )
            return SendPlan(delta, *self._against(manifest.values()))

    def start_afresh(self) -> None:
        with self._katas_errors("written"):
            self._flatten()
            self._clear_layers()
        super().start_afresh()
        self._begin(survey_layers(self._sandbox, {}))

    def save(
        self, files: Iterable[saving.SavedFile], delta: Delta, *, owner: UserAndGroup | None
    ) -> None:
        with self._katas_errors("written"):
            os.makedirs(self._incoming, exist_ok=True)
            sent = self._listed.sent
            first = not sent and not self._listed.layers and not os.listdir(self._sandbox)
            for name in delta.deleted:
                self._upper.hide(split_name(name), only_empty=stat.S_ISDIR(sent[name].mode))
            for path in saving.emptied(delta.deleted, delta.names):
                self._upper.hide(split_name(path), only_empty=True)
            now = {name: file for name, file in sent.items() if name not in delta.deleted}
            edits: dict[bytes, int | None] = {}
            for number, file in enumerate(files):
                parts, before = split_name(file.name), sent.get(file.name)
                if (
                    before
                    and before.blob == file.blob
                    and self._set_mode(parts, before.mode, file.mode)
                ):
                    now[file.name] = Sent(file.mode, file.blob, before.stamp)
                    continue
                path = self._put(parts, os.path.join(self._incoming, str(number)), file, owner)
                if before and saving.same_content(before, file):
                    now[file.name] = Sent(file.mode, file.blob, before.stamp)
                    os.utime(path, ns=(before.stamp, before.stamp), follow_symlinks=False)
                else:
                    edits[file.name] = file.age
                    now[file.name] = Sent(file.mode, file.blob, 0)
            if edits and not first and is_ahead(self._newest):
                ahead = self._bring_to_clock(edits)
                # What the player sent is stamped by the harness: it may stay where it was brought.
                self._ahead = {path: moved for path, moved in ahead.items() if path not in now}
            latest = max(self._newest, self._upper.newest())
            for name, stamp in saving.stamp_all(self._stamp, edits, latest, first=first).items():
                now[name] = now[name]._replace(stamp=stamp)
            self._now = now

    def accept(self, acceptance: Acceptance, changes: Changes | None = None) -> None:
        assert changes is None
        with self._katas_errors("written"):
            if acceptance.increment.status == 0:
                self._put_ahead_again()
            journal.accept(
                str(self._folder),
                acceptance.objects,
                acceptance.commit,
                asdict(acceptance.increment),
                layers=self._with_layer().pack(),
                durable=self._durable,
            )
            self._listed = replace(self._listed, ahead={})

    def snapshot(self, *, contents: bool = False) -> dict[bytes, Entry]:
        with self._katas_errors("read"):
            listed = (
                LayerList.read(self._folder) or self._listed
            )  # of what is accepted meanwhile too
            walked = (
                (path, None, found.path, found.status)
                for path, found in layers_of(self._folder, listed).walk()
            )
            return entries(walked, contents=contents)

    def usage(self) -> DiskUsage:
        with self._katas_errors("read"):
            listed = LayerList.read(self._folder) or self._listed
            folders = (*(f"{LAYERS}/{number}" for number, _ in listed.layers), SANDBOX)
            return DiskUsage.of(self._folder, listed.sent, folders)

    def close(self) -> None:
        # A layer that is accepted but not listed yet, where the disk is full, must not go with those that were not accepted.
        if not journal.is_pending(str(self._folder)):
            with contextlib.suppress(OSError, ValueError):
                put_layers_ahead_again(
                    self._folder, self._listed
                )  # of what was not accepted nothing is left
                self._listed = LayerList.read(self._folder) or self._listed
                self._fold()
                self._clear_layers()
        super().close()

    @property
    def _layer(self) -> str:
        """Of this test event, once it is accepted."""
        return str(self._folder / LAYERS / str(self._listed.next))

    @property
    def _work(self) -> str:
        return f"{self._layer}.work"

    def _flatten(self) -> None:
        """Fold all layers into the sandbox."""
        sent = self._listed.sent
        fold_layers(self._folder, durable=self._durable)
        self._begin(survey_layers(self._sandbox, sent))

    def _copy_linked(self) -> None:
        """Copy what has several names, for a kernel that would copy only the one that a run writes to; one that keeps an index
        cannot do so for what is no regular file, and fails.
        """
        copied = copies(self._incoming)
        self._upper.link(self._listed.odd, copied)
        if not self._listed.indexed:
            self._upper.link(self._listed.linked, copied)

    def _set_mode(self, parts: list[bytes], before: int, mode: int) -> bool:
        """As saving does it: where nothing but the permission to execute was edited, the rest stays as the run left it."""
        if before == mode or not (stat.S_ISREG(before) and stat.S_ISREG(mode)):
            return False
        found = self._upper.shown.find(parts)
        if found is None or not same_kind(before & ~0o111, found.status):
            return False
        if found.status.st_nlink > 1:
            self._upper.link(self._listed.linked, copies(self._incoming, only=found.status.st_ino))
            found = self._upper.shown.find(parts)
            assert found is not None
        os.chmod(self._upper.bring_up(parts, found), saving.executable(found.status, mode))
        return True

    def _put(
        self, parts: list[bytes], temporary: str, file: saving.SavedFile, owner: UserAndGroup | None
    ) -> bytes:
        """Put a file, or an empty folder, into the layer; returns its path."""
        if stat.S_ISDIR(file.mode):
            return self._upper.make(parts, owner)
        found = self._upper.shown.find(parts)
        mode = saving.permissions(
            found and found.status, self._listed.sent.get(file.name), file.mode
        )
        saving.write_file(temporary, file, owner, mode=mode)
        return self._upper.put(parts, temporary, owner)

    def _bring_to_clock(self, edits: Container[bytes]) -> Ahead:
        """See saving. What is below is stamped in place, which costs no copy of it; a crash must not leave it so."""
        tree = list(self._upper.shown.walk())
        here = self._upper.path + b"/"
        stamps = {path: found.status.st_mtime_ns for path, found in tree if path not in edits}
        ahead = {path: stamp for path, stamp in stamps.items() if is_ahead(stamp)}
        below = {
            path: ahead[path]
            for path, found in tree
            if path in ahead and not found.path.startswith(here)
        }
        self._listed = replace(self._listed, ahead=below)
        self._write(self._listed, sync_file)
        latest = max((stamp for path, stamp in stamps.items() if path not in ahead), default=0)
        moved, self._newest = saving.stamp_back(self._stamp, ahead, latest)
        return moved

    def _stamp(self, path: bytes, stamp: int) -> int:
        """Stamp what is shown, in whatever layer it is; returns what the file system made of the stamp."""
        found = self._upper.shown.find(split_path(path))
        assert found is not None
        os.utime(found.path, ns=(stamp, stamp), follow_symlinks=False)
        return os.lstat(found.path).st_mtime_ns

    def _put_ahead_again(self) -> None:
        """See saving."""
        for path, moved in self._ahead.items():
            found = self._upper.shown.find(split_path(path))
            if found and found.status.st_mtime_ns == moved.to:
                os.utime(found.path, ns=(moved.back, moved.back), follow_symlinks=False)
                self._newest = max(self._newest, moved.back)

    def _with_layer(self) -> LayerList:
        """The list once what the run left is a layer in it."""
        before, index = self._listed, indexed(self._work)
        if index:  # what the edit changed is stamped by now, and has to stay so
            left = UpperLayer(os.fsdecode(self._upper.path), self._upper.below)
            left.link(before.linked, lambda found: index.get(found.status.st_ino))
        self._detach()
        shown = self._upper.below.under(self._layer)
        listed = with_layer(before, self._layer, shown, self._now)
        return replace(listed, newest=max(listed.newest, self._newest), indexed=index is not None)

    def _detach(self) -> None:
        """Move what the run left to another folder: the kernel refuses to put below a mount what another, that of a
        run-container which is still ending, has on top.
        """
        layer, upper = os.fsencode(self._layer), self._upper.path
        status = os.stat(upper)
        os.mkdir(layer)
        for name in os.listdir(upper):
            os.rename(os.path.join(upper, name), os.path.join(layer, name))
        dress(layer, status)

    def _fold(self) -> None:
        """Fold the topmost layers when there are too many, with all below that are not much larger than those together: a
        layer is folded again only when it has doubled.
        """
        layers = self._listed.layers
        if len(layers) <= self._depth:
            return
        several, together = 1, layers[0][1]
        while several < len(layers) and layers[several][1] <= 2 * together:
            together += layers[several][1]
            several += 1
        if several == 1:
            several = len(layers)
        target = self._layer
        remove_tree(target)
        folders = [str(self._folder / LAYERS / str(number)) for number, _ in layers]
        count = Layers(folders[:several]).fold(target, [*folders[several:], self._sandbox])
        self._listed = replace(
            self._listed,
            layers=((self._listed.next, count), *layers[several:]),
            next=self._listed.next + 1,
        )
        self._write(self._listed, sync_disk)

    def _write(self, listed: LayerList, sync: atomic_file.Sync) -> None:
        """Where it is to be durable, what it lists is on the disk before it, and it before anything that it is needed for."""
        content = json.dumps(listed.pack()).encode()
        atomic_file.write(
            str(self._folder / LAYER_LIST), content, sync=sync if self._durable else None
        )
        if self._durable:
            sync_folder(str(self._folder))

    def _clear_layers(self) -> None:
        listed = {str(number) for number, _ in self._listed.layers}
        with contextlib.suppress(FileNotFoundError):
            for each in os.listdir(self._folder / LAYERS):
                if each not in listed:
                    remove_tree(self._folder / LAYERS / each)
