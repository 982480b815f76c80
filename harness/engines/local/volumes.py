"""Volumes of the local engine: folders with labels, each with the katas in an inner folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from harness.engines import Volume, part_of
from harness.engines.folders import Shelf
from harness.engines.owner import KATAS, OWNER_LABEL, TEMPORARY, Owner
from harness.inside.errors import KatasError, UsageError

INNER = "katas"
"""The folder inside a volume that a player sees mounted; the labels are beside it."""


class LocalVolumes:
    """The volumes below the home of an engine."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "volumes"

    def place(self) -> Path:
        """Return the folder that holds them. A user may keep it elsewhere, by a symlink."""
        return Path(os.path.realpath(self._folder))

    def katas(self, name: str) -> Path:
        """Return the folder of the katas in a volume. Raises UsageError for a name of no volume."""
        return self._volume(name) / INNER

    def create(self, name: str, owner: Owner, *, temporary: bool, katas: str) -> None:
        """Create a volume unless it exists. Raises KatasError, and UsageError as in `katas`."""
        folder = self._volume(name)
        if (folder / OWNER_LABEL).exists():  # it keeps its owner, which may outlive this process
            return
        labels = {KATAS: katas or name, OWNER_LABEL: str(owner)} | (
            {TEMPORARY: ""} if temporary else {}
        )
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with Shelf(self.place()) as shelf:
                made = shelf.make(name, labels, mode=0o700, inside={INNER: 0o755})
        except OSError as error:
            raise KatasError(
                f"the volume {name} cannot be made in {folder}: {error.strerror}"
            ) from error
        if not made and not (folder / OWNER_LABEL).exists():
            raise KatasError(
                f"the volume {name} cannot be made: {folder} exists, and is not the harness's"
            )

    def list(self) -> Sequence[Volume]:
        """Return all volumes with the harness's label."""
        with contextlib.suppress(FileNotFoundError), Shelf(self.place()) as shelf:
            return [
                Volume(volume.name, volume.temporary, part_of(volume.name, volume.katas))
                for volume in shelf.labelled()
                if not volume.under_way
            ]
        return []

    def remove(self, name: str) -> None:
        """Remove a volume; a missing one is fine. Raises KatasError."""
        folder = self._volume(name)
        with contextlib.suppress(FileNotFoundError), Shelf(self.place()) as shelf:
            remove_from(shelf, "volume", folder.name)

    def _volume(self, name: str) -> Path:
        if not name or name.startswith(".") or "/" in name:
            raise UsageError(f"{name!r} cannot name a volume; use letters, digits, - and _")
        return self._folder / name


def remove_from(shelf: Shelf, what: str, name: str) -> None:
    """Remove a folder that is a `what`. Raises KatasError."""
    try:
        shelf.remove(name)
    except OSError as error:
        raise KatasError(
            f"the {what} {shelf.path / name} cannot be removed: {error.strerror}"
        ) from error
