"""Katas in many data-containers, made on the fly: one for each kata, or one for each avatar."""

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
from harness.katas.volume_katas import VolumeEvent, VolumeKatas

READY = 4
"""Data-containers whose keepers are kept waiting for the next test event; the others' are ended, as each takes some memory."""


class GranularKatas:
    """Katas in data-containers that each hold one kata, or one avatar; they carry the name of the katas as a common label."""

    def __init__(
        self, engine: Engine, name: str, *, by_avatar: bool, temporary: bool = False
    ) -> None:
        """Makes nothing yet; temporary ones are removed by `close`."""
        self.name = name
        self._engine, self._by_avatar, self._temporary = engine, by_avatar, temporary
        self._open: dict[str, VolumeKatas] = {}  # the latest used last
        self._lock = threading.Lock()
        self._closed = False

    def describe(self) -> str:
        each = "avatar" if self._by_avatar else "kata"
        return f"volumes:{self.name}, one for each {each}, of the {self._engine.name} engine"

    def container(self, avatar: Avatar) -> str:
        """The volume that holds an avatar."""
        return f"{self.name}.{avatar.kata}" + (f".{avatar.name}" if self._by_avatar else "")

    def event(
        self, avatar: Avatar, *, seconds: float = EVENT_SECONDS, durable: bool = False
    ) -> VolumeEvent:
        return self._katas(self.container(avatar)).event(avatar, seconds=seconds, durable=durable)

    def list(
        self, kata: str | None = None, *, unread: Unread | None = None
    ) -> Mapping[str, Mapping[str, Sequence[Increment]]]:
        found: dict[str, dict[str, Sequence[Increment]]] = {}
        for volume in self._volumes() if kata is None else self._volumes_of(kata):
            for each, avatars in self._katas(volume).list(kata, unread=unread).items():
                found.setdefault(each, {}).update(avatars)
        return {kata: dict(sorted(avatars.items())) for kata, avatars in sorted(found.items())}

    def history(self, avatar: Avatar) -> AbstractContextManager[Path]:
        volume = self.container(avatar)
        if volume not in self._volumes():
            raise NoSuchAvatar(
                f"there is no avatar {avatar} in {self.describe()}; `harness katas list` shows them all"
            )
        return self._katas(volume).history(avatar)

    def download(self, kata: str, write: tarpipe.Write) -> int:
        """One archive of the whole team, wherever its avatars are."""
        holding = self._holding(kata)
        if len(holding) == 1:
            return holding[0].download(kata, write)
        return tarpipe.join(_archives(holding, kata), write)

    def tidy(self) -> Sizes:
        return sum((each.tidy() for each in self._all()), Sizes())

    def remove(self, kata: str, name: str | None = None) -> None:
        """Its data-containers stay, empty."""
        for each in self._holding(kata, name):
            each.remove(kata, name)

    def usage(self) -> dict[str, dict[str, DiskUsage]]:
        found: dict[str, dict[str, DiskUsage]] = {}
        for each in self._all():
            for kata, avatars in each.usage().items():
                found.setdefault(kata, {}).update(avatars)
        return found

    def interrupt(self) -> None:
        """See VolumeKatas."""
        with self._lock:
            self._closed = True
            opened = list(self._open.values())
        for each in opened:
            each.interrupt()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        close_all(self._open.values())

    def _all(self) -> Iterator[VolumeKatas]:
        for volume in self._volumes():
            yield self._katas(volume)

    def _volumes(self) -> Sequence[str]:
        return sorted(each.name for each in self._engine.volumes() if each.katas == self.name)

    def _volumes_of(self, kata: str) -> Sequence[str]:
        check_kata(kata)
        return [each for each in self._volumes() if (each + ".").startswith(f"{self.name}.{kata}.")]

    def _holding(self, kata: str, name: str | None = None) -> Sequence[VolumeKatas]:
        """Those that hold some of this kata, or its avatar of this name."""
        found = []
        for each in map(self._katas, self._volumes_of(kata)):
            unread: dict[str, str] = {}
            avatars = each.list(kata, unread=unread.__setitem__).get(kata)
            if unread or (avatars is not None and (name is None or name in avatars)):
                found.append(each)
        if not found:
            what = f"kata {kata}" if name is None else f"avatar {kata}/{name}"
            raise NoSuchAvatar(
                f"there is no {what} in {self.describe()}; `harness katas list` shows them all"
            )
        return found

    def _katas(self, volume: str) -> VolumeKatas:
        with self._lock:
            if self._closed:
                raise KatasError(f"the volumes {self.name} were closed meanwhile")
            found = self._open.pop(volume, None)
            if found is None:
                found = VolumeKatas(
                    self._engine, volume, temporary=self._temporary, part_of=self.name
                )
            self._open[volume] = found
            for each in [*self._open.values()][:-READY]:
                each.release()
        return found


def _archives(holding: Sequence[VolumeKatas], kata: str) -> Iterator[IO[bytes]]:
    """What each of these holds of a kata, one after the other."""
    for each in holding:
        with tempfile.TemporaryFile() as archive:
            each.download(kata, archive.write)
            yield archive
