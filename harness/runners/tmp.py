"""The notes' tmp-runner: all files are new in every run, and only the visible ones are there."""

from __future__ import annotations

from collections.abc import Mapping

from harness import tarpipe
from harness.disk import remove_tree
from harness.engines.folders import temporary_folder
from harness.katas.places import FOLDER
from harness.runners.base import BaseRunner
from harness.runners.claims import ALL, Property
from harness.runners.event import TestEvent


class Tmp(BaseRunner):
    """B -> L:tmp -> R:tmp; the katas only keep the results."""

    name = "tmp"
    katas_in = FOLDER

    @classmethod
    def claims(cls, options: Mapping[str, str]) -> frozenset[Property]:
        """Nothing that a run made is kept, and every stamp is new."""
        return ALL - {Property.EXACT_MTIMES, Property.INCREMENTAL, Property.MIRROR}

    def play(self, event: TestEvent) -> None:
        folder = temporary_folder("tmp")
        try:
            local = folder / "sandbox"
            local.mkdir()
            local.chmod(0o755)  # it becomes the sandbox, modes and all
            with event.phase("save", "1st B -> L:tmp (all, date-time stamps are new)"):
                event.files.write(local)
            event.start()
            with event.phase("pipe_in", "2nd L:tmp -> R:tmp (all)") as piped:
                piped.bytes_in = event.sandbox.unpack(lambda write: tarpipe.pack(str(local), write))
        finally:
            remove_tree(folder)
        if event.run():
            event.save("3rd B -> katas (changed only)")
            event.commit("4th output -> katas, <<GIT-COMMIT>>, 5th output -> B")
