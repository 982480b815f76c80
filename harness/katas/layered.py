"""A test event whose run sees the avatar's tree below, and whose changes, the edit included, go into a layer above: to accept
it is to list that layer. Who comes to the avatar in any other way finds the layers folded into the sandbox first.

Runs in the keeper too: standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace

from harness.changes import Changes
from harness.disk import lacks, open_folder, remove_tree
from harness.errors import KatasError
from harness.katas import journal, saving
from harness.katas.delta import Delta, Stamped, same_kind, work_out
from harness.katas.layers import OPAQUE, WHITEOUT, Layers, dress, is_whiteout
from harness.katas.layout import LAYERS, LISTED, SANDBOX, split_name
from harness.katas.listed import Listed, layers_of, settle
from harness.katas.sent import Record, Sent
from harness.katas.stamps import as_sent, file_time, in_order, is_ahead
from harness.katas.store import Acceptance, Comparison, FolderEvent, Usage
from harness.tree import Entry, entries, walk

DEPTH = 10
"""So many layers over the sandbox at most between two test events. The kernel takes the names of all in one page of 4 KiB."""


LONGEST = 4096 - 64
"""Bytes of a path of a layer at most: Linux's PATH_MAX, less what it takes more in any other place of the avatar's."""


@dataclass(frozen=True)
class Stack:
    """What a run-container mounts, each relative to the folder of the avatar."""

    lower: tuple[str, ...]  # the topmost first
    upper: str
    work: str


class LayeredEvent(FolderEvent):
    """One test event in a layer of its own."""

    _listed: Listed
    _now: Record  # the visible files of this test event

    def _settle(self) -> None:
        listed = Listed.read(self._folder)
        self._listed = listed or replace(self._survey(), sent=self._sent())
        self._now = self._listed.sent
        self._clear_layers()

    def stack(self, owner: tuple[int, int] | None) -> Stack:
        """Make the layer that this test event's run writes into, for a player who is to own the tree. Raises KatasError."""
        with self._saying("written"):
            if owner and os.stat(self._sandbox).st_uid != owner[0]:
                self._flatten()
                saving.hand_over(self._sandbox, owner)
            if is_ahead(self._listed.newest):
                self._flatten()
                ahead, _ = saving.bring_to_clock(self._sandbox, ())
                self._ahead = {path: moved for path, moved in ahead.items() if path not in self._now}
                self._listed = replace(self._survey(), sent=self._listed.sent)
            top = self._below.find([])
            assert top is not None
            os.makedirs(self._work)
            os.mkdir(self._upper)
            dress(self._upper, top.status)
            os.close(open_folder(self._upper))  # whatever mode a run gave it
            self._copy_linked()
        number = self._listed.next
        below = tuple(f"{LAYERS}/{each}" for each, _ in self._listed.layers)
        return Stack((*below, SANDBOX), f"{LAYERS}/{number}", f"{LAYERS}/{number}.work")

    def compare(self, manifest: Mapping[bytes, Stamped]) -> Comparison:
        with self._saying("read"):
            self._let_go()
            sent = self._listed.sent
            there = {name for name, file in sent.items() if self._is_there(split_name(name), file.mode)}
            delta = work_out(manifest, {name: file.stamped for name, file in sent.items()}, there)
            return Comparison(delta, *self._against(manifest.values()))

    def start_afresh(self) -> None:
        with self._saying("written"):
            self._flatten()
            self._clear_layers()
        super().start_afresh()
        self._listed, self._now = self._survey(), {}

    def save(
        self,
        files: Iterable[saving.SavedFile],
        delta: Delta,
        *,
        owner: tuple[int, int] | None,
    ) -> None:
        with self._saying("written"):
            os.makedirs(self._incoming, exist_ok=True)
            first = not self._listed.sent and not self._listed.layers and not os.listdir(self._sandbox)
            sent = self._listed.sent
            changed: set[bytes] = set()
            for name in delta.deleted:
                self._hide(split_name(name), changed)
            edits: dict[bytes, int | None] = {}
            now = {name: file for name, file in sent.items() if name not in delta.deleted}
            paths: dict[bytes, bytes] = {}
            for number, file in enumerate(files):
                path = paths[file.name] = self._make_way(split_name(file.name), owner, changed)
                self._put(path, os.path.join(self._incoming, str(number)), file, owner, changed)
                before = sent.get(file.name)
                if before and before.stamped == (file.mode, file.blob):
                    os.utime(path, ns=(before.stamp, before.stamp), follow_symlinks=False)
                    continue
                edits[file.name] = file.age
                now[file.name] = Sent(file.mode, file.blob, 0)
            latest = max([self._listed.newest, *(os.lstat(folder).st_mtime_ns for folder in changed)])
            stamps = as_sent(edits, file_time()) if first else in_order(edits, latest)
            for name, stamp in stamps.items():
                os.utime(paths[name], ns=(stamp, stamp), follow_symlinks=False)
                given = os.lstat(paths[name]).st_mtime_ns
                if not first and given <= latest:
                    raise KatasError(
                        "the file system of the katas cannot stamp an edit later than what is there"
                    )
                now[name] = now[name]._replace(stamp=given)
            self._now = now

    def accept(self, acceptance: Acceptance, changes: Changes | None = None) -> None:
        assert changes is None
        with self._saying("written"):
            if acceptance.increment.status == 0:
                saving.put_ahead_again(self._sandbox, self._ahead)
            journal.accept(
                str(self._folder),
                acceptance.objects,
                acceptance.commit,
                asdict(acceptance.increment),
                layers=self._with_upper().pack(),
            )

    def snapshot(self, *, contents: bool = False) -> dict[bytes, Entry]:
        with self._saying("read"):
            listed = Listed.read(self._folder) or self._listed  # of what is accepted meanwhile too
            walked = (
                (path, None, found.path, found.status)
                for path, found in layers_of(self._folder, listed).walk()
            )
            return entries(walked, contents=contents)

    def usage(self) -> Usage:
        with self._saying("read"):
            listed = Listed.read(self._folder) or self._listed
            folders = (*(f"{LAYERS}/{number}" for number, _ in listed.layers), SANDBOX)
            return Usage.of(self._folder, listed.sent, folders)

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._listed = Listed.read(self._folder) or self._listed
            self._fold()
            self._clear_layers()
        super().close()

    @property
    def _upper(self) -> str:
        return str(self._folder / LAYERS / str(self._listed.next))

    @property
    def _work(self) -> str:
        return f"{self._upper}.work"

    @property
    def _below(self) -> Layers:
        return layers_of(self._folder, self._listed)

    @property
    def _shown(self) -> Layers:
        """With what this test event has changed."""
        numbers = [self._listed.next, *(number for number, _ in self._listed.layers)]
        return Layers([*(str(self._folder / LAYERS / str(each)) for each in numbers), self._sandbox])

    def _survey(self) -> Listed:
        """The sandbox as it is, all of it looked through once."""
        newest, linked = 0, []
        for path, status in walk(self._sandbox):
            newest = max(newest, status.st_mtime_ns)
            if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                linked.append(path)
        return Listed(newest=newest, linked=tuple(linked))

    def _flatten(self) -> None:
        """Fold all layers into the sandbox."""
        sent = self._listed.sent
        settle(self._folder)
        self._listed = replace(self._survey(), sent=sent)

    def _put(
        self,
        path: bytes,
        temporary: str,
        file: saving.SavedFile,
        owner: tuple[int, int] | None,
        changed: set[bytes],
    ) -> None:
        """Put a file, or an empty folder, into the layer."""
        found = self._shown.find(split_name(file.name))
        here = found is not None and found.path == path
        if stat.S_ISDIR(file.mode):
            if found is not None and stat.S_ISDIR(found.status.st_mode):
                return
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            os.mkdir(path, 0o755)
            os.setxattr(path, OPAQUE, b"y")
            if owner:
                os.chown(path, *owner)
            return
        before = self._listed.sent.get(file.name)
        mode = saving.permissions(found and found.status, before, file.mode)
        saving.write_file(temporary, file, owner, mode=mode)
        if here and found is not None and stat.S_ISDIR(found.status.st_mode):
            _remove_folder(path, changed)
        os.rename(temporary, path)

    def _is_there(self, parts: list[bytes], mode: int) -> bool:
        found = self._below.find(parts)
        if found is None or not same_kind(mode, found.status):
            return False
        folders = (self._below.find(parts[:count]) for count in range(len(parts)))
        return not any(each and lacks(each.status.st_mode) for each in folders)

    def _copy_linked(self) -> None:
        """Copy what has several names: the kernel would copy only the name that a run writes to, and leave the others old."""
        copies: dict[tuple[int, int], str] = {}
        for name in self._listed.linked:
            found = self._below.find(name.split(b"/"))
            if found is None or not stat.S_ISREG(found.status.st_mode):
                continue
            folders: set[bytes] = set()
            path = self._make_way(name.split(b"/"), None, folders, to_look=False)
            first = copies.setdefault((found.status.st_dev, found.status.st_ino), os.fsdecode(path))
            if os.fsencode(first) != path:
                os.link(first, path)
            else:
                shutil.copyfile(found.path, path)
                os.chown(path, found.status.st_uid, found.status.st_gid)
                os.chmod(path, stat.S_IMODE(found.status.st_mode))
                os.utime(path, ns=(found.status.st_mtime_ns, found.status.st_mtime_ns))
            for each in folders:
                shown = self._below.find(os.path.relpath(each, os.fsencode(self._upper)).split(b"/"))
                assert shown is not None
                dress(each, shown.status)

    def _make_way(
        self,
        parts: list[bytes],
        owner: tuple[int, int] | None,
        changed: set[bytes],
        *,
        to_look: bool = True,
    ) -> bytes:
        """The path of a file in the layer, with the folders above it, into which their owner can look if that is why it is
        there; `changed` are those whose stamp no longer matters.
        """
        here = os.fsencode(self._upper)
        for number in range(1, len(parts)):
            above, here = here, os.path.join(here, parts[number - 1])
            found = self._shown.find(parts[:number])
            if found and found.path == here and stat.S_ISDIR(found.status.st_mode):
                if to_look:
                    os.close(open_folder(here))
                continue
            stamp = os.lstat(above).st_mtime_ns
            with contextlib.suppress(FileNotFoundError):
                os.unlink(here)  # a whiteout, or what is no folder
            os.mkdir(here, 0o755)
            if found and stat.S_ISDIR(found.status.st_mode):
                dress(here, found.status)
                if to_look:
                    os.close(open_folder(here))
                if above not in changed:
                    os.utime(above, ns=(stamp, stamp))
            else:
                os.setxattr(here, OPAQUE, b"y")
                if owner:
                    os.chown(here, *owner)
                changed.add(above)
        changed.add(here)
        return os.path.join(here, parts[-1])

    def _hide(self, parts: list[bytes], changed: set[bytes]) -> None:
        found = self._shown.find(parts)
        if found is None:
            return
        path = self._make_way(parts, None, changed)
        if found.path == path:
            if stat.S_ISDIR(found.status.st_mode):
                _remove_folder(path, changed)
            else:
                os.unlink(path)
        if self._below.find(parts):
            os.mknod(path, stat.S_IFCHR, WHITEOUT)

    def _with_upper(self) -> Listed:
        """The list once the layer of this test event is in it; only that is looked through."""
        before = self._listed
        newest, count, shown = before.newest, 0, self._shown
        linked = set(before.linked)
        for path, status in walk(self._upper):
            count += 1
            if len(os.fsencode(self._upper)) + 1 + len(path) > LONGEST:
                raise KatasError(
                    f"the run left a nest of folders whose paths are too long for layers: {len(path)} bytes"
                )
            if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                linked.add(path)
            if not is_whiteout(status):
                newest = max(newest, status.st_mtime_ns)
        return Listed(
            layers=((before.next, count), *before.layers),
            next=before.next + 1,
            newest=newest,
            sent=self._now,
            linked=_still_linked(shown, linked),
        )

    def _fold(self) -> None:
        """Fold the topmost layers when there are too many, with all below that are not much larger than those together: a
        layer is folded again only when it has doubled.
        """
        layers = self._listed.layers
        if len(layers) <= DEPTH:
            return
        several, together = 1, layers[0][1]
        while several < len(layers) and layers[several][1] <= 2 * together:
            together += layers[several][1]
            several += 1
        if several == 1:
            several = len(layers)
        target = self._upper
        remove_tree(target)
        folders = [str(self._folder / LAYERS / str(number)) for number, _ in layers[:several]]
        count = Layers(folders).fold(target, marks=True)
        self._listed = replace(
            self._listed,
            layers=((self._listed.next, count), *layers[several:]),
            next=self._listed.next + 1,
        )
        journal.write(str(self._folder / LISTED), json.dumps(self._listed.pack()).encode())

    def _clear_layers(self) -> None:
        listed = {str(number) for number, _ in self._listed.layers}
        with contextlib.suppress(FileNotFoundError):
            for each in os.listdir(self._folder / LAYERS):
                if each not in listed:
                    remove_tree(self._folder / LAYERS / each)


def _still_linked(layers: Layers, names: Iterable[bytes]) -> tuple[bytes, ...]:
    found: dict[tuple[int, int], list[bytes]] = {}
    for name in names:
        each = layers.find(name.split(b"/"))
        if each and stat.S_ISREG(each.status.st_mode):
            found.setdefault((each.status.st_dev, each.status.st_ino), []).append(name)
    return tuple(sorted(name for several in found.values() if len(several) > 1 for name in several))


def _remove_folder(path: bytes, changed: set[bytes]) -> None:
    """Of a layer, with all that is in it: what is gone has no stamp that could matter."""
    remove_tree(path)
    changed -= {each for each in changed if each == path or each.startswith(path + b"/")}
