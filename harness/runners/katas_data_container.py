"""The notes' katas-data-container-runner: a two-way tar-pipe between katas that no run can see and a fresh
container.
"""

from __future__ import annotations

from harness.katas.places import VOLUME
from harness.runners.base import BaseRunner
from harness.runners.event import TestEvent


class KatasDataContainer(BaseRunner):
    """B -> D:katas, D -> R by tar-pipe, and back only if the run ended in time. No tar file ever exists."""

    name = "katas-data-container"
    katas_in = VOLUME

    def play(self, event: TestEvent) -> None:
        event.save("1st B -> D:katas (changed only)")
        event.start()
        with event.phase("pipe_in", "2nd D:katas -> R:tmp (all)") as piped:
            piped.bytes_in = event.sandbox.unpack(event.katas.pack)
        if event.run():
            with event.phase("pipe_out", "3rd R:tmp -> D:katas (all, preserve date-time stamps)") as piped:
                piped.bytes_out = event.katas.stage(event.sandbox.pack())
            event.commit("4th output -> D:katas, <<GIT-COMMIT>>, 5th output -> B")
