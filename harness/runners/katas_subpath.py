"""The sub-folder mount, which the notes tried in vain: it mounts one folder of a data-container.

The run works in a copy of the sandbox, which is exchanged for the sandbox if the run ends in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from harness.engines import SandboxSpec
from harness.engines.spec import PartOfVolume
from harness.inside.layout import Avatar, avatar_folder
from harness.inside.store import EVENT_SECONDS
from harness.katas.places import VOLUME
from harness.katas.volume_event import VolumeCopyEvent
from harness.katas.volume_katas import VolumeKatas
from harness.runners.base import DURABLE, BaseRunner
from harness.runners.claims import EVERYTHING, Property
from harness.runners.event import TestEvent


class KatasSubpath(BaseRunner[VolumeCopyEvent]):
    """B -> D:katas, where the sandbox is copied and the copy mounted; nothing is piped."""

    name = "katas-subpath"
    katas_in = VOLUME
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = DURABLE
    mounts = PartOfVolume
    katas: VolumeKatas

    @classmethod
    def claims(cls, options: Mapping[str, str]) -> frozenset[Property]:
        """The player's uid owns the sandboxes, even downloaded."""
        return EVERYTHING - {Property.OWNERSHIP} | cls.claims_durable(options)

    def begin(self, avatar: Avatar, seconds: float = EVENT_SECONDS) -> VolumeCopyEvent:
        return self.katas.event_of(VolumeCopyEvent, avatar, seconds=seconds, **self.how)

    def spec(self, avatar: Avatar, katas: VolumeCopyEvent) -> SandboxSpec:
        folder = f"{avatar_folder(avatar)}/{katas.place()}"
        mount = PartOfVolume(self.katas.container(avatar), folder)
        return replace(super().spec(avatar, katas), mount=mount, roots=katas.roots)

    def play(self, event: TestEvent[VolumeCopyEvent]) -> None:
        event.save("1st B -> D:katas (changed only)")
        with event.phase("save", "2nd D:katas -> D:katas, beside the sandbox (all)"):
            event.katas.copy(event.owner)
        event.start()
        if event.run():
            event.commit(
                "3rd the copy and the sandbox are exchanged, output -> D:katas, <<GIT-COMMIT>>, "
                "output -> B"
            )
