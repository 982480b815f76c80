"""The notes' katas-volume-runner: the run happens in the katas themselves, mounted from the host."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from harness.engines import Engine, SandboxSpec
from harness.katas.layout import Avatar
from harness.katas.places import open_folder
from harness.katas.store import FolderKatas, Katas
from harness.runners.base import BaseRunner
from harness.runners.event import TestEvent


class KatasVolume(BaseRunner):
    """B -> V:katas, mounted; nothing is piped. The price is a uid on the host, and a run that is half done
    stays half done.
    """

    name = "katas-volume"
    one_line = "only changed files copied; the run happens in the mounted katas"
    katas: FolderKatas

    @classmethod
    def open_katas(cls, engine: Engine, place: str | Path | None) -> Katas:
        return open_folder(place)

    def spec(self, avatar: Avatar) -> SandboxSpec:
        """Mounted, and run under the uid that owns the katas: root's katas are handed to nobody, as root must
        not run them.
        """
        spec = replace(super().spec(avatar), mount=self.katas.sandbox(avatar))
        return spec if os.geteuid() == 0 else replace(spec, uid=os.geteuid(), gid=os.getegid())

    def play(self, event: TestEvent) -> None:
        event.save("1st B -> V:katas (changed only)")
        event.start()
        if event.run():
            event.commit("2nd output -> V:katas, <<GIT-COMMIT>>, 3rd output -> B")
