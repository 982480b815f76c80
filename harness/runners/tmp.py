"""The notes' tmp-runner: each run gets only the visible files, all of them new."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from harness.inside.stamps import up_to
from harness.inside.store import Event
from harness.katas import visible_tar
from harness.katas.places import FOLDER
from harness.runners.base import DURABLE, BaseRunner
from harness.runners.claims import EVERYTHING, OF_KEPT_TREES, Property
from harness.runners.event import TestEvent


class Tmp(BaseRunner[Event]):
    """B -> R:tmp by tar-pipe; the katas only keep the results.

    The stream takes the place of the notes' L:tmp, so no file is written to be read only once.
    """

    name = "tmp"
    katas_in = FOLDER
    OPTIONS: ClassVar[Mapping[str, tuple[str, ...]]] = DURABLE

    @classmethod
    def claims(cls, options: Mapping[str, str]) -> frozenset[Property]:
        """It keeps nothing that a run made, and every stamp is new."""
        return EVERYTHING - OF_KEPT_TREES | cls.claims_durable(options)

    def play(self, event: TestEvent) -> None:
        event.start()
        with event.phase("pipe_in", "1st B -> L:tmp (all, new), 2nd L:tmp -> R:tmp (all)") as piped:
            stamps = up_to(event.sandbox.clock(), event.request.files.ages())
            piped.bytes_in = event.sandbox.unpack(
                lambda write: visible_tar.pack_visible(event.request.files, write, stamps=stamps)
            )
        if event.run():
            event.save("3rd B -> katas (changed only)")
            event.commit("4th output -> katas, <<GIT-COMMIT>>, 5th output -> B")
