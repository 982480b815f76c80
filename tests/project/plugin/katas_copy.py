"""katas-copy: the run happens in a copy of the sandbox that `cp -a` made, mounted, and only what
ended in time is taken back.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from harness.engines import Engine, SandboxSpec
from harness.engines.folders import temporary_folder
from harness.engines.spec import HostFolder
from harness.inside import tarpipe
from harness.inside.disk import remove_tree
from harness.inside.errors import EngineError
from harness.inside.folder_katas import FolderKatas
from harness.inside.layout import Avatar
from harness.inside.store import Event, Katas
from harness.katas.places import FOLDER
from harness.runners.base import BaseRunner
from harness.runners.claims import ALL_PROPERTIES, Property
from harness.runners.event import TestEvent


class KatasCopy(BaseRunner):
    """B -> V:katas -> a copy; the katas themselves are never mounted."""

    name = "katas-copy"
    katas_in = FOLDER
    katas: FolderKatas

    def __init__(self, engine: Engine, katas: Katas, **options: Any) -> None:
        super().__init__(engine, katas, **options)
        self._copies = temporary_folder("copies")
        self._playing = threading.local()  # whose test event each thread is at

    @classmethod
    def claims(cls, options: Mapping[str, str]) -> frozenset[Property]:
        """The copy is a folder of the host, which the run's uid must own."""
        return ALL_PROPERTIES - {Property.OWNERSHIP}

    def spec(self, avatar: Avatar, katas: Event) -> SandboxSpec:
        self._playing.avatar = avatar
        copy = self._copies / f"{avatar.kata}-{avatar.name}"
        remove_tree(copy)
        copy.mkdir()
        spec = replace(super().spec(avatar, katas), mount=HostFolder(copy))
        return spec if os.geteuid() == 0 else replace(spec, uid=os.geteuid(), gid=os.getegid())

    def play(self, event: TestEvent) -> None:
        avatar, owner, event.owner = self._playing.avatar, event.owner, None
        copy = str(self._copies / f"{avatar.kata}-{avatar.name}")
        event.save("B -> V:katas (changed only)")
        with event.phase("pipe_in", "V:katas -> copy (all)"):
            do("cp", "-a", f"{self.katas.sandbox(avatar)}/.", copy)
            if os.geteuid() == 0 and owner:
                do("chown", "-hR", f"{owner[0]}:{owner[1]}", copy)
        event.start()
        if event.run():
            with event.phase("pipe_out", "copy -> V:katas (all)") as piped:
                piped.bytes_out = event.katas.stage(packed(copy))
            event.commit("output -> V:katas, <<GIT-COMMIT>>, output -> B")

    def close(self) -> None:
        super().close()
        remove_tree(self._copies)


def do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(f"{command[0]} failed: {done.stderr.strip()}")


def packed(folder: str) -> Iterator[bytes]:
    """The folder as a tar stream, which must come whole."""
    with subprocess.Popen(
        [*tarpipe.PACK, f"--directory={folder}", "."], stdout=subprocess.PIPE
    ) as tar:
        assert tar.stdout is not None
        yield from tarpipe.read_chunks(tar.stdout)
    if tar.returncode:
        raise EngineError(f"tar failed: exit {tar.returncode}")
