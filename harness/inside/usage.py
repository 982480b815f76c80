"""How much of the disk an avatar takes."""

from __future__ import annotations

import stat
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.inside import objects
from harness.inside.descent import descend
from harness.inside.layer_list import LayerList
from harness.inside.layout import HISTORY, LAYERS, PATH_PARTS, SANDBOX
from harness.inside.sent_record import visible_names


@dataclass(frozen=True)
class DiskUsage:
    """What an avatar takes of the disk, in bytes of content; a file of several hard links counts once."""

    visible: int
    extra: int  # made by runs: what an incremental build lives on
    history: int
    problem: str = ""  # why it could not be found out; the rest is 0 then

    def __add__(self, other: DiskUsage) -> DiskUsage:
        return DiskUsage(
            self.visible + other.visible, self.extra + other.extra, self.history + other.history
        )

    def __sub__(self, other: DiskUsage) -> DiskUsage:
        return DiskUsage(
            self.visible - other.visible, self.extra - other.extra, self.history - other.history
        )

    @classmethod
    def of(
        cls, avatar: Path, seen: Container[bytes], folders: Iterable[str] = (SANDBOX,)
    ) -> DiskUsage:
        """What the avatar in this folder takes, whose files are in these folders below it; those `seen` are visible. Raises
        OSError.
        """
        visible = extra = 0
        for folder in folders:
            for path, size in _sizes(avatar / folder):
                if path in seen:
                    visible += size
                else:
                    extra += size
        return cls(visible, extra, objects.weigh(str(avatar / HISTORY)))


def weigh_avatar(avatar: Path) -> DiskUsage:
    listed = LayerList.read(avatar)
    if listed is None:
        return DiskUsage.of(avatar, visible_names(avatar))
    folders = (*(f"{LAYERS}/{number}" for number, _ in listed.layers), SANDBOX)
    return DiskUsage.of(avatar, listed.sent, folders)


def _sizes(folder: Path) -> Iterator[tuple[bytes, int]]:
    """Each regular file below a folder, and its bytes; one that is deeper than any visible file without its name."""
    seen = set()
    for met in descend(folder):
        status = met.status
        if stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in seen:
            if status.st_nlink > 1:
                seen.add((status.st_dev, status.st_ino))
            yield met.path if len(met.above) < PATH_PARTS else b"", status.st_size
