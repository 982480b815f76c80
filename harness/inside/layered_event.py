"""A test event whose run sees the avatar's tree below and writes into a new layer above it.

The player's edit also goes into that layer, and accepting the test event means listing it. Every
other kind of access finds the layers folded into the sandbox first.
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

from harness.inside import atomic_file, journal, ownership, saving, stamping
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
from harness.inside.layers import Layers, dress, split_path, strip_marks
from harness.inside.layout import LAYER_LIST, LAYERS, SANDBOX, split_name
from harness.inside.sent_record import Record, Sent
from harness.inside.stamps import Ahead, against_time, is_ahead, still_sent
from harness.inside.store import Acceptance, SendPlan
from harness.inside.tree import Entry, entries
from harness.inside.upper_layer import UpperLayer, UserAndGroup
from harness.inside.usage import DiskUsage

DEPTH = 10
"""How many layers may lie over the sandbox: the kernel takes all their names in a 4 KiB page."""


@dataclass(frozen=True)
class Stack:
    """What a run-container mounts, relative to the avatar's folder."""

    lower: tuple[str, ...]
    """The read-only layers, topmost first, and the sandbox."""
    upper: str
    """The layer that the run writes into."""
    work: str
    """The kernel's work folder."""


class LayeredEvent(FolderEvent):
    """One test event in a layer of its own.

    `Event` in `harness.inside.store` describes its methods.
    """

    # The layers of the accepted test events.
    _layer_list: LayerList
    # The visible files of this test event.
    _now: Record
    # The newest stamp in the tree, apart from this test event's edit.
    _newest: int

    def __init__(
        self, folder: Path, *event: Any, depth: int = DEPTH, durable: bool = False
    ) -> None:
        """Fold layers at the end of the test event if there are more than `depth`."""
        self._depth = depth
        super().__init__(folder, *event, durable=durable)

    def _settle(self) -> None:
        if os.path.exists(self._staging):
            # A crash while folding has left each file with two names.
            fold_layers(self._folder, durable=self._durable)
        layer_list = LayerList.read(self._folder)
        if layer_list:
            put_layers_ahead_again(self._folder, layer_list)
        else:
            strip_marks(self._sandbox)
        self._begin(layer_list or survey_layers(self._sandbox, self._sent()))
        self._clear_layers()

    def _begin(self, layer_list: LayerList) -> None:
        self._layer_list, self._now, self._newest = layer_list, layer_list.sent, layer_list.newest
        self.upper = UpperLayer(f"{self._layer}.upper", layers_of(self._folder, layer_list))
        """The layer of this test event."""

    def stack(self, owner: UserAndGroup | None) -> Stack:
        """Make the layer that the run writes into, and give it to `owner`. Raises KatasError."""
        with self._katas_errors("written"):
            if owner and not ownership.is_handed_over(self._sandbox, owner):
                self._flatten()
                ownership.hand_over(self._sandbox, owner)
            top = self.upper.below.find([])
            assert top is not None
            os.makedirs(self._work)
            os.mkdir(self.upper.path)
            dress(self.upper.path, top.status)
            # A run may have given the folder a mode that forbids entering it.
            os.close(open_folder(self.upper.path))
            self._copy_linked()
        number = self._layer_list.next
        below = tuple(f"{LAYERS}/{lower}" for lower, _ in self._layer_list.layers)
        return Stack((*below, SANDBOX), f"{LAYERS}/{number}.upper", f"{LAYERS}/{number}.work")

    @property
    def roots(self) -> tuple[int, ...]:
        """The inodes of the new layer and of the topmost below it, once there is a stack.

        Depending on the kernel, the mount's root has one or the other.
        """
        with self._katas_errors("read"):
            top = self.upper.below.find([])
            assert top is not None
            return os.stat(self.upper.path).st_ino, top.status.st_ino

    def compare(self, manifest: Mapping[bytes, Stamped]) -> SendPlan:
        with self._katas_errors("read"):
            self._invalidate_copies()
            sent = self._layer_list.sent
            for path in self._layer_list.closed:
                self.upper.folder(split_path(path))
            there = sent.keys() - set(self._layer_list.gone)
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
            sent = self._layer_list.sent
            first = not sent and not self._layer_list.layers and not os.listdir(self._sandbox)
            for name in delta.deleted:
                self.upper.hide(split_name(name), only_empty=stat.S_ISDIR(sent[name].mode))
            for path in delta.emptied:
                entry = self.upper.shown.find(split_name(path))
                if entry and stat.S_ISDIR(entry.status.st_mode):
                    self.upper.hide(split_name(path), only_empty=path not in delta.removed)
            now = still_sent(sent, delta)
            edits: dict[bytes, int | None] = {}
            # The stamps of what a run made, by the name of the edit that replaces it.
            made: dict[bytes, int] = {}
            for number, file in enumerate(files):
                parts, before = split_name(file.name), sent.get(file.name)
                if (
                    before
                    and before.blob == file.blob
                    and self._set_mode(parts, before.mode, file.mode)
                ):
                    now[file.name] = Sent(file.mode, file.blob, before.stamp, age=file.age)
                    continue
                entry = self.upper.shown.find(parts)
                if entry and saving.was_made(entry.status, before):
                    made[file.name] = entry.status.st_mtime_ns
                path = self._put(parts, os.path.join(self._incoming, str(number)), file, owner)
                if before and saving.same_content(before, file):
                    now[file.name] = Sent(file.mode, file.blob, before.stamp, age=file.age)
                    os.utime(path, ns=(before.stamp, before.stamp), follow_symlinks=False)
                else:
                    edits[file.name] = file.age
                    now[file.name] = Sent(file.mode, file.blob, 0, age=file.age)
            against = against_time(edits, made, sent, delta.ages)
            for name, stamp in against.older.items():
                del edits[name]
                now[name] = now[name]._replace(stamp=self._stamp(name, stamp))
            for name, age in against.newer.items():
                self._copy_up(split_name(name))
                edits[name] = age
            if edits and not first and is_ahead(self._newest):
                ahead = self._bring_to_clock(edits)
                # The harness chooses the stamps of visible files, so those need not be restored.
                self._ahead = {path: moved for path, moved in ahead.items() if path not in now}
            latest = max(self._newest, self.upper.newest())
            for name, stamp in stamping.stamp_all(self._stamp, edits, latest, first=first).items():
                now[name] = now[name]._replace(stamp=stamp)
            self._now = now

    def accept(
        self, acceptance: Acceptance, changes: Changes | None = None, *, mounted: bool = False
    ) -> None:
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
            self._layer_list = replace(self._layer_list, ahead={})

    def snapshot(self, *, contents: bool = False) -> dict[bytes, Entry]:
        with self._katas_errors("read"):
            # After `accept`, the file lists this test event's layer too.
            layer_list = LayerList.read(self._folder) or self._layer_list
            walked = (
                (path, None, entry.path, entry.status)
                for path, entry in layers_of(self._folder, layer_list).walk()
            )
            return entries(walked, contents=contents)

    def usage(self) -> DiskUsage:
        with self._katas_errors("read"):
            layer_list = LayerList.read(self._folder) or self._layer_list
            folders = (*(f"{LAYERS}/{number}" for number, _ in layer_list.layers), SANDBOX)
            return DiskUsage.of(self._folder, layer_list.sent, folders)

    def close(self) -> None:
        # If the disk is full, an accepted layer may not be listed yet. It must not be removed
        # together with layers that were not accepted.
        if not journal.is_pending(str(self._folder)):
            with contextlib.suppress(OSError, ValueError):
                # If the test event was not accepted, nothing of it may remain.
                put_layers_ahead_again(self._folder, self._layer_list)
                self._layer_list = LayerList.read(self._folder) or self._layer_list
                self._fold()
                self._clear_layers()
        super().close()

    @property
    def _layer(self) -> str:
        """The folder of this test event's layer, once it is accepted."""
        return str(self._folder / LAYERS / str(self._layer_list.next))

    @property
    def _work(self) -> str:
        return f"{self._layer}.work"

    def _flatten(self) -> None:
        """Fold all layers into the sandbox."""
        sent = self._layer_list.sent
        fold_layers(self._folder, durable=self._durable)
        self._begin(survey_layers(self._sandbox, sent))

    def _copy_linked(self) -> None:
        """Copy files with several names into the layer, before the run can write to one of them.

        A kernel without an index would copy only the name that the run writes to. A kernel with one
        cannot index anything but regular files.
        """
        copied = copies(self._incoming)
        self.upper.link(self._layer_list.odd, copied)
        if not self._layer_list.indexed:
            self.upper.link(self._layer_list.linked, copied)

    def _set_mode(self, parts: list[bytes], before: int, mode: int) -> bool:
        """Change only the permission to execute, as `saving` does; return whether it did."""
        if before == mode or not (stat.S_ISREG(before) and stat.S_ISREG(mode)):
            return False
        entry = self.upper.shown.find(parts)
        if entry is None or not same_kind(before & ~0o111, entry.status):
            return False
        os.chmod(self._copy_up(parts), saving.executable(entry.status, mode))
        return True

    def _copy_up(self, parts: list[bytes]) -> bytes:
        """Copy a file into the layer, with all its names; return its path there."""
        entry = self.upper.shown.find(parts)
        assert entry is not None
        if entry.status.st_nlink > 1:
            self.upper.link(
                self._layer_list.linked, copies(self._incoming, only=entry.status.st_ino)
            )
            entry = self.upper.shown.find(parts)
            assert entry is not None
        return self.upper.copy_up(parts, entry)

    def _put(
        self, parts: list[bytes], temporary: str, file: saving.SavedFile, owner: UserAndGroup | None
    ) -> bytes:
        """Put a file, or an empty folder, into the layer; return its path."""
        if stat.S_ISDIR(file.mode):
            return self.upper.make(parts, owner)
        entry = self.upper.shown.find(parts)
        mode = saving.permissions(
            entry and entry.status, self._layer_list.sent.get(file.name), file.mode
        )
        saving.write_file(temporary, file, owner, mode=mode)
        return self.upper.put(parts, temporary, owner)

    def _bring_to_clock(self, edits: Container[bytes]) -> Ahead:
        """Move stamps that are ahead back to the clock; see `stamping.bring_to_clock`.

        Files in lower layers are stamped in place, which saves copying them. The list of layers
        records their stamps first, so that they can be restored after a crash.
        """
        here = self.upper.path + b"/"
        files = stamping.AheadFiles()
        below: dict[bytes, int] = {}
        for path, entry in self.upper.shown.walk():
            stamp = entry.status.st_mtime_ns
            if path in edits:
                continue
            if files.is_too_many(path, stamp):
                os.utime(entry.path, ns=(files.now, files.now), follow_symlinks=False)
            elif path in files.ages and not entry.path.startswith(here):
                below[path] = stamp
        self._layer_list = replace(self._layer_list, ahead=below)
        self._write(self._layer_list, sync_file)
        moved, self._newest = stamping.stamp_back(self._stamp, files.ages, files.latest)
        return moved

    def _stamp(self, path: bytes, stamp: int) -> int:
        """Stamp a path in whatever layer shows it; return the stamp that the file system stored."""
        entry = self.upper.shown.find(split_path(path))
        assert entry is not None
        os.utime(entry.path, ns=(stamp, stamp), follow_symlinks=False)
        return os.lstat(entry.path).st_mtime_ns

    def _put_ahead_again(self) -> None:
        """Restore the stamps that were moved; see `stamping.put_ahead_again`."""
        for path, moved in self._ahead.items():
            entry = self.upper.shown.find(split_path(path))
            if entry and entry.status.st_mtime_ns == moved.to:
                os.utime(entry.path, ns=(moved.back, moved.back), follow_symlinks=False)
                self._newest = max(self._newest, moved.back)

    def _with_layer(self) -> LayerList:
        """Return the list with what the run left as a new layer."""
        before, index = self._layer_list, indexed(self._work)
        if index:
            # A new object, because stamps of folders that the edit changed must now stay.
            upper = UpperLayer(os.fsdecode(self.upper.path), self.upper.below)
            upper.link(before.linked, lambda entry: index.get(entry.status.st_ino))
        self._detach()
        shown = self.upper.below.under(self._layer)
        layer_list = with_layer(before, self._layer, shown, self._now)
        return replace(
            layer_list, newest=max(layer_list.newest, self._newest), indexed=index is not None
        )

    def _detach(self) -> None:
        """Move what the run left into another folder.

        The kernel refuses to mount as a lower layer what is still the upper layer of another mount,
        and the run-container may not have ended yet.
        """
        layer, upper = os.fsencode(self._layer), self.upper.path
        status = os.stat(upper)
        os.mkdir(layer)
        for name in os.listdir(upper):
            os.rename(os.path.join(upper, name), os.path.join(layer, name))
        dress(layer, status)

    def _fold(self) -> None:
        """Fold the topmost layers into one if there are too many.

        Lower layers that are at most twice as large as all above them are folded as well, so a
        layer is folded again only when it has doubled.
        """
        layers = self._layer_list.layers
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
        self._layer_list = replace(
            self._layer_list,
            layers=((self._layer_list.next, count), *layers[several:]),
            next=self._layer_list.next + 1,
        )
        self._write(self._layer_list, sync_disk)

    def _write(self, layer_list: LayerList, sync: atomic_file.Sync) -> None:
        """Write the list of layers, in a durable order if asked for.

        What it lists must be on the disk before it, and it before anything that depends on it.
        """
        content = json.dumps(layer_list.pack()).encode()
        atomic_file.write(
            str(self._folder / LAYER_LIST), content, sync=sync if self._durable else None
        )
        if self._durable:
            sync_folder(str(self._folder))

    def _clear_layers(self) -> None:
        numbers = {str(number) for number, _ in self._layer_list.layers}
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._folder / LAYERS):
                if name not in numbers:
                    remove_tree(self._folder / LAYERS / name)
