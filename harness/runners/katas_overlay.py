"""An overlay: the avatar's tree is the lower layer, and the run's changes go to an upper one.

Accepting a test event keeps the upper layer; a time-out throws it away. The cost depends on what
changed, not on the size of the tree.

A folder that an earlier test event made cannot be renamed (EXDEV): the kernel would mark it so that
only a privileged user can read it, and a keeper is unprivileged. `mv` copies instead; programs that
need rename(2) want another runner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from harness.engines import Engine, SandboxSpec
from harness.engines.spec import Overlay
from harness.inside.layered_event import DEPTH
from harness.inside.layout import Avatar, avatar_folder
from harness.inside.store import EVENT_SECONDS, Katas
from harness.katas.places import VOLUME
from harness.katas.volume_event import VolumeLayeredEvent
from harness.katas.volume_katas import VolumeKatas
from harness.runners.base import DURABLE, BaseRunner
from harness.runners.claims import EVERYTHING, Property
from harness.runners.event import TestEvent


class KatasOverlay(BaseRunner[VolumeLayeredEvent]):
    """B -> a new layer over D:katas, and both mounted as one tree; nothing is piped or copied."""

    name = "katas-overlay"
    katas_in = VOLUME
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        # The most layers between two test events, before they are merged.
        "layers": (str(DEPTH), "2", "5"),
        **DURABLE,
    }
    mounts = Overlay
    katas: VolumeKatas

    @classmethod
    def claims(cls, options: Mapping[str, str]) -> frozenset[Property]:
        """The player's uid owns the layers, and rename(2) fails on folders of lower layers."""
        return EVERYTHING - {Property.OWNERSHIP, Property.RENAMES} | cls.claims_durable(options)

    def __init__(
        self, engine: Engine, katas: Katas, *, layers: str = str(DEPTH), **arguments: Any
    ) -> None:
        """Take the option `layers`, and what BaseRunner takes. Raises what BaseRunner raises."""
        super().__init__(engine, katas, **arguments)
        self._layers = int(layers)

    def begin(self, avatar: Avatar, seconds: float = EVENT_SECONDS) -> VolumeLayeredEvent:
        return self.katas.event_of(
            VolumeLayeredEvent, avatar, seconds=seconds, depth=self._layers, **self.how
        )

    def spec(self, avatar: Avatar, katas: VolumeLayeredEvent) -> SandboxSpec:
        stack = katas.stack(self.engine.player)
        folder = avatar_folder(avatar)
        mount = Overlay(
            volume=self.katas.container(avatar),
            lower=tuple(f"{folder}/{layer}" for layer in stack.lower),
            upper=f"{folder}/{stack.upper}",
            work=f"{folder}/{stack.work}",
        )
        return replace(super().spec(avatar, katas), mount=mount, roots=katas.roots)

    def play(self, event: TestEvent[VolumeLayeredEvent]) -> None:
        event.save("1st B -> a new layer over D:katas (changed only)")
        event.start()
        if event.run():
            event.commit(
                "2nd the layer is kept, output -> D:katas, <<GIT-COMMIT>>, 3rd output -> B"
            )
