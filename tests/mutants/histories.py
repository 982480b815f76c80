"""Mistakes about what is kept for ever: the history, its tags, and the layers of an overlay."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from harness.engines.local.engine import LocalEngine
from harness.engines.streams import Stream
from harness.inside.delta import Stamped
from harness.inside.layout import HISTORY
from harness.inside.tree import walk
from harness.katas.visible import VisibleFiles
from harness.runners.event import TestEvent
from harness.runners.katas_overlay import KatasOverlay
from harness.verify.faults.keeper_programs import beginning_with
from tests.mutants.mutant import Honest, HonestEvent, HonestKatas


class LooseEvent(HonestEvent):
    def _against(self, files: Iterable[Stamped]) -> tuple[frozenset[str], str | None, int]:
        missing, head, tag = super()._against(files)
        loose = Path(self._folder, HISTORY, "refs/heads/main")
        return (missing, head, tag) if loose.exists() else (missing, None, 0)


class LooseKatas(HonestKatas):
    event_kind = LooseEvent


class LooseOnly(Honest):
    """Only loose references are read.

    After `git pack-refs --all`, or `git gc`, the history seems empty, and the next test event
    starts it again at tag 1. The first version of this project did so.
    """

    name = "loose-references-only"
    katas_kind = LooseKatas


class CountedEvent(HonestEvent):
    def _against(self, files: Iterable[Stamped]) -> tuple[frozenset[str], str | None, int]:
        missing, head, _ = super()._against(files)
        return missing, head, len(os.listdir(Path(self._folder, HISTORY, "refs/tags")))


class CountedKatas(HonestKatas):
    event_kind = CountedEvent


class TagsCounted(Honest):
    """The next tag is found by counting the files in `refs/tags`.

    Once tags are packed, numbers are used again, and a tag that somebody has seen changes.
    """

    name = "tags-counted"
    katas_kind = CountedKatas


class OutputForgotten(Honest):
    """The commit is made before the output is known, so no tag has one: everything looks green."""

    name = "output-forgotten"

    def ran(self, event: TestEvent) -> bool:
        completed = event.run()
        if completed and event.progress.execution:
            self._printed = event.progress.execution
            event.progress.execution = replace(event.progress.execution, stdout=b"")
        return completed

    def play(self, event: TestEvent) -> None:
        super().play(event)
        if event.progress.tag is not None:
            event.progress.execution = self._printed


class CommitsTheEdit(Honest):
    """Only edited files are committed, not everything that was sent.

    Each difference looks right, but no tag can be checked out and built.
    """

    name = "commits-the-edit"

    def ran(self, event: TestEvent) -> bool:
        completed = event.run()
        delta = event.compare().delta
        edited = {name: event.request.files[name] for name in delta.written}
        files = VisibleFiles(edited or dict(event.request.files.items()))
        event.request = replace(event.request, files=files)
        return completed


class UnlinkedEvent(HonestEvent):
    def stage(self, chunks: Iterable[bytes]) -> int:
        count = super().stage(chunks)
        root = os.fsencode(self._staging)
        seen: set[tuple[int, int]] = set()
        for path, status in list(walk(root)):
            if status.st_nlink > 1 and not os.path.isdir(os.path.join(root, path)):
                here, parent = os.path.join(root, path), os.path.dirname(os.path.join(root, path))
                before = os.stat(parent)
                if (status.st_dev, status.st_ino) in seen:
                    shutil.copy2(here, here + b".copy", follow_symlinks=False)
                    os.utime(
                        here + b".copy",
                        ns=(status.st_mtime_ns, status.st_mtime_ns),
                        follow_symlinks=False,
                    )
                    os.rename(here + b".copy", here)
                    os.utime(parent, ns=(before.st_mtime_ns, before.st_mtime_ns))
                seen.add((status.st_dev, status.st_ino))
        return count


class UnlinkedKatas(HonestKatas):
    event_kind = UnlinkedEvent


class HardLinksForgotten(Honest):
    """Hard links become separate files, as with `cp -r`.

    What a run writes to one name is missing in the other, and a tree of pnpm or ccache takes its
    size once for each name.
    """

    name = "hard-links-forgotten"
    katas_kind = UnlinkedKatas


class PatchedEngine(LocalEngine):
    """Has keepers with a mistake."""

    patch = b""

    def open_keeper(self, volume: str, program: bytes) -> Stream:
        return super().open_keeper(volume, beginning_with(program, self.patch))


class UnmarkedEngine(PatchedEngine):
    patch = b"""
from harness.inside.layers import Layers
whole = Layers.fold
Layers.fold = lambda self, target, below=None: whole(self, target)
"""


class DeletionsFolded(KatasOverlay):
    """Layers are folded without their deletion marks.

    What a run deleted is back eleven presses later and no sooner, so no short session shows it.
    """

    name = "deletions-lost-in-folds"


def no_overlay() -> str:
    """Return why there is no overlay here."""
    from harness.engines.spec import Overlay  # noqa: PLC0415

    return LocalEngine().refusal(Overlay)
