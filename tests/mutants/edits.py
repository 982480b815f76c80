"""Mistakes about edits: what they are compared with, their stamps, what is put back and sent."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from harness.inside import sandbox_contents
from harness.inside.delta import Delta, Stamped, delta_between
from harness.inside.layout import Avatar
from harness.inside.saving import SavedFile
from harness.inside.store import SendPlan
from harness.katas.visible import FILE, LINK, VisibleFiles
from harness.runners.run import Run
from tests.mutants.mutant import Honest, HonestEvent, HonestKatas


class SandboxEvent(HonestEvent):
    def compare(self, manifest: Mapping[bytes, Stamped]) -> SendPlan:
        comparison = super().compare(manifest)
        there = {
            name: file.stamped
            for name, file in sandbox_contents.survey(self._sandbox, manifest).items()
        }
        known = {name: file for name, file in there.items() if name in self._sent()}
        gone = {name: Stamped(0, "") for name in self._sent() if name not in there}
        return replace(comparison, delta=delta_between(manifest, {**known, **gone}, there.keys()))


class SandboxKatas(HonestKatas):
    event_kind = SandboxEvent


class AgainstTheSandbox(Honest):
    """Files are compared with the sandbox instead of with what was sent last.

    A header that a run generated again, or a source that it formatted, comes back at each press
    with the newest stamp, and the next answer is the old one. The first version of this project
    did so.
    """

    name = "against-the-sandbox"
    katas_kind = SandboxKatas


class NewStampEvent(HonestEvent):
    def save(
        self, files: Iterable[SavedFile], delta: Delta, *, owner: tuple[int, int] | None
    ) -> None:
        super().save(files, delta, owner=owner)
        now = time.time_ns()
        for name in delta.gone:
            os.utime(
                os.path.join(os.fsencode(self._sandbox), name), ns=(now, now), follow_symlinks=False
            )


class NewStampKatas(HonestKatas):
    event_kind = NewStampEvent


class PutBackAsNew(Honest):
    """A file that a run removed is put back with the stamp of now.

    Everything that depends on it is compiled again; at every press, if every run removes it.
    """

    name = "put-back-as-new"
    katas_kind = NewStampKatas


class ChangedFilesEvent(HonestEvent):
    """Saves another file than the one that was sent."""

    def changed(self, file: SavedFile) -> SavedFile | None:
        raise NotImplementedError

    def save(
        self, files: Iterable[SavedFile], delta: Delta, *, owner: tuple[int, int] | None
    ) -> None:
        super().save(filter(None, map(self.changed, files)), delta, owner=owner)


class NoAgesEvent(ChangedFilesEvent):
    def changed(self, file: SavedFile) -> SavedFile | None:
        return replace(file, age=None)


class NoAgesKatas(HonestKatas):
    event_kind = NoAgesEvent


class AgesIgnored(Honest):
    """The first press ignores the order of the stamps in the player's folder, as any copy does.

    Objects that the host made before an edit are as new as their sources, and the program stays
    the old one.
    """

    name = "ages-ignored"
    katas_kind = NoAgesKatas


class NoFoldersEvent(ChangedFilesEvent):
    def changed(self, file: SavedFile) -> SavedFile | None:
        return None if stat.S_ISDIR(file.mode) else file


class NoFoldersKatas(HonestKatas):
    event_kind = NoFoldersEvent


class EmptyFoldersDropped(Honest):
    """Empty folders are dropped, as git and every list of files drop them.

    A build that writes into `build/` succeeds at home and fails in the sandbox.
    """

    name = "empty-folders-dropped"
    katas_kind = NoFoldersKatas


class FollowedEvent(ChangedFilesEvent):
    def changed(self, file: SavedFile) -> SavedFile | None:
        return replace(file, mode=FILE) if file.mode == LINK else file


class FollowedKatas(HonestKatas):
    event_kind = FollowedEvent


class SymlinksAsFiles(Honest):
    """A symlink is sent as a file that holds its target, as zip and git without core.symlinks do.

    A header that was a link to another one is then a syntax error.
    """

    name = "symlinks-as-files"
    katas_kind = FollowedKatas


class FutureEvent(HonestEvent):
    def save(
        self, files: Iterable[SavedFile], delta: Delta, *, owner: tuple[int, int] | None
    ) -> None:
        ages: dict[bytes, int] = {}

        def noted() -> Iterator[SavedFile]:
            for file in files:
                if file.age is not None and file.age > time.time_ns():
                    ages[file.name] = file.age
                yield file

        first = not self._sent()
        super().save(noted(), delta, owner=owner)
        for name, age in ages.items() if first else ():
            os.utime(
                os.path.join(os.fsencode(self._sandbox), name), ns=(age, age), follow_symlinks=False
            )


class FutureKatas(HonestKatas):
    event_kind = FutureEvent


class FutureLeft(Honest):
    """A stamp ahead of the clock stays, as when `tar -xp` unpacks files of another machine.

    Each build is older than its source, so make builds again and again, and ninja gives up after
    100 tries.
    """

    name = "future-left"
    katas_kind = FutureKatas


class IntoTheFutureEvent(HonestEvent):
    def save(
        self, files: Iterable[SavedFile], delta: Delta, *, owner: tuple[int, int] | None
    ) -> None:
        super().save(files, delta, owner=owner)
        ahead, self._ahead = self._ahead, {}
        root = os.fsencode(self._sandbox)
        for path, moved in ahead.items():
            os.utime(os.path.join(root, path), ns=(moved.back, moved.back), follow_symlinks=False)
        if ahead:
            later = max(moved.back for moved in ahead.values()) + 1
            for name in delta.changed:
                os.utime(os.path.join(root, name), ns=(later, later), follow_symlinks=False)


class IntoTheFutureKatas(HonestKatas):
    event_kind = IntoTheFutureEvent


class EditIntoTheFuture(Honest):
    """An edit is stamped later than a product from the future, and keeps that stamp.

    Make sees the edit, and sees it again at every later press. The first version of this project
    did so.
    """

    name = "edit-into-the-future"
    katas_kind = IntoTheFutureKatas


class DeltaEvent(HonestEvent):
    """Takes another delta than the right one."""

    def instead(self, delta: Delta) -> Delta:
        raise NotImplementedError

    def compare(self, manifest: Mapping[bytes, Stamped]) -> SendPlan:
        comparison = super().compare(manifest)
        return replace(comparison, delta=self.instead(comparison.delta))


class AllEvent(DeltaEvent):
    def save(
        self, files: Iterable[SavedFile], delta: Delta, *, owner: tuple[int, int] | None
    ) -> None:
        super().save(files, delta, owner=owner)
        now = time.time_ns()
        for name in delta.changed:
            os.utime(
                os.path.join(os.fsencode(self._sandbox), name), ns=(now, now), follow_symlinks=False
            )

    def instead(self, delta: Delta) -> Delta:
        return replace(delta, unchanged=(), changed=tuple(sorted(delta.changed + delta.unchanged)))


class AllKatas(HonestKatas):
    event_kind = AllEvent


class SendsAll(Honest):
    """Every press copies all visible files, changed or not, as `docker cp` and a checkout do.

    They have the newest stamps, so every build starts from nothing.
    """

    name = "sends-all"
    katas_kind = AllKatas


class SizeEvent(DeltaEvent):
    def instead(self, delta: Delta) -> Delta:
        root, second = os.fsencode(self._sandbox), int(time.time())
        same = []
        for name in delta.changed:
            status = os.lstat(os.path.join(root, name))
            if name != b"cyber-dojo.sh" and int(status.st_mtime) >= second - 1:
                same.append(name)
        changed = tuple(name for name in delta.changed if name not in same)
        return replace(delta, changed=changed, unchanged=tuple(sorted((*delta.unchanged, *same))))


class SizeKatas(HonestKatas):
    event_kind = SizeEvent


class WholeSeconds(Honest):
    """A file counts as unchanged if its stamp is in the same second.

    So does rsync without --checksum if the size is the same too. An edit of one letter soon after a
    press is not sent at all.
    """

    name = "whole-seconds"
    katas_kind = SizeKatas


class VolumeEvent(DeltaEvent):
    def instead(self, delta: Delta) -> Delta:
        return replace(delta, deleted=())


class KeptKatas(HonestKatas):
    event_kind = VolumeEvent


class DeletionUnsent(Honest):
    """Files that are no longer sent stay in the sandbox.

    A deleted source is compiled for ever, and a renamed test runs twice.
    """

    name = "deletion-unsent"
    katas_kind = KeptKatas


class Thawed(VisibleFiles):
    def freeze(self) -> VisibleFiles:
        return self


class NotFrozen(Honest):
    """Files are read again for the commit, not only at the press.

    The tag holds what the player, an editor or a formatter did during the run, under the id of what
    was sent. The first version of this project did so.
    """

    name = "not-frozen"

    def run(self, avatar: Avatar, files: Any, **options: Any) -> Run:
        visible = files if isinstance(files, VisibleFiles) else VisibleFiles(files)
        thawed: Callable[..., VisibleFiles] = Thawed
        return super().run(avatar, thawed(dict(visible.items())), **options)
