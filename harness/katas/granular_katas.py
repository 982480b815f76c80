"""Katas in many data-containers, made on demand: one for each kata, or one for each avatar."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from harness.engines import Engine
from harness.engines.streams.closing import close_all
from harness.inside import tarpipe
from harness.inside.errors import KatasError, NoSuchAvatar
from harness.inside.layout import Avatar, check_kata
from harness.inside.repack import Sizes
from harness.inside.store import EVENT_SECONDS, Increment, Unread
from harness.inside.usage import DiskUsage
from harness.katas.volume_event import VolumeEvent
from harness.katas.volume_katas import VolumeKatas

READY = 4
"""How many data-containers keep their keepers ready for the next test event.

The keepers of the others are ended, because each takes memory.
"""


class GranularKatas:
    """Katas in data-containers that each hold one kata or one avatar.

    All of them have the name of these katas as a label.
    """

    def __init__(
        self, engine: Engine, name: str, *, by_avatar: bool, temporary: bool = False
    ) -> None:
        """Remember how to make the data-containers; `close` removes temporary ones."""
        self.name = name
        self._engine, self._by_avatar, self._temporary = engine, by_avatar, temporary
        # By volume, the most recently used last.
        self._open: dict[str, VolumeKatas] = {}
        self._lock = threading.Lock()
        self._closed = False

    def describe(self) -> str:
        unit = "avatar" if self._by_avatar else "kata"
        return f"volumes:{self.name}, one for each {unit}, of the {self._engine.name} engine"

    def place(self) -> str:
        return f"volume:{self.name}"

    def container(self, avatar: Avatar) -> str:
        return f"{self.name}.{avatar.kata}" + (f".{avatar.name}" if self._by_avatar else "")

    def event(
        self, avatar: Avatar, *, seconds: float = EVENT_SECONDS, durable: bool = False
    ) -> VolumeEvent:
        return self._katas(self.container(avatar)).event(avatar, seconds=seconds, durable=durable)

    def list(
        self, kata: str | None = None, *, unread: Unread | None = None
    ) -> Mapping[str, Mapping[str, Sequence[Increment]]]:
        listing: dict[str, dict[str, Sequence[Increment]]] = {}
        for volume in self._volumes() if kata is None else self._volumes_of(kata):
            for name, avatars in self._katas(volume).list(kata, unread=unread).items():
                listing.setdefault(name, {}).update(avatars)
        return {name: dict(sorted(avatars.items())) for name, avatars in sorted(listing.items())}

    def history(self, avatar: Avatar) -> AbstractContextManager[Path]:
        volume = self.container(avatar)
        if volume not in self._volumes():
            raise NoSuchAvatar(
                f"there is no avatar {avatar} in {self.describe()}; "
                "`harness katas list` shows them all"
            )
        return self._katas(volume).history(avatar)

    def download(self, kata: str, write: tarpipe.Write) -> int:
        """Write one archive of the whole team, whichever volumes hold its avatars."""
        holding = self._holding(kata)
        if len(holding) == 1:
            return holding[0].download(kata, write)
        return tarpipe.join(_archives(holding, kata), write)

    def tidy(self) -> Sizes:
        return sum((volume.tidy() for volume in self._all()), Sizes())

    def remove(self, kata: str, name: str | None = None) -> None:
        """Remove an avatar or a kata; its data-containers stay, empty."""
        for volume in self._holding(kata, name):
            volume.remove(kata, name)

    def usage(self) -> dict[str, dict[str, DiskUsage]]:
        by_kata: dict[str, dict[str, DiskUsage]] = {}
        for volume in self._all():
            for kata, avatars in volume.usage().items():
                by_kata.setdefault(kata, {}).update(avatars)
        return by_kata

    def interrupt(self) -> None:
        """Cut all conversations with keepers; see VolumeKatas."""
        with self._lock:
            self._closed = True
            opened = list(self._open.values())
        for volume in opened:
            volume.interrupt()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        close_all(self._open.values())

    def _all(self) -> Iterator[VolumeKatas]:
        for volume in self._volumes():
            yield self._katas(volume)

    def _volumes(self) -> Sequence[str]:
        volumes = self._engine.volumes()
        return sorted(volume.name for volume in volumes if volume.katas == self.name)

    def _volumes_of(self, kata: str) -> Sequence[str]:
        check_kata(kata)
        prefix = f"{self.name}.{kata}."
        return [name for name in self._volumes() if f"{name}.".startswith(prefix)]

    def _holding(self, kata: str, name: str | None = None) -> Sequence[VolumeKatas]:
        """Return the volumes that hold part of this kata, or this avatar of it.

        Raises NoSuchAvatar if there are none.
        """
        holding = []
        for volume in map(self._katas, self._volumes_of(kata)):
            unread: dict[str, str] = {}
            avatars = volume.list(kata, unread=unread.__setitem__).get(kata)
            if unread or (avatars is not None and (name is None or name in avatars)):
                holding.append(volume)
        if not holding:
            what = f"kata {kata}" if name is None else f"avatar {kata}/{name}"
            raise NoSuchAvatar(
                f"there is no {what} in {self.describe()}; `harness katas list` shows them all"
            )
        return holding

    def _katas(self, volume: str) -> VolumeKatas:
        with self._lock:
            if self._closed:
                raise KatasError(f"the volumes {self.name} were closed meanwhile")
            katas = self._open.pop(volume, None)
            if katas is None:
                katas = VolumeKatas(
                    self._engine, volume, temporary=self._temporary, part_of=self.name
                )
            self._open[volume] = katas
            for unused in [*self._open.values()][:-READY]:
                unused.release()
        return katas


def _archives(holding: Sequence[VolumeKatas], kata: str) -> Iterator[IO[bytes]]:
    """Yield an archive of what each volume holds of a kata, one after another."""
    for volume in holding:
        with tempfile.TemporaryFile() as archive:
            volume.download(kata, archive.write)
            yield archive
