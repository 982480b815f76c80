"""Opens the katas at the place that a user names, or in a temporary one."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from harness.engines import Engine
from harness.engines.folders import remove_folder, temporary_folder
from harness.engines.streams.forks import Origin
from harness.inside.errors import UsageError
from harness.inside.folder_katas import FolderKatas
from harness.inside.store import Katas
from harness.katas.granular_katas import GranularKatas
from harness.katas.volume_katas import VolumeKatas

FOLDER, VOLUME = "folder", "volume"
"""The kinds of place. A volume is written `volume:NAME`."""

VOLUME_PREFIX = f"{VOLUME}:"

_VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*[A-Za-z0-9]")
"""Names that Docker allows for a volume, and every file system for a folder."""


class TemporaryKatas(FolderKatas):
    """Katas in a temporary folder, which `close` removes."""

    def __init__(self) -> None:
        """Create the folder. Raises EngineError if that is impossible."""
        self._origin = Origin()
        self._folder = temporary_folder("katas")
        super().__init__(self._folder / "katas")
        self.root.mkdir(mode=0o700)

    def close(self) -> None:
        if self._origin.is_here():
            remove_folder(self._folder)


def open_folder_katas(place: str | Path | None) -> Katas:
    """Open the katas in a folder; None opens a temporary one. Raises UsageError for a volume."""
    if place is None:
        return TemporaryKatas()
    if not str(place):
        raise UsageError("the place of the katas is empty: name a folder")
    if str(place).startswith(VOLUME_PREFIX):
        raise UsageError(f"this runner keeps its katas in a folder, not in {place}")
    return FolderKatas(place)


def open_volume(engine: Engine, place: str | Path | None) -> VolumeKatas:
    """Open the katas in a volume, `volume:NAME`; None opens a temporary one.

    Raises UsageError for any other place.
    """
    return VolumeKatas(engine, _volume_name(place), temporary=place is None)


def open_granular(engine: Engine, place: str | Path | None, *, by_avatar: bool) -> GranularKatas:
    """Open katas in volumes whose names begin with NAME of `volume:NAME`; see `open_volume`."""
    return GranularKatas(engine, _volume_name(place), by_avatar=by_avatar, temporary=place is None)


def _volume_name(place: str | Path | None) -> str:
    """Return NAME of `volume:NAME`; None gives a new name. Raises UsageError for anything else."""
    if place is None:
        return f"harness-{secrets.token_hex(6)}"
    name = str(place).removeprefix(VOLUME_PREFIX)
    if name == str(place):
        raise UsageError(
            f"this runner keeps its katas in a volume: "
            f"give {VOLUME_PREFIX}NAME, not {place or 'nothing'}"
        )
    if not _VOLUME_NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a volume's name: use two or more letters and digits, "
            "and between them also - _ and ."
        )
    return name
