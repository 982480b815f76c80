"""How much disk space an avatar takes."""

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
    """Disk space of an avatar, in bytes of content. A file with several hard links counts once."""

    visible: int
    """Bytes of the visible files."""
    extra: int
    """Bytes of files that runs made, which incremental builds reuse."""
    history: int
    """Bytes of the git history."""
    problem: str = ""
    """Why the avatar could not be measured; the sizes are then 0. Empty otherwise."""

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
        cls, avatar: Path, visible_files: Container[bytes], folders: Iterable[str] = (SANDBOX,)
    ) -> DiskUsage:
        """Measure the avatar in this folder; files in `visible_files` are the visible ones.

        Raises OSError.

        Its files are below `folders`, which are relative to the avatar's folder.
        """
        visible = extra = 0
        for folder in folders:
            for path, size in _sizes(avatar / folder):
                if path in visible_files:
                    visible += size
                else:
                    extra += size
        return cls(visible, extra, objects.weigh(str(avatar / HISTORY)))


def weigh_avatar(avatar: Path) -> DiskUsage:
    """Measure the avatar in this folder, layers included.

    Raises OSError, and ValueError if damaged.
    """
    layer_list = LayerList.read(avatar)
    if layer_list is None:
        return DiskUsage.of(avatar, visible_names(avatar))
    folders = (*(f"{LAYERS}/{number}" for number, _ in layer_list.layers), SANDBOX)
    return DiskUsage.of(avatar, layer_list.sent, folders)


def _sizes(folder: Path) -> Iterator[tuple[bytes, int]]:
    """Yield the path and size of each regular file below a folder.

    The path is empty for a file deeper than any visible file can be.
    """
    seen = set()
    for met in descend(folder):
        status = met.status
        if stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in seen:
            if status.st_nlink > 1:
                seen.add((status.st_dev, status.st_ino))
            yield met.path if len(met.above) < PATH_PARTS else b"", status.st_size
