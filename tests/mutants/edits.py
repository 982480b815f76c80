"""Mistakes in what an edit means: against what it is told, which stamp it gets, what is put back, and what travels."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from harness.inside import saving
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
            name: file.stamped for name, file in saving.survey(self._sandbox, manifest).items()
        }
        known = {name: file for name, file in there.items() if name in self._sent()}
        gone = {name: Stamped(0, "") for name in self._sent() if name not in there}
        return replace(comparison, delta=delta_between(manifest, {**known, **gone}, there.keys()))


class SandboxKatas(HonestKatas):
    event_kind = SandboxEvent


class AgainstTheSandbox(Honest):
    """The files sent are compared with the sandbox instead of with what was sent last: a header that a run generated anew, or a
    source that it formatted, comes back at each press with the newest stamp, and the next answer is the old one. This project
    did so for its first version.
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
    """What a run took away is put back as a new file, with the stamp of now: all that depends on it is compiled again, press
    after press where the run takes it away each time.
    """

    name = "put-back-as-new"
    katas_kind = NewStampKatas


class ChangedFilesEvent(HonestEvent):
    """Another file is saved than the one that was sent."""

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
    """The order of the stamps in the player's folder is ignored at the first press, as every copy ignores it: objects that were
    made on the host before an edit are as new as their sources, and the program is the old one for ever.
    """

    name = "ages-ignored"
    katas_kind = NoAgesKatas


class NoFoldersEvent(ChangedFilesEvent):
    def changed(self, file: SavedFile) -> SavedFile | None:
        return None if stat.S_ISDIR(file.mode) else file


class NoFoldersKatas(HonestKatas):
    event_kind = NoFoldersEvent


class EmptyFoldersDropped(Honest):
    """Empty folders are dropped, as git and every list of files drops them: a build that writes into `build/` fails in the
    sandbox, and succeeds at home.
    """

    name = "empty-folders-dropped"
    katas_kind = NoFoldersKatas


class FollowedEvent(ChangedFilesEvent):
    def changed(self, file: SavedFile) -> SavedFile | None:
        return replace(file, mode=FILE) if file.mode == LINK else file


class FollowedKatas(HonestKatas):
    event_kind = FollowedEvent


class SymlinksAsFiles(Honest):
    """A symlink is sent as a file that holds where it points, as git without core.symlinks and zip programs do: a header that
    was a link to another one is a syntax error.
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
    """A stamp that lies ahead of the clock is left as it is, as by `tar -xp` of what came from another machine: each build is
    older than its source, so make makes it again and again, and ninja gives up after 100 tries.
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
    """An edit is stamped later than a product from the future, and stays so: the edit is seen, and then at every later press
    again. This project did so for its first version.
    """

    name = "edit-into-the-future"
    katas_kind = IntoTheFutureKatas


class DeltaEvent(HonestEvent):
    """Another delta is taken than the right one."""

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
    """All visible files are copied in at each press, changed or not, as `docker cp` and a checkout do: with the newest stamps, so
    that every build is one from nothing.
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
    """A file is taken for unchanged if its stamp is of the same second, as rsync without --checksum does where the size is
    the same too: an edit of one letter soon after the press before is not sent at all.
    """

    name = "whole-seconds"
    katas_kind = SizeKatas


class VolumeEvent(DeltaEvent):
    def instead(self, delta: Delta) -> Delta:
        return replace(delta, deleted=())


class KeptKatas(HonestKatas):
    event_kind = VolumeEvent


class DeletionUnsent(Honest):
    """What is sent is copied in, and what is no longer sent is left where it is: a deleted source is compiled for ever, and a
    test that was renamed runs twice.
    """

    name = "deletion-unsent"
    katas_kind = KeptKatas


class Thawed(VisibleFiles):
    def freeze(self) -> VisibleFiles:
        return self


class NotFrozen(Honest):
    """Files are read again when the commit is made, not once at the press: what the player, an editor or a formatter did
    while the run went on is in the tag, under the id of what was sent. This project did so for its first version.
    """

    name = "not-frozen"

    def run(self, avatar: Avatar, files: Any, **options: Any) -> Run:
        visible = files if isinstance(files, VisibleFiles) else VisibleFiles(files)
        thawed: Callable[..., VisibleFiles] = Thawed
        return super().run(avatar, thawed(dict(visible.items())), **options)
