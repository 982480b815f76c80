"""The notes' katas-volume-runner: the katas are mounted from the host, and the run changes them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from harness.engines import SandboxSpec
from harness.engines.spec import HostFolder
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import Avatar
from harness.inside.store import Event
from harness.katas.places import FOLDER
from harness.runners.base import BaseRunner
from harness.runners.claims import EVERYTHING, Property
from harness.runners.event import TestEvent


class KatasVolume(BaseRunner[Event]):
    """B -> V:katas, mounted; nothing is piped.

    It needs a uid on the host, and what a run left half done stays half done.
    """

    name = "katas-volume"
    katas_in = FOLDER
    katas: FolderKatas
    mounts = HostFolder

    @classmethod
    def claims(cls, options: Mapping[str, str]) -> frozenset[Property]:
        """The run writes to the katas themselves, under a uid that must own them."""
        return EVERYTHING - {Property.ATOMIC, Property.TIMED_OUT, Property.OWNERSHIP}

    def spec(self, avatar: Avatar, katas: Event) -> SandboxSpec:
        """Mount the katas, and run under the uid that owns them.

        Root's katas are given to the user nobody, because player code must not run as root.
        """
        mount = HostFolder(self.katas.sandbox(avatar))
        spec = replace(super().spec(avatar, katas), mount=mount, roots=katas.roots)
        return spec if os.geteuid() == 0 else replace(spec, uid=os.geteuid(), gid=os.getegid())

    def play(self, event: TestEvent) -> None:
        event.save("1st B -> V:katas (changed only)")
        event.start()
        if event.run():
            event.commit("2nd output -> V:katas, <<GIT-COMMIT>>, 3rd output -> B")
