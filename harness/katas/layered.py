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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from harness.changes import Changes
from harness.disk import lacks, open_folder, remove_tree
from harness.errors import KatasError
from harness.katas import journal, saving
from harness.katas.delta import Stamped, stamped, work_out
from harness.katas.layers import OPAQUE, WHITEOUT, Found, Layers, dress, is_opaque, is_whiteout
from harness.katas.layout import LAYERS, LISTED, SANDBOX, split_name
from harness.katas.listed import Listed, layers_of, settle
from harness.katas.store import Acceptance, Comparison, FolderEvent, Usage
from harness.tree import Entry, entries, walk

DEPTH = 10
"""So many layers over the sandbox at most between two test events. The kernel takes the names of all in one page of 4 KiB."""


@dataclass(frozen=True)
class Stack:
    """What a run-container mounts, each relative to the folder of the avatar."""

    lower: tuple[str, ...]  # the topmost first
    upper: str
    work: str


class LayeredEvent(FolderEvent):
    """One test event in a layer of its own."""

    _listed: Listed
    _before: set[bytes]  # the visible files of the last test event
    _now: set[bytes]  # those of this one

    def _settle(self) -> None:
        listed = Listed.read(self._folder)
        self._before = self._now = self._visible() if listed is None else set(listed.kept)
        self._listed = listed or self._survey()
        self._clear_layers()

    def stack(self, owner: tuple[int, int] | None) -> Stack:
        """Make the layer that this test event's run writes into, for a player who is to own the tree. Raises KatasError."""
        with self._saying("written"):
            if owner and os.stat(self._sandbox).st_uid != owner[0]:
                settle(self._folder)
                saving.hand_over(self._sandbox, owner)
                self._listed = self._survey()
            if not self._can_be_later():
                settle(self._folder)
                saving.bring_back(self._sandbox)
                self._listed = self._survey()
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
            known = self._listed.kept
            kept = {name: known[name] if name in known else self._stamped(name) for name in manifest}
            return Comparison(work_out(manifest, kept, self._before), *self._against(manifest.values()))

    def save(
        self,
        files: Iterable[saving.SavedFile],
        deleted: Sequence[bytes],
        *,
        visible: Sequence[bytes],
        owner: tuple[int, int] | None,
    ) -> None:
        with self._saying("written"):
            os.makedirs(self._incoming, exist_ok=True)
            self._now = set(visible)
            changed: set[bytes] = set()
            for name in deleted:
                self._hide(split_name(name), changed)
            latest = self._listed.newest
            stamp = saving.next_stamp(latest)
            written = []
            for number, file in enumerate(files):
                path = self._make_way(split_name(file.name), owner, changed)
                temporary = os.path.join(self._incoming, str(number))
                found = self._shown.find(split_name(file.name))
                saving.write_file(temporary, file, owner, mode=_kept_mode(found))
                if found and found.path == path and stat.S_ISDIR(found.status.st_mode):
                    _remove_folder(path, changed)
                os.rename(temporary, path)
                written.append(path)
            for folder in changed:
                latest = max(latest, os.lstat(folder).st_mtime_ns)
            stamp = saving.next_stamp(latest)
            for path in written:
                os.utime(path, ns=(stamp, stamp), follow_symlinks=False)
                if os.lstat(path).st_mtime_ns <= latest:
                    raise KatasError(
                        "the sandbox holds files from the future that cannot be stamped; remove them"
                    )

    def accept(self, acceptance: Acceptance, changes: Changes | None = None) -> None:
        assert changes is None
        with self._saying("written"):
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
                (path, found.path, found.status) for path, found in layers_of(self._folder, listed).walk()
            )
            return entries(walked, contents=contents)

    def usage(self) -> Usage:
        with self._saying("read"):
            listed = Listed.read(self._folder) or self._listed
            folders = (*(f"{LAYERS}/{number}" for number, _ in listed.layers), SANDBOX)
            return Usage.of(self._folder, listed.kept, folders)

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

    def _can_be_later(self) -> bool:
        """Whether the file system holds a stamp later than all that are in the tree."""
        if self._listed.newest < saving.file_time():
            return True
        os.makedirs(self._incoming, exist_ok=True)
        later = saving.next_stamp(self._listed.newest)
        os.utime(self._incoming, ns=(later, later))
        return os.stat(self._incoming).st_mtime_ns > self._listed.newest

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

    def _stamped(self, name: bytes, layers: Layers | None = None) -> Stamped | None:
        layers, parts = layers or self._below, split_name(name)
        found = layers.find(parts)
        if found is None or stat.S_ISDIR(found.status.st_mode):
            return None
        for count in range(len(parts)):
            above = layers.find(parts[:count])
            if above and lacks(above.status.st_mode):
                return None  # to be written anew, which opens the way to it
        folder = os.open(os.path.dirname(found.path), os.O_PATH | os.O_DIRECTORY)
        try:
            return stamped(folder, os.path.basename(found.path))
        finally:
            os.close(folder)

    def _with_upper(self) -> Listed:
        """The list once the layer of this test event is in it; only that is looked through."""
        before = self._listed
        newest, count, shown = before.newest, 0, self._shown
        touched, hiding, linked = set(), [], set(before.linked)
        for path, status in walk(self._upper):
            count += 1
            full = os.path.join(os.fsencode(self._upper), path)
            if stat.S_ISDIR(status.st_mode):
                if path != b"." and is_opaque(full):
                    hiding.append(path + b"/")
                if lacks(status.st_mode):
                    hiding.append(b"" if path == b"." else path + b"/")
            else:
                touched.add(path)
                hiding.append(path + b"/")  # in the place of a folder, maybe
                if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                    linked.add(path)
            if not is_whiteout(status):
                newest = max(newest, status.st_mtime_ns)
        hides = tuple(hiding)
        kept = {}
        for name in self._now:
            if name in before.kept and name not in touched and not name.startswith(hides):
                kept[name] = before.kept[name]
            else:
                kept[name] = self._stamped(name, shown)
        return Listed(
            layers=((before.next, count), *before.layers),
            next=before.next + 1,
            newest=newest,
            kept=kept,
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


def _kept_mode(found: Found | None) -> int | None:
    """As `saving` keeps it: the permissions of a file that its owner can read and write."""
    if found and stat.S_ISREG(found.status.st_mode) and found.status.st_mode & 0o600 == 0o600:
        return stat.S_IMODE(found.status.st_mode) & 0o777
    return None
